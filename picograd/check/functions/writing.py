"""Writing by index where several values may meet at one place, or the last of them stays."""

# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from picograd.check.functions.cases import drawn
from picograd.check.functions.table import Case, ErrorCase, Function, View

_X = np.arange(6, dtype=np.float32).reshape(2, 3)


def _reduced(reduce: str, include_self: bool) -> Any:
    def numpy(x: Any, index: Any, src: Any, dim: int) -> Any:
        result = np.array(x)
        count = np.full(x.shape, int(include_self))
        if not include_self:
            np.put_along_axis(result, index, 0, dim)
        places = list(np.indices(index.shape))
        places[dim] = index
        np.add.at(result, tuple(places), src[tuple(slice(n) for n in index.shape)])
        np.add.at(count, tuple(places), 1)
        if reduce == "sum":
            return result
        count = np.maximum(count, 1)
        return result // count if x.dtype.kind == "i" else result / count

    return numpy


def _reductions(rng: np.random.Generator) -> Sequence[Case]:
    def made(label: str, shape: Sequence[int], count: int, dim: int, dtype: Any) -> Case:
        sizes = [count if axis == dim else size for axis, size in enumerate(shape)]
        index = rng.integers(0, shape[dim], sizes)
        within = (-9, 9) if np.dtype(dtype).kind == "i" else (-2, 2)
        x, src = (drawn(rng, given, within, dtype=dtype) for given in (shape, sizes))
        return Case(label, (x, index, src), {"dim": dim}, np.dtype(dtype).kind == "f")

    plain = made("odd sizes", (3, 5), 4, 0, np.float32)
    x, index, src = (np.asarray(given) for given in plain.inputs)
    return [
        plain,
        made("size 1", (1,), 3, 0, np.float32),
        made("empty", (2, 3), 0, 1, np.float32),
        made("rank 3", (2, 3, 4), 5, 1, np.float32),
        made("all meet", (1, 3), 7, 0, np.float32),
        made("int64", (3, 4), 6, 1, np.int64),
        made("int32", (4,), 9, 0, np.int32),
        made("double", (3, 4), 6, 1, np.float64),
        Case("permuted view", (View(x, "permuted"), index, View(src, "permuted")), {"dim": 0}),
        Case("expanded view", (View(x, "expanded"), index, View(src, "expanded")), {"dim": 0}),
        Case("sliced view", (View(x, "sliced"), View(index, "sliced"), src), {"dim": 0}),
    ]


def _scatter_reduce(name: str, reduce: str, include_self: bool) -> Function:
    def call(torch: Any, x: Any, index: Any, src: Any, dim: int) -> Any:
        return getattr(x.clone(), name)(dim, index, src, reduce, include_self=include_self)

    return Function(
        f"Tensor.{name}, {reduce}{'' if include_self else ' without self'}",
        call,
        _reduced(reduce, include_self),
        _reductions,
        (
            ErrorCase(
                "an index of floats",
                (_X, _X, _X),
                RuntimeError,
                {"dim": 0},
                match="integers",
            ),
        ),
    )


def _put(x: Any, i: Any, j: Any, values: Any) -> Any:
    result = np.array(x)
    result[i, j] = values
    return result


def _puts(rng: np.random.Generator) -> Sequence[Case]:
    """No place is written twice: which value stays there nobody promises."""
    order = rng.permutation(12)

    def made(label: str, count: int, values: Sequence[int], dtype: Any = np.float32) -> Case:
        i, j = np.divmod(order[:count], 4)
        within = (-9, 9) if np.dtype(dtype).kind == "i" else (-2, 2)
        x, new = (drawn(rng, shape, within, dtype=dtype) for shape in ((3, 4), values))
        return Case(label, (x, i, j, new), gradient=np.dtype(dtype).kind == "f")

    plain = made("odd sizes", 5, (5,))
    x, i, j, new = (np.asarray(given) for given in plain.inputs)
    return [
        plain,
        made("size 1", 1, (1,)),
        made("empty", 0, (0,)),
        made("all", 12, (12,)),
        made("broadcast", 6, (1,)),
        made("one number", 6, ()),
        made("int64", 5, (5,), np.int64),
        made("bools", 5, (5,), np.bool_),
        made("double", 5, (5,), np.float64),
        Case("negative", (x, i - 3, j - 4, new)),
        Case("permuted view", (View(x, "permuted"), i, j, new)),
        Case("expanded view", (View(x, "expanded"), i, j, View(new, "expanded"))),
        Case("sliced view", (View(x, "sliced"), i, j, View(new, "sliced"))),
    ]


FUNCTIONS: tuple[Function, ...] = (
    _scatter_reduce("scatter_reduce", "sum", True),
    _scatter_reduce("scatter_reduce", "sum", False),
    _scatter_reduce("scatter_reduce", "mean", True),
    _scatter_reduce("scatter_reduce", "mean", False),
    _scatter_reduce("scatter_reduce_", "mean", True),
    *(
        Function(
            f"Tensor.{name}",
            lambda torch, x, i, j, values, name=name: getattr(x.clone(), name)((i, j), values),
            _put,
            _puts,
            (
                ErrorCase(
                    "out of range",
                    (_X, np.array([2]), np.array([0]), np.ones(1, np.float32)),
                    IndexError,
                    match="out of range",
                ),
            ),
        )
        for name in ("index_put", "index_put_")
    ),
)
