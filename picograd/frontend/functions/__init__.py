"""Functions that are no methods: they make tensors, or take several of them alike.

`from_methods.py` makes functions of the methods: `torch.exp(x)` beside `x.exp()`.
"""
