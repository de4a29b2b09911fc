# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.
"""Reading and writing by index: `x[…]`, gather, scatter_add, index_select, embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from picograd.check.functions.cases import drawn
from picograd.check.functions.table import Case, ErrorCase, Function, View, by_name

_ONES = np.ones((2, 3), np.float32)


def _indices(rng: np.random.Generator, size: int, *shape: int) -> Any:
    return rng.integers(0, size, shape)


def _views(rng: np.random.Generator, *shape: int) -> list[tuple[str, Any]]:
    kinds = ("permuted", "expanded", "sliced")
    return [(f"{kind} view", View(drawn(rng, shape), kind)) for kind in kinds]


def _elements(rng: np.random.Generator, *shape: int) -> list[tuple[str, Any]]:
    special = np.resize(np.array([np.nan, np.inf, -0.0, 1, -np.inf], np.float32), shape)
    return [
        *_views(rng, *shape),
        ("int64", drawn(rng, shape, (-9, 9), dtype=np.int64)),
        ("int32", drawn(rng, shape, (-9, 9), dtype=np.int32)),
        ("bools", drawn(rng, shape, dtype=np.bool_)),
        ("double", drawn(rng, shape, dtype=np.float64)),
        ("NaN and infinity", special),
    ]


def _gather_cases(rng: np.random.Generator) -> list[Case]:
    def of(label: str, shape: Sequence[int], index: Sequence[int], dim: int) -> Case:
        picked = _indices(rng, shape[dim] if shape else 1, *index)
        return Case(label, (drawn(rng, shape), picked), {"dim": dim})

    others = [
        Case(label, (given, _indices(rng, 3, 2, 2)), {"dim": 0}, label != "NaN and infinity")
        for label, given in _elements(rng, 3, 2)
    ]
    return [
        of("rank 0", (), (), 0),
        of("empty", (3, 2), (0, 2), 0),
        of("size 1", (1,), (1,), 0),
        of("odd sizes", (3, 5), (7, 5), 0),
        of("last axis", (3, 5), (3, 2), -1),
        of("a smaller index", (3, 5), (2, 3), 1),
        of("rank 3", (2, 3, 4), (2, 5, 4), 1),
        Case("ties", (drawn(rng, (3, 2)), np.array([[1, 1], [1, 1], [1, 1]])), {"dim": 0}),
        *others,
    ]


def _gathered(x: Any, index: Any, dim: int) -> Any:
    if np.ndim(x) == 0:
        return x
    cut = tuple(
        slice(None) if axis == dim % x.ndim else slice(index.shape[axis]) for axis in range(x.ndim)
    )
    return np.take_along_axis(x[cut], index, dim)


def _scatter_cases(rng: np.random.Generator) -> list[Case]:
    def of(label: str, shape: Sequence[int], index: Sequence[int], dim: int) -> Case:
        picked = _indices(rng, shape[dim], *index)
        return Case(label, (drawn(rng, shape), picked, drawn(rng, index)), {"dim": dim})

    others = [
        Case(
            label,
            (given, _indices(rng, 3, 4, 2), _like(rng, given)),
            {"dim": 0},
            "NaN" not in label,
        )
        for label, given in _elements(rng, 3, 2)
        if label != "bools"
    ]
    same = np.array([[1, 1], [1, 1], [1, 1]])
    return [
        of("empty", (3, 2), (0, 2), 0),
        of("size 1", (1,), (1,), 0),
        of("odd sizes", (3, 5), (7, 5), 0),
        of("last axis", (3, 5), (3, 2), -1),
        of("rank 3", (2, 3, 4), (2, 5, 4), 1),
        Case("ties", (drawn(rng, (3, 2)), same, drawn(rng, (3, 2))), {"dim": 0}),
        *others,
    ]


def _like(rng: np.random.Generator, given: Any) -> Any:
    array = given.array if isinstance(given, View) else given
    return drawn(rng, (4, 2), (-4, 4), dtype=array.dtype)


def _scattered(x: Any, index: Any, src: Any, dim: int) -> Any:
    result = np.array(x)
    places = list(np.indices(index.shape))
    places[dim] = index
    np.add.at(result, tuple(places), src)
    return result


def _select_cases(rng: np.random.Generator) -> list[Case]:
    def of(label: str, shape: Sequence[int], count: int, dim: int) -> Case:
        return Case(label, (drawn(rng, shape), _indices(rng, shape[dim], count)), {"dim": dim})

    others = [
        Case(label, (given, _indices(rng, 3, 4)), {"dim": 0}, label != "NaN and infinity")
        for label, given in _elements(rng, 3, 2)
    ]
    return [
        of("empty index", (3, 2), 0, 0),
        of("size 1", (1,), 1, 0),
        of("odd sizes", (3, 5), 7, 0),
        of("last axis", (3, 5), 2, -1),
        of("rank 3", (2, 3, 4), 2, 1),
        Case("ties", (drawn(rng, (3, 2)), np.array([1, 1, 1])), {"dim": 0}),
        *others,
    ]


def _embedding_cases(rng: np.random.Generator) -> list[Case]:
    def of(label: str, rows: int, columns: int, *index: int) -> Case:
        return Case(label, (_indices(rng, rows, *index), drawn(rng, (rows, columns))))

    others = [
        Case(label, (_indices(rng, 3, 4), given), gradient=label != "NaN and infinity")
        for label, given in _elements(rng, 3, 2)
        if label in ("permuted view", "expanded view", "sliced view", "NaN and infinity", "double")
    ]
    return [
        of("rank 0", 3, 2),
        of("empty", 3, 2, 0),
        of("size 1", 1, 1, 1),
        of("odd sizes", 5, 3, 7),
        of("rank 2", 5, 3, 2, 3),
        Case("ties", (np.array([1, 1, 1]), drawn(rng, (3, 2)))),
        *others,
    ]


_READS: tuple[tuple[str, tuple[int, ...], Any], ...] = (
    ("an integer", (3, 4), 1),
    ("from the end", (3, 4), (-1, -2)),
    ("rank 1", (5,), 3),
    ("rank 0", (), ()),
    ("rank 0, a new axis", (), None),
    ("a slice", (3, 5), (slice(1, None), slice(None, None, 2))),
    ("a slice beyond the end", (3, 5), (slice(1, 9), slice(-9, 2))),
    ("empty result", (3, 5), slice(2, 1)),
    ("empty", (0, 3), (slice(None), 1)),
    ("size 1", (1, 1), (0, slice(None))),
    ("new axes", (3, 5), (None, slice(None), None, 2)),
    ("the rest", (2, 3, 4), (..., 1)),
    ("the rest between", (2, 3, 4), (0, ..., slice(1, 3))),
    ("a list", (3, 4), [2, 0, 2]),
    ("a list along another axis", (3, 4), (slice(None), [1, -1])),
)


def _read_cases(rng: np.random.Generator) -> list[Case]:
    part = (slice(1, None), 0)
    return [
        *(Case(label, (drawn(rng, shape),), {"index": at}) for label, shape, at in _READS),
        *(
            Case(label, (given,), {"index": part}, label != "NaN and infinity")
            for label, given in _elements(rng, 3, 2)
        ),
    ]


_WRITES: tuple[tuple[str, tuple[int, ...], Any, tuple[int, ...]], ...] = (
    ("an integer", (3, 4), 1, (4,)),
    ("rank 0", (), (), ()),
    ("one element", (3, 4), (1, 2), ()),
    ("broadcast", (3, 4), slice(1, 3), (1, 4)),
    ("a slice", (3, 5), (slice(1, None), slice(None, None, 2)), (2, 3)),
    ("everything", (2, 3), slice(None), (2, 3)),
    ("empty", (3, 4), slice(2, 1), (0, 4)),
    ("size 1", (1, 1), (0, 0), ()),
    ("the rest", (2, 3, 4), (..., 1), (2, 3)),
    ("a new axis", (3, 4), (None, 1), (1, 4)),
    ("a list", (3, 4), [2, 0], (2, 4)),
)


def _write_cases(rng: np.random.Generator) -> list[Case]:
    ints = drawn(rng, (3, 2), (-9, 9), dtype=np.int64)
    return [
        *(
            Case(label, (drawn(rng, shape), drawn(rng, given)), {"index": at})
            for label, shape, at, given in _WRITES
        ),
        *(
            Case(label, (given, drawn(rng, (2,))), {"index": 1})
            for label, given in _views(rng, 3, 2)
        ),
        Case("int64", (ints, ints[0]), {"index": 2}),
        Case("mixed dtypes", (drawn(rng, (3, 2)), ints[0]), {"index": 2}),
    ]


def _write(torch: Any, x: Any, value: Any, index: Any) -> Any:
    copy = x.clone()
    copy[index] = value
    return copy


def _written(x: Any, value: Any, index: Any) -> Any:
    result = np.array(x)
    result[index] = value
    return result


_OUTSIDE = "out of range"

FUNCTIONS: tuple[Function, ...] = (
    Function(
        "torch.gather",
        lambda torch, x, index, dim: torch.gather(x, dim, index),
        _gathered,
        _gather_cases,
        (
            ErrorCase("an index outside", (_ONES, np.array([[3]])), RuntimeError, {"dim": 1}),
            ErrorCase("a float index", (_ONES, _ONES), RuntimeError, {"dim": 1}),
            ErrorCase("no such axis", (_ONES, np.array([[0]])), IndexError, {"dim": 2}),
        ),
    ),
    Function(
        "torch.scatter_add",
        lambda torch, x, index, src, dim: torch.scatter_add(x, dim, index, src),
        _scattered,
        _scatter_cases,
        (
            ErrorCase(
                "an index outside", (_ONES, np.array([[3]]), _ONES), RuntimeError, {"dim": 1}
            ),
            ErrorCase("a float index", (_ONES, _ONES, _ONES), RuntimeError, {"dim": 1}),
            ErrorCase("no such axis", (_ONES, np.array([[0]]), _ONES), IndexError, {"dim": 2}),
        ),
    ),
    Function(
        "torch.index_select",
        lambda torch, x, index, dim: torch.index_select(x, dim, index),
        lambda x, index, dim: np.take(x, index, dim),
        _select_cases,
        (
            ErrorCase(
                "an index outside", (_ONES, np.array([3])), RuntimeError, {"dim": 1}, _OUTSIDE
            ),
            ErrorCase("no such axis", (_ONES, np.array([0])), IndexError, {"dim": 2}),
        ),
    ),
    Function(
        "F.embedding, rows",
        by_name("F.embedding"),
        lambda index, weight: weight[index],
        _embedding_cases,
        (
            ErrorCase("an index outside", (np.array([2]), _ONES), IndexError, match=_OUTSIDE),
            ErrorCase("float indices", (_ONES, _ONES), RuntimeError),
        ),
    ),
    Function(
        "Tensor.__getitem__",
        lambda torch, x, index: x[index],
        lambda x, index: x[index],
        _read_cases,
        (
            ErrorCase("outside", (_ONES,), IndexError, {"index": 2}, "out of range"),
            ErrorCase("too many", (_ONES,), IndexError, {"index": (0, 0, 0)}, "too many"),
            ErrorCase(
                "backwards", (_ONES,), ValueError, {"index": slice(None, None, -1)}, "forward"
            ),
        ),
    ),
    Function(
        "Tensor.__setitem__",
        _write,
        _written,
        _write_cases,
        (
            ErrorCase("outside", (_ONES, _ONES[0]), IndexError, {"index": 2}, "out of range"),
            ErrorCase("another size", (_ONES, _ONES[0, :2]), RuntimeError, {"index": 0}),
        ),
    ),
)
