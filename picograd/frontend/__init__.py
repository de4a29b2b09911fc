"""The front end: PyTorch's tensors, autograd and tracing over the tensor dialect."""
