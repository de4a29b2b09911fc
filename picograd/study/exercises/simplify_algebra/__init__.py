"""Exercise 1: drop arithmetic that does nothing, at tensor level."""
