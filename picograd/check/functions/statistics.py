# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.
"""Reductions with two results or that pass over NaN, closeness, and forms of other functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from picograd.check.functions.cases import (
    case,
    drawn,
    elementwise_cases,
    reduction_cases,
    shape_cases,
)
from picograd.check.functions.elementwise import NO_TENSOR
from picograd.check.functions.reductions import along
from picograd.check.functions.table import Case, ErrorCase, Function, View, by_name, in_place

_ONES = np.ones((2, 3), np.float32)
_NO_AXIS = ErrorCase("no such axis", (_ONES,), IndexError, {"dim": 2}, match="axis 2")
_SIZES: dict[str, Any] = {
    "rank 0": ((), {}),
    "rank 1": ((3,), {}),
    "empty": ((0, 3), {}),
    "size 1": ((1,), {}),
    "odd sizes": ((3, 5), {}),
    "rank 3": ((2, 1, 3), {}),
}


def _mean_and(spread: Any) -> Any:
    def both(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        axis = None if np.ndim(x) == 0 else dim
        mean = np.mean(x, axis=axis, keepdims=keepdim)
        return spread(x, axis=axis, ddof=1, keepdims=keepdim), mean

    return both


def _extremes(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    axis = None if np.ndim(x) == 0 else dim
    return np.min(x, axis=axis, keepdims=keepdim), np.max(x, axis=axis, keepdims=keepdim)


def _counted(x: Any, dim: Any = None) -> Any:
    return np.count_nonzero(x, axis=None if np.ndim(x) == 0 else dim)


def _shaped(x: Any, y: Any) -> Any:
    return np.reshape(x, y.shape)


def _pair_cases(rng: np.random.Generator, *, same_size: bool) -> list[Case]:
    """A tensor, and another one whose shape it takes."""
    shapes = [
        ("rank 0", (1,), ()) if same_size else ("rank 0", (), ()),
        ("empty", (0, 3), (3, 0)) if same_size else ("empty", (0, 1), (0, 3)),
        ("size 1", (1,), (1, 1)),
        ("odd sizes", (3, 5), (5, 3)) if same_size else ("odd sizes", (3, 1), (3, 5)),
        ("rank 3", (6,), (1, 2, 3)) if same_size else ("rank 3", (1, 3), (2, 1, 3)),
        ("same shape", (2, 3), (2, 3)),
        ("long", (67,), (67, 1)) if same_size else ("long", (1,), (67,)),
    ]
    cases = [
        Case(label, (drawn(rng, shape), drawn(rng, to).astype(np.int64)))
        for label, shape, to in shapes
    ]
    others = [
        ("int64", drawn(rng, (2, 3), (-9, 9), dtype=np.int64)),
        ("bools", drawn(rng, (2, 3), dtype=np.bool_)),
        ("double", drawn(rng, (2, 3), dtype=np.float64)),
    ]
    target = np.zeros((2, 3), np.int64)
    seen = Case("permuted view", (drawn(rng, (2, 3)), View(target, "permuted")))
    return [*cases, seen, *(Case(label, (array, target)) for label, array in others)]


_WITH_NAN = np.array([np.nan, np.inf, -np.inf, 1], np.float32)


def _close_cases(rng: np.random.Generator) -> list[Case]:
    cases = [one for one in elementwise_cases(rng, 2) if one.label != "mixed dtypes"]
    array = drawn(rng, (3, 5))
    return [
        *cases,
        Case("nearly equal", (array, (array * (1 + 3e-6)).astype(np.float32))),
        Case("equal NaN", (_WITH_NAN, _WITH_NAN), {"equal_nan": True}),
        Case("wide", (array, (array * 1.01).astype(np.float32)), {"rtol": 0.1}),
    ]


def _filled_cases(rng: np.random.Generator) -> list[Case]:
    return [
        one
        for one in elementwise_cases(rng, bools=True, options={"value": 3})
        if one.label != "bools"
    ]


def _spaced(start: float, end: float, steps: int) -> Any:
    return np.linspace(start, end, steps, dtype=np.float64)


_SPANS: tuple[tuple[float, float, int], ...] = (
    (0, 1, 5),
    (0, 1, 1),
    (0, 1, 0),
    (0, 1, 2),
    (3, -2, 6),
    (-1, 1, 9),
    (2, 2, 3),
    (0.5, 7.25, 4),
    (-4, 4, 65),
    (0, 4, 5),
)

_FILLED = "What was filled in place requires no gradient; in PyTorch it does, and it is 0."

FUNCTIONS: tuple[Function, ...] = (
    Function(
        "torch.aminmax",
        by_name("torch.aminmax"),
        _extremes,
        lambda rng: reduction_cases(
            rng, several_axes=False, empty=False, picks=True, integers=True
        ),
        (_NO_AXIS,),
    ),
    Function(
        "torch.count_nonzero",
        by_name("torch.count_nonzero"),
        _counted,
        lambda rng: reduction_cases(rng, keepdim=False, integers=True, bools=True),
        (_NO_AXIS,),
        differentiable=False,
    ),
    Function(
        "torch.nansum",
        by_name("torch.nansum"),
        along(np.nansum),
        lambda rng: reduction_cases(rng, integers=True),
        (_NO_AXIS,),
    ),
    Function(
        "torch.nanmean",
        by_name("torch.nanmean"),
        along(np.nanmean),
        lambda rng: reduction_cases(rng),
        (_NO_AXIS,),
    ),
    *(
        Function(
            f"torch.{name}",
            by_name(f"torch.{name}"),
            _mean_and(spread),
            lambda rng: [
                one for one in reduction_cases(rng, nonfinite=False) if one.label != "ties"
            ],
            (_NO_AXIS,),
        )
        for name, spread in (("std_mean", np.std), ("var_mean", np.var))
    ),
    Function(
        "torch.isclose",
        by_name("torch.isclose"),
        lambda x, y, rtol=1e-5, **options: np.isclose(x, y, rtol=rtol, **options),
        _close_cases,
        (ErrorCase("another dtype", (_ONES, np.ones((2, 3), np.int64)), RuntimeError),),
        differentiable=False,
    ),
    Function(
        "torch.bitwise_not",
        by_name("torch.bitwise_not"),
        np.invert,
        lambda rng: elementwise_cases(rng, floats=False, overflow=True, bools=True),
        (ErrorCase("floats", (_ONES,), RuntimeError),),
        differentiable=False,
        also=("Tensor.__invert__",),
    ),
    Function(
        "torch.true_divide",
        by_name("torch.true_divide"),
        np.true_divide,
        lambda rng: elementwise_cases(rng, 2, domain=((-2.0, 2.0), (0.3, 2.0))),
        (ErrorCase("sizes", (_ONES, np.ones(2, np.float32)), RuntimeError, match="broadcast"),),
    ),
    Function(
        "torch.addmv",
        by_name("torch.addmv"),
        lambda x, mat, vec: x + mat @ vec,
        lambda rng: [
            case(rng, "odd sizes", (3,), (3, 5), (5,)),
            case(rng, "broadcast", (1,), (3, 5), (5,)),
            case(rng, "rank 0", (), (3, 5), (5,)),
            case(rng, "size 1", (1,), (1, 1), (1,)),
            case(rng, "empty", (0,), (0, 3), (3,)),
            case(rng, "empty inside", (2,), (2, 0), (0,)),
            case(rng, "long", (3,), (3, 67), (67,)),
            case(rng, "high", (67,), (67, 2), (2,)),
            case(rng, "double", (3,), (3, 5), (5,), dtype=np.float64),
            case(rng, "int64", (3,), (3, 5), (5,), within=(-9, 9), dtype=np.int64),
        ],
        (ErrorCase("sizes", (_ONES[0], _ONES, _ONES[0]), RuntimeError),),
    ),
    Function(
        "torch.ravel",
        by_name("torch.ravel"),
        np.ravel,
        lambda rng: shape_cases(rng, _SIZES),
        (NO_TENSOR,),
    ),
    Function(
        "torch.atleast_1d",
        by_name("torch.atleast_1d"),
        np.atleast_1d,
        lambda rng: shape_cases(rng, _SIZES),
        (NO_TENSOR,),
    ),
    Function(
        "torch.atleast_2d",
        by_name("torch.atleast_2d"),
        np.atleast_2d,
        lambda rng: shape_cases(rng, _SIZES),
        (NO_TENSOR,),
    ),
    Function(
        "torch.broadcast_tensors",
        by_name("torch.broadcast_tensors"),
        lambda x, y: np.broadcast_arrays(x, y),
        lambda rng: elementwise_cases(rng, 2, bools=True),
        (ErrorCase("sizes", (_ONES, np.ones(2, np.float32)), RuntimeError, match="broadcast"),),
    ),
    Function(
        "Tensor.expand_as",
        by_name("Tensor.expand_as"),
        lambda x, y: np.broadcast_to(x, y.shape),
        lambda rng: _pair_cases(rng, same_size=False),
        (ErrorCase("another size", (_ONES, np.ones((2, 4), np.float32)), RuntimeError),),
    ),
    *(
        Function(
            f"Tensor.{name}",
            by_name(f"Tensor.{name}"),
            _shaped,
            lambda rng: _pair_cases(rng, same_size=True),
            (ErrorCase("another number", (_ONES, np.ones((2, 4), np.float32)), RuntimeError),),
        )
        for name in ("view_as", "reshape_as")
    ),
    Function(
        "Tensor.fill_",
        in_place("fill_"),
        lambda x, value: np.full_like(x, value),
        _filled_cases,
        (ErrorCase("a string", (_ONES,), TypeError, {"value": "three"}),),
        differentiable=False,
        differences=_FILLED,
    ),
    Function(
        "Tensor.zero_",
        in_place("zero_"),
        np.zeros_like,
        lambda rng: elementwise_cases(rng, bools=True),
        (ErrorCase("an argument too many", (_ONES, 1.0), TypeError, match="argument"),),
        differentiable=False,
        differences=_FILLED,
    ),
    *(
        Function(
            f"Tensor.{name}",
            lambda torch, x, size, name=name: getattr(x, name)(size),
            lambda x, size, number=number: np.full(
                size, number, x.dtype if x.dtype != np.float64 else np.float32
            ),
            lambda rng: shape_cases(
                rng,
                {
                    label: (shape, {"size": size})
                    for label, shape, size in (
                        ("rank 0", (), ()),
                        ("empty", (2,), (0, 3)),
                        ("size 1", (1,), (1,)),
                        ("odd sizes", (3,), (3, 5)),
                    )
                },
                options={"size": (2, 2)},
            ),
            (ErrorCase("a negative size", (_ONES,), RuntimeError, {"size": (2, -1)}, "negative"),),
            differentiable=False,
        )
        for name, number in (("new_zeros", 0), ("new_ones", 1))
    ),
    Function(
        "Tensor.new_full",
        by_name("Tensor.new_full"),
        lambda x, size, fill_value: np.full(size, fill_value),
        lambda rng: shape_cases(
            rng,
            {
                "rank 0": ((), {"size": (), "fill_value": 1}),
                "empty": ((2,), {"size": (0, 3), "fill_value": 1}),
                "size 1": ((1,), {"size": (1,), "fill_value": 1}),
            },
            options={"size": (2, 2), "fill_value": 1},
        ),
        (
            ErrorCase(
                "a negative size",
                (_ONES,),
                RuntimeError,
                {"size": (2, -1), "fill_value": 1},
                "negative",
            ),
        ),
        differentiable=False,
    ),
    Function(
        "torch.linspace",
        lambda torch, start, end, steps: torch.linspace(start, end, steps),
        _spaced,
        lambda rng: [
            Case(f"{a} to {b} in {n}", (), {"start": a, "end": b, "steps": n}) for a, b, n in _SPANS
        ],
        (ErrorCase("negative", (), RuntimeError, {"start": 0, "end": 1, "steps": -1}),),
        differentiable=False,
    ),
    Function(
        "torch.logspace",
        lambda torch, start, end, steps: torch.logspace(start, end, steps),
        lambda start, end, steps: 10.0 ** _spaced(start, end, steps),
        lambda rng: [
            Case(f"{a} to {b} in {n}", (), {"start": a, "end": b, "steps": n}) for a, b, n in _SPANS
        ],
        (ErrorCase("negative", (), RuntimeError, {"start": 0, "end": 1, "steps": -1}),),
        differentiable=False,
    ),
)
