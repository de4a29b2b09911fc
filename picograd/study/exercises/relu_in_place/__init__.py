"""Exercise 3: let a ReLU write into the buffer that it reads, at buffer level."""
