"""Exercise 4: place all buffers in one arena, by their lifetimes, at buffer level."""
