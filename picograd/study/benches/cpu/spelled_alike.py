"""The workloads that libraries of tensors spell alike: operators, and methods of their tensors."""

# The tensors are those of any library.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from collections.abc import Callable, Mapping
from typing import Any

SPELLED_ALIKE: Mapping[str, Callable[..., Any]] = {
    "matmul NN": lambda a, b: a @ b,
    "matmul NT": lambda a, b: a @ b.T,
    "matmul TN": lambda a, b: a.T @ b,
    "layer": lambda x, w: x @ w.T,
    "batched": lambda a, b: a @ b,
    "matvec": lambda a, x: a @ x,
    "vecmat": lambda x, a: x @ a,
    "column sum": lambda x: x.sum(0),
    "column mean": lambda x: x.mean(0),
    "row sum": lambda x: x.sum(1),
    "full sum": lambda x: x.sum(),
    "argmax rows": lambda x: x.argmax(1),
    "argmax columns": lambda x: x.argmax(0),
    "cumsum": lambda x: x.cumsum(1),
}

IN_METHODS: Mapping[str, Callable[..., Any]] = {
    **SPELLED_ALIKE,
    "variance": lambda x: x.var(1),
    "transpose copy": lambda x: x.T.contiguous(),
    "chain": lambda x, y: ((x * y + x) * 0.5 - y).relu() * x + y.abs(),
}
"""Those that PyTorch's methods spell too, which picograd and tinygrad have."""
