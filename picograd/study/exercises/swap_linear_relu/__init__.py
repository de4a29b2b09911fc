"""Exercise 2: swap a matrix product, its bias and its ReLU for one kernel, at kernel level."""
