"""The methods of tensors, one family a file, as classes that `Tensor` inherits.

Methods check and promote their arguments, then build tensor ops. What takes more than a few ops,
and is used by several, stands without any of that in `compositions.py` and `activations.py`.
"""
