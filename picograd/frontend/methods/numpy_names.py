"""NumPy's names of arguments, which PyTorch's functions take as well: `x.sum(axis=0)`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_USUAL = {"axis": "dim", "keepdims": "keepdim"}


def with_usual_names(options: dict[str, Any]) -> None:
    """Rename NumPy's names among the keyword arguments, unless both names are there."""
    for name in _USUAL.keys() & options.keys():
        if _USUAL[name] not in options:
            options[_USUAL[name]] = options.pop(name)


def takes_numpy_names(method: Callable[P, R]) -> Callable[P, R]:
    """The method, which takes `axis` for `dim` and `keepdims` for `keepdim` as well."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs:
            with_usual_names(kwargs)
        return method(*args, **kwargs)

    return call
