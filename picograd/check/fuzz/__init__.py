"""Fuzzing: random programs through random passes, on every device, until something is wrong."""
