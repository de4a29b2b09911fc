"""`picograd bench cpu`: the compiler beside other libraries, and beside what the machine can do.

`workloads` says what is computed, `rows` at which sizes and what is asked of it. Every library has
its own words for the workloads (`in_torch_words`, `in_numpy`, `in_jax`, `in_tinygrad`), which run
in a process of its own (`worker`); `contenders` knows their environments, `conversation` talks to
them, `turns` lets them take turns, and `limits` measures the machine meanwhile.
"""
