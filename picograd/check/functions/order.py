"""Running totals, sorting, and what is picked by rank."""

# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.

from __future__ import annotations

from typing import Any

import numpy as np

from picograd.check.functions.cases import distinct, drawn
from picograd.check.functions.table import Case, ErrorCase, Formula, Function, View, by_name

_NO_AXIS = ErrorCase(
    "no such axis", (np.ones((2, 3), np.float32),), IndexError, {"dim": 2}, match="axis"
)


def _rows(function: Formula) -> Formula:
    """A function along an axis, for 0-d arrays too."""

    def along(x: Any, dim: int = -1, **options: Any) -> Any:
        if np.ndim(x):
            return function(x, dim, **options)
        return tuple(
            np.reshape(r, ()) for r in _listed(function(np.reshape(x, (1,)), 0, **options))
        )

    return along


def _listed(result: Any) -> Any:
    return result if isinstance(result, tuple) else (result,)


def _cases(*, picks: bool, index: bool = False, near_one: bool = False, **options: Any) -> Formula:
    """Cases along an axis. `picks`: elements must differ where a gradient is taken."""

    def cases(rng: np.random.Generator) -> list[Case]:
        def values(*shape: int, dtype: Any = np.float32) -> Any:
            if picks and np.dtype(dtype).kind == "f":
                return distinct(rng, shape).astype(dtype)
            within = (0.5, 1.5) if near_one else (-2.0, 2.0)
            return drawn(
                rng, shape, within if np.dtype(dtype).kind == "f" else (-3, 3), dtype=dtype
            )

        def of(label: str, x: Any, gradient: bool = True, **more: Any) -> Case:
            return Case(label, (x,), {**options, **more}, gradient and not index)

        ties = np.array([[1, 0.5, 1, 0.5], [0.5, 0.5, 1, 1]], np.float32)
        special = np.array(
            [[np.nan, 1, 0.5], [np.inf, 1, -np.inf], [0.5, np.nan, 1], [1, np.inf, np.nan]],
            np.float32,
        )
        return [
            of("rank 0", values(), dim=0),
            of("size 1", values(1, 1), dim=1),
            of("odd sizes", values(3, 5), dim=1),
            of("first axis", values(3, 5), dim=0),
            of("rank 3", values(2, 3, 2), dim=1),
            of("empty result", np.zeros((0, 3), np.float32), dim=1),
            of("long row", values(17), dim=-1),
            of("permuted view", View(values(3, 4), "permuted"), dim=0),
            of("expanded view", View(values(3, 4), "expanded"), not picks, dim=1),
            of("sliced view", View(values(3, 3), "sliced"), dim=-1),
            of("ties", ties, not picks, dim=1),
            of("NaN and infinity", special, False, dim=1),
            of("negative zero", np.array([[-0.0, 0.0, -0.0]], np.float32), False, dim=1),
            of("double", values(2, 3, dtype=np.float64), dim=0),
            of("int64", values(3, 4, dtype=np.int64), False, dim=1),
            of("bools", values(3, 4, dtype=np.bool_), False, dim=1),
        ]

    return cases


def _without(cases: Formula, *labels: str) -> Formula:
    return lambda rng: [case for case in cases(rng) if case.label not in labels]


def _totals(accumulate: Formula) -> Formula:
    def totals(x: Any, dim: int) -> Any:
        return accumulate(x.astype(np.int64) if x.dtype.kind in "bi" else x, dim)

    return totals


def _running(ufunc: np.ufunc, beats: Formula) -> Formula:
    """The running extremum, and where it stands: the last of equal ones, or the last NaN."""

    def running(x: Any, dim: int) -> Any:
        values, where = np.array(x), np.zeros(x.shape, np.int64)
        rows, places = np.moveaxis(values, dim, 0), np.moveaxis(where, dim, 0)
        for n in range(1, len(rows)):
            old = rows[n - 1]
            new = np.isnan(rows[n]) | (~np.isnan(old) & beats(rows[n], old))
            places[n] = np.where(new, n, places[n - 1])
            rows[n] = np.where(new, rows[n], old)
        return values, where

    return running


def _order(x: Any, dim: int = -1, descending: bool = False) -> Any:
    """Stable, NaN as the greatest: Python sorts one row at a time."""
    order = np.zeros(x.shape, np.int64)
    rows, places = np.moveaxis(x, dim, -1), np.moveaxis(order, dim, -1)
    for index in np.ndindex(rows.shape[:-1]):
        nan = np.isnan(rows[index])
        keys = list(zip(nan.tolist(), np.where(nan, 0, rows[index]).tolist(), strict=True))
        ranked = sorted(range(len(keys)), key=lambda n: (keys[n], n))
        if descending:
            ranked = sorted(range(len(keys)), key=lambda n: ((-keys[n][0], -keys[n][1]), n))
        places[index] = ranked
    return order


def _sorted(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    order = _order(x, dim, descending)
    return np.take_along_axis(x, order, dim), order


def _top(x: Any, dim: int, k: int, largest: bool = True) -> Any:
    order = np.take(_order(x, dim, largest), range(k), dim)
    return np.take_along_axis(x, order, dim), order


def _ranked(x: Any, dim: int, k: int) -> Any:
    order = np.take(_order(x, dim), [k - 1], dim)
    return np.take_along_axis(x, order, dim).squeeze(dim), order.squeeze(dim)


def _median(x: Any, dim: int) -> Any:
    order = _order(x, dim)
    middle = (x.shape[dim] - 1) // 2
    known = np.sum(~np.isnan(x), dim, keepdims=True)
    rank = np.where(known < x.shape[dim], known, middle)
    place = np.take_along_axis(order, rank, dim)
    return np.take_along_axis(x, place, dim).squeeze(dim), place.squeeze(dim)


def _logcumsumexp(x: Any, dim: int) -> Any:
    return np.logaddexp.accumulate(x, dim)


_UNSTABLE = "Of equal elements PyTorch may name another index; picograd names the first."

FUNCTIONS: tuple[Function, ...] = (
    Function(
        "torch.cumsum",
        by_name("torch.cumsum"),
        _rows(_totals(np.cumsum)),
        _cases(picks=False),
        (_NO_AXIS,),
    ),
    Function(
        "torch.cumprod",
        by_name("torch.cumprod"),
        _rows(_totals(np.cumprod)),
        lambda rng: [
            *_cases(picks=False, near_one=True)(rng),
            Case("a zero", (np.array([[2, 0, 3, 4], [0, 2, 0, 3]], np.float32),), {"dim": 1}),
        ],
        (_NO_AXIS,),
    ),
    Function(
        "torch.cummax",
        by_name("torch.cummax"),
        _rows(_running(np.maximum, np.greater_equal)),
        _cases(picks=True),
        (_NO_AXIS,),
    ),
    Function(
        "torch.cummin",
        by_name("torch.cummin"),
        _rows(_running(np.minimum, np.less_equal)),
        _cases(picks=True),
        (_NO_AXIS,),
    ),
    Function(
        "torch.logcumsumexp",
        by_name("torch.logcumsumexp"),
        _rows(_logcumsumexp),
        _without(_cases(picks=False), "int64", "bools", "NaN and infinity", "negative zero"),
        (_NO_AXIS,),
        differences="An element below its row's maximum by more than exp can tell is -inf alone.",
    ),
    Function(
        "torch.sort",
        lambda torch, x, dim=-1, **options: torch.sort(x, dim=dim, stable=True, **options),
        _rows(_sorted),
        lambda rng: [
            *_cases(picks=True)(rng),
            *(
                Case(
                    f"down, {c.label}",
                    c.inputs,
                    {**c.options, "descending": True},
                    c.gradient,
                )
                for c in _cases(picks=True)(rng)[2:14:3]
            ),
        ],
        (_NO_AXIS,),
    ),
    Function(
        "torch.argsort",
        lambda torch, x, dim=-1, **options: torch.argsort(x, dim=dim, stable=True, **options),
        _rows(_order),
        lambda rng: [
            *_cases(picks=True, index=True)(rng),
            *(
                Case(f"down, {c.label}", c.inputs, {**c.options, "descending": True}, False)
                for c in _cases(picks=True)(rng)[3:14:3]
            ),
        ],
        (_NO_AXIS,),
        differentiable=False,
    ),
    Function(
        "torch.topk",
        by_name("torch.topk"),
        _rows(_top),
        lambda rng: [
            *_without(_cases(picks=True, k=1), "ties", "bools", "negative zero", "int64")(rng),
            Case("two", (distinct(rng, (3, 5)),), {"k": 2, "dim": 1}),
            Case("the smallest", (distinct(rng, (3, 5)),), {"k": 3, "dim": 1, "largest": False}),
            Case("none", (distinct(rng, (3, 5)),), {"k": 0, "dim": 0}),
            Case("all", (distinct(rng, (4,)),), {"k": 4, "dim": 0}),
        ],
        (
            ErrorCase(
                "more than there are",
                (np.ones((2, 3), np.float32),),
                RuntimeError,
                {"k": 4},
                match="topk of an axis of 3",
            ),
        ),
        differences=_UNSTABLE,
    ),
    Function(
        "torch.kthvalue",
        by_name("torch.kthvalue"),
        _rows(_ranked),
        lambda rng: [
            *_without(_cases(picks=True, k=1), "ties", "bools", "negative zero", "int64")(rng),
            Case("the third", (distinct(rng, (3, 5)),), {"k": 3, "dim": 1}),
        ],
        (
            ErrorCase(
                "none", (np.ones((2, 3), np.float32),), RuntimeError, {"k": 0}, match="kthvalue"
            ),
        ),
        differences=_UNSTABLE,
    ),
    Function(
        "torch.median",
        by_name("torch.median"),
        _rows(_median),
        _without(_cases(picks=True), "ties", "bools", "negative zero", "int64"),
        (
            ErrorCase(
                "no elements",
                (np.ones((2, 0), np.float32),),
                IndexError,
                {"dim": 1},
                match="no elements",
            ),
        ),
        differences=_UNSTABLE,
    ),
)
