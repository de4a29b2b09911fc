"""Brackets with several tensors, and what picks and writes by index along an axis."""

# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from picograd.check.functions.cases import drawn
from picograd.check.functions.table import Case, ErrorCase, Formula, Function, View, by_name

_X = np.arange(6, dtype=np.float32).reshape(2, 3)
_FLOATS = np.ones(2, np.float32)
_FAR = np.array([5])


def _index(rng: np.random.Generator, size: int, *shape: int, negative: bool = False) -> Any:
    return rng.integers(-size if negative else 0, size, shape)


# Reading and writing with brackets


def bracket(name: str, index: Formula, *axes: Any) -> list[Function]:
    """Rows that read and write x[index(*indices)]; `axes` says of each index what it picks from.

    An entry of `axes` is (size of the axis, shape of the index).
    """
    shape = (4, 3, 5)

    def reads(rng: np.random.Generator) -> Sequence[Case]:
        def indices() -> list[Any]:
            return [_index(rng, size, *given, negative=True) for size, given in axes]

        def x(dtype: Any = np.float32) -> Any:
            within = (-9, 9) if np.dtype(dtype).kind == "i" else (-2, 2)
            return drawn(rng, shape, within, dtype=dtype)

        special = x()
        special.reshape(-1)[::7] = np.nan
        special.reshape(-1)[3::7] = -np.inf
        return [
            Case("floats", (x(), *indices())),
            Case("other indices", (x(), *indices())),
            Case("permuted view", (View(x(), "permuted"), *indices())),
            Case("expanded view", (View(x(), "expanded"), *indices())),
            Case("sliced view", (View(x(), "sliced"), *indices())),
            Case("NaN and infinity", (special, *indices()), gradient=False),
            Case("int64", (x(np.int64), *indices()), gradient=False),
            Case("bools", (drawn(rng, shape, dtype=np.bool_), *indices()), gradient=False),
            Case("double", (x(np.float64), *indices())),
            Case("int32 index", (x(), *(i.astype(np.int32) for i in indices()))),
        ]

    def read(x: Any, *indices: Any) -> Any:
        return x[index(*indices)]

    def written(x: Any, *indices: Any) -> Any:
        x = x.copy()
        x[index(*indices)] = 7
        return x

    def write(torch: Any, x: Any, *indices: Any) -> Any:
        x = x.clone()
        x[index(*indices)] = 7
        return x

    return [
        Function(
            f"Tensor.__getitem__, {name}", lambda torch, x, *indices: read(x, *indices), read, reads
        ),
        Function(
            f"Tensor.__setitem__, {name}",
            write,
            written,
            lambda rng: [c for c in reads(rng) if c.label not in ("bools", "NaN and infinity")],
        ),
    ]


_FAR_INDEX = ErrorCase("out of range", (_X, _FAR), IndexError, match="out of range")

# Along an axis


def _along(rng: np.random.Generator, *, updates: bool) -> list[Case]:
    """Cases of gather (and, with `updates`, scatter): a tensor, an index, and what is written."""

    def of(
        label: str,
        shape: Any,
        at: Any,
        dim: int,
        gradient: bool = True,
        dtype: Any = np.float32,
    ) -> Case:
        within = (-9, 9) if np.dtype(dtype).kind in "iu" else (-2, 2)
        x = drawn(rng, shape, within, dtype=dtype)
        size = shape[dim] if shape else 1
        if updates:
            # No index twice along the axis, where the order of writing would count.
            order = np.argsort(rng.random((*at[:dim], size, *at[dim + 1 :])), dim)
            index = np.take(order, range(min(size, at[dim])), dim) if at else np.zeros((), int)
            source = drawn(rng, index.shape, within, dtype=dtype)
            return Case(label, (x, index, source), {"dim": dim}, gradient)
        return Case(label, (x, _index(rng, size, *at)), {"dim": dim}, gradient)

    cases = [
        of("rank 0", (), (), 0),
        of("vector", (5,), (3,), 0),
        of("size 1", (1, 1), (1, 1), 1),
        of("rows", (4, 3), (2, 3), 0),
        of("columns", (3, 5), (3, 4), 1),
        of("rank 3", (2, 4, 3), (2, 2, 3), 1),
        of("smaller index", (4, 5), (2, 3), 1),
        of("empty index", (3, 4), (0, 4), 0),
        of("int64", (3, 4), (3, 2), 1, gradient=False, dtype=np.int64),
        of("double", (3, 4), (3, 2), 1, dtype=np.float64),
    ]
    x, *rest = cases[4].inputs
    assert isinstance(x, np.ndarray)
    for kind in ("permuted", "expanded", "sliced"):
        cases.append(Case(f"{kind} view", (View(x, kind), *rest), {"dim": 1}))
    return cases


def _gather(x: Any, index: Any, dim: int) -> Any:
    if not np.ndim(x):
        return x
    cut = x[tuple(slice(None) if a == dim else slice(n) for a, n in enumerate(index.shape))]
    return np.take_along_axis(cut, index, dim)


def _scatter(combine: Formula) -> Formula:
    def scatter(x: Any, index: Any, source: Any, dim: int) -> Any:
        result = np.array(x)
        if not np.ndim(x):
            return combine(result, source)
        for place in np.ndindex(index.shape):
            to = (*place[:dim], index[place], *place[dim + 1 :])
            result[to] = combine(result[to], source[place])
        return result

    return scatter


def _slices(rng: np.random.Generator, *, updates: bool) -> list[Case]:
    """Cases of what takes or writes whole slices."""

    def of(
        label: str,
        shape: Any,
        count: int,
        dim: int,
        gradient: bool = True,
        dtype: Any = np.float32,
    ) -> Case:
        within = (-9, 9) if np.dtype(dtype).kind in "iu" else (-2, 2)
        x = drawn(rng, shape, within, dtype=dtype)
        if not updates:
            return Case(label, (x, _index(rng, shape[dim], count)), {"dim": dim}, gradient)
        index = rng.permutation(shape[dim])[:count]
        given = (*shape[:dim], len(index), *shape[dim + 1 :])
        source = drawn(rng, given, within, dtype=dtype)
        return Case(label, (x, index, source), {"dim": dim}, gradient)

    cases = [
        of("vector", (5,), 3, 0),
        of("size 1", (1, 1), 1, 1),
        of("rows", (4, 3), 2, 0),
        of("columns", (3, 5), 4, 1),
        of("rank 3", (2, 4, 3), 2, 1),
        of("none", (3, 4), 0, 0),
        of("int64", (3, 4), 2, 1, gradient=False, dtype=np.int64),
        of("double", (3, 4), 2, 1, dtype=np.float64),
    ]
    x, *rest = cases[3].inputs
    assert isinstance(x, np.ndarray)
    for kind in ("permuted", "expanded", "sliced"):
        cases.append(Case(f"{kind} view", (View(x, kind), *rest), {"dim": 1}))
    return cases


def _by_slices(combine: Formula) -> Formula:
    def write(x: Any, index: Any, source: Any, dim: int) -> Any:
        result = np.array(x)
        rows, given = np.moveaxis(result, dim, 0), np.moveaxis(source, dim, 0)
        for n, place in enumerate(index):
            rows[place] = combine(rows[place], given[n])
        return result

    return write


def _call(name: str) -> Callable[..., Any]:
    """dim comes first in PyTorch's methods."""
    return lambda torch, x, *rest, dim: getattr(x, name)(dim, *rest)


def _call_in_place(name: str) -> Callable[..., Any]:
    return lambda torch, x, *rest, dim: getattr(x.clone(), name)(dim, *rest)


def _add(old: Any, new: Any) -> Any:
    return old + new


def _set(old: Any, new: Any) -> Any:
    return new


_NO_INTEGERS = ErrorCase(
    "floats as index", (_X, np.ones((2, 3), np.float32)), RuntimeError, {"dim": 0}, "holds integers"
)
_RANK = ErrorCase(
    "another rank", (_X, np.array([0]), np.ones(1, np.float32)), RuntimeError, {"dim": 0}, "rank"
)
_DTYPE = ErrorCase(
    "another dtype",
    (_X, np.array([0]), np.ones((1, 3), np.int64)),
    RuntimeError,
    {"dim": 0},
    "dtype",
)


def _masked_cases(rng: np.random.Generator) -> list[Case]:
    def of(
        label: str, shape: Any, mask: Any, dtype: Any = np.float32, gradient: bool = True
    ) -> Case:
        whole = np.dtype(dtype).kind != "f"
        x = drawn(rng, shape, (-9, 9) if whole else (-2, 2), dtype=dtype)
        return Case(label, (x, rng.random(mask) < 0.5), gradient=gradient and not whole)

    return [
        of("rank 0", (), ()),
        of("vector", (5,), (5,)),
        of("size 1", (1, 1), (1, 1)),
        of("odd sizes", (3, 5), (3, 5)),
        of("broadcast", (3, 5), (5,)),
        of("rank 3", (2, 1, 3), (2, 1, 1)),
        of("empty", (0, 3), (0, 3)),
        of("int64", (3, 4), (3, 4), np.int64),
        of("int32", (3, 4), (4,), np.int32),
        of("double", (2, 3), (2, 3), np.float64),
        Case("permuted view", (View(drawn(rng, (3, 2)), "permuted"), rng.random((3, 2)) < 0.5)),
        Case("sliced view", (View(drawn(rng, (3, 2)), "sliced"), rng.random((3, 2)) < 0.5)),
    ]


def _assigned(x: Any, mask: Any) -> Any:
    x[mask] = 3
    return x


def _index_put(x: Any, i: Any, j: Any, values: Any) -> Any:
    result = x.copy()
    np.add.at(result, (i, j), values)
    return result


FUNCTIONS: tuple[Function, ...] = (
    *bracket("one tensor", lambda i: i, (4, (3,))),
    *bracket("two tensors", lambda i, j: (i, j), (4, (3,)), (3, (3,))),
    *bracket("broadcast", lambda i, j: (slice(None), i, j), (3, (2, 1)), (5, (3,))),
    *bracket("apart", lambda i, j: (i, slice(1, 3), j), (4, (2,)), (5, (2,))),
    *bracket("with None", lambda i: (None, ..., i), (5, (2, 2))),
    *bracket("three tensors", lambda i, j, k: (i, j, k), (4, (2,)), (3, (2,)), (5, (2,))),
    Function(
        "Tensor.__getitem__, views",
        lambda torch, x, at: x[at],
        lambda x, at: x[at],
        lambda rng: [
            Case(label, (drawn(rng, (4, 3, 5)),), {"at": at})
            for label, at in {
                "an integer": 2,
                "a negative integer": -1,
                "integers": (1, 2, -5),
                "a slice": slice(1, 3),
                "steps": (slice(None, None, 2), slice(1, None), slice(None, -1, 3)),
                "none left": (slice(2, 2),),
                "ellipsis": (..., 0),
                "new axes": (None, 1, None, ...),
                "all": (),
                "lists": ([0, 2], [1, -1]),
            }.items()
        ],
        (
            ErrorCase("too far", (_X,), IndexError, {"at": 2}, "out of range"),
            ErrorCase("too many", (_X,), IndexError, {"at": (0, 0, 0)}, "too many"),
            ErrorCase("backwards", (_X,), ValueError, {"at": slice(None, None, -1)}, "forward"),
        ),
    ),
    Function(
        "Tensor.__setitem__, a mask",
        lambda torch, x, mask: _assigned(x.clone(), mask),
        lambda x, mask: _assigned(x.copy(), mask),
        lambda rng: [
            case
            for case in _masked_cases(rng)
            if case.label not in ("rank 0", "broadcast", "rank 3", "int32")
        ],
        (ErrorCase("another shape", (_X, np.array([True] * 3)), IndexError, match="fit"),),
    ),
    Function(
        "Tensor.index_put_, accumulate",
        lambda torch, x, i, j, values: x.clone().index_put_((i, j), values, accumulate=True),
        _index_put,
        lambda rng: [
            Case(
                label,
                (
                    drawn(rng, (3, 4), dtype=dtype),
                    _index(rng, 3, *at),
                    _index(rng, 4, *at),
                    drawn(rng, at, dtype=dtype),
                ),
                gradient=np.dtype(dtype).kind == "f",
            )
            for label, at, dtype in (
                ("duplicates", (9,), np.float32),
                ("one", (1,), np.float32),
                ("none", (0,), np.float32),
                ("two axes", (2, 3), np.float32),
                ("int64", (9,), np.int64),
                ("double", (5,), np.float64),
            )
        ],
        (
            ErrorCase(
                "another dtype",
                (_X, np.array([0]), np.array([0]), np.array([1])),
                RuntimeError,
                match="dtype",
            ),
        ),
    ),
    Function(
        "Tensor.gather",
        _call("gather"),
        _gather,
        lambda rng: _along(rng, updates=False),
        (_NO_INTEGERS,),
    ),
    *(
        Function(
            f"Tensor.{name}{suffix}",
            (_call_in_place if suffix else _call)(name + suffix),
            _scatter(combine),
            lambda rng: _along(rng, updates=True),
            (_RANK,),
        )
        for name, combine in (("scatter", _set), ("scatter_add", _add))
        for suffix in ("", "_")
    ),
    Function(
        "torch.take_along_dim",
        by_name("torch.take_along_dim"),
        lambda x, index, dim: np.take_along_axis(x, index, dim),
        lambda rng: [
            case
            for case in _along(rng, updates=False)
            if case.label not in ("rank 0", "smaller index", "empty index")
        ],
        (ErrorCase("rank", (_X, np.array([0])), RuntimeError, {"dim": 0}, "rank"),),
    ),
    Function(
        "Tensor.index_select",
        _call("index_select"),
        lambda x, index, dim: np.take(x, index, dim),
        lambda rng: _slices(rng, updates=False),
        (
            ErrorCase("a matrix", (_X, np.array([[0]])), IndexError, {"dim": 0}, "one axis"),
            ErrorCase("floats", (_X, _FLOATS), RuntimeError, {"dim": 0}, "integers"),
        ),
    ),
    *(
        Function(
            f"Tensor.{name}{suffix}",
            (_call_in_place if suffix else _call)(name + suffix),
            _by_slices(combine),
            lambda rng: _slices(rng, updates=True),
            (_DTYPE,),
        )
        for name, combine in (("index_add", _add), ("index_copy", _set))
        for suffix in ("", "_")
    ),
    *(
        Function(
            f"Tensor.index_fill{suffix}",
            lambda torch, x, index, dim, name=f"index_fill{suffix}": getattr(x.clone(), name)(
                dim, index, 3
            ),
            lambda x, index, dim: _by_slices(_set)(
                x, index, np.full_like(np.take(x, index, dim), 3), dim
            ),
            lambda rng: _slices(rng, updates=False),
            (ErrorCase("out of range", (_X, _FAR), IndexError, {"dim": 0}, "out of range"),),
        )
        for suffix in ("", "_")
    ),
    Function(
        "Tensor.masked_fill",
        lambda torch, x, mask: x.masked_fill(mask, 3),
        lambda x, mask: np.where(mask, np.asarray(3, x.dtype), x),
        _masked_cases,
        (ErrorCase("integers", (_X, np.ones((2, 3), np.int64)), RuntimeError, match="bool"),),
    ),
    Function(
        "Tensor.masked_fill_",
        lambda torch, x, mask: x.clone().masked_fill_(mask, 3),
        lambda x, mask: np.where(mask, np.asarray(3, x.dtype), x),
        _masked_cases,
    ),
    Function(
        "F.one_hot",
        lambda torch, x, **options: torch.nn.functional.one_hot(x, **options),
        lambda x, num_classes=-1: np.eye(
            int(x.max()) + 1 if num_classes == -1 else num_classes, dtype=np.int64
        )[x],
        lambda rng: [
            Case(
                f"{list(shape)} of {classes}",
                (_index(rng, 4, *shape),),
                {"num_classes": classes},
            )
            for shape in ((), (1,), (5,), (2, 3), (0, 2))
            for classes in (4, 7)
        ],
        (ErrorCase("floats", (_FLOATS,), RuntimeError, {"num_classes": 3}, "int64"),),
        differentiable=False,
    ),
)
