"""Ways of looking at the compiler: what passes say of themselves, workloads, baselines."""
