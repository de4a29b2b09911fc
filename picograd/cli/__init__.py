"""The `picograd` command: `opt`, `dump`, `demo` and `bench`."""
