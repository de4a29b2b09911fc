"""What picograd keeps between runs: compiled programs, in a folder of the user's own."""
