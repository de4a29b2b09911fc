"""The front end: PyTorch's tensors, autograd and tracing over the tensor dialect.

From the bottom up, each folder using those before it: `storage` (cells and views of them), `modes`
(where ops go), `autodiff` (the tape and what walks it); `core.py`, which is what every tensor is;
`methods`, one file a family, which `tensor.py` puts together; `functions` of tensors; and
`tracing`, from Python to a graph that is compiled.
"""
