# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.
"""Making tensors, and turning them into other dtypes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from picograd.check.functions.cases import elementwise_cases, shape_cases
from picograd.check.functions.table import Case, ErrorCase, Formula, Function, by_name

_ONES = np.ones((2, 3), np.float32)
_SIZES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("rank 0", ()),
    ("empty", (0, 3)),
    ("size 1", (1,)),
    ("odd sizes", (3, 5)),
    ("rank 3", (2, 1, 3)),
)
_DTYPES = ("float32", "float64", "int64", "int32", "bool")


def _dtype(name: str | None) -> Any:
    return np.float32 if name is None else name.removeprefix("torch.")


def _without_tensors(cases: Sequence[tuple[str, Mapping[str, object]]]) -> Formula:
    return lambda rng: [Case(label, (), options) for label, options in cases]


def _filling(name: str, number: float) -> Function:
    sizes = [(label, {"size": size}) for label, size in _SIZES]
    dtypes = [(dtype, {"size": (2, 3), "dtype": f"torch.{dtype}"}) for dtype in _DTYPES]
    return Function(
        f"torch.{name}",
        lambda torch, size, **options: getattr(torch, name)(size, **options),
        lambda size, dtype=None: np.full(size, number, _dtype(dtype)),
        _without_tensors([*sizes, *dtypes]),
        (ErrorCase("a negative size", (), RuntimeError, {"size": (2, -1)}, match="negative"),),
        differentiable=False,
    )


def _like(name: str, number: float) -> Function:
    return Function(
        f"torch.{name}",
        by_name(f"torch.{name}"),
        lambda x: np.full_like(x, number),
        lambda rng: elementwise_cases(rng, bools=True),
        (ErrorCase("a list is no tensor", ([1.0],), TypeError),),
        differentiable=False,
    )


def _ranges() -> list[tuple[str, Mapping[str, object]]]:
    return [
        ("to an end", {"end": 5}),
        ("size 1", {"end": 1}),
        ("empty", {"end": 0}),
        ("from a start", {"start": 2, "end": 7}),
        ("in steps", {"start": 1, "end": 8, "step": 3}),
        ("in steps that fit", {"start": 1, "end": 7, "step": 3}),
        ("down", {"start": 5, "end": -3, "step": -2}),
        ("floats", {"start": 0.5, "end": 3.5, "step": 0.75}),
        ("a float end", {"end": 2.5}),
        ("float32", {"end": 4, "dtype": "torch.float32"}),
        ("float64", {"start": 0, "end": 1, "step": 0.125, "dtype": "torch.float64"}),
        ("int32", {"end": 4, "dtype": "torch.int32"}),
    ]


def _arange(end: float, start: float = 0, step: float = 1, dtype: str | None = None) -> Any:
    whole = all(isinstance(number, int) for number in (start, end, step))
    chosen = np.int64 if whole and dtype is None else _dtype(dtype)
    return np.arange(start, end, step).astype(chosen)


CREATION: tuple[Function, ...] = (
    _filling("zeros", 0),
    _filling("ones", 1),
    Function(
        "torch.full",
        lambda torch, size, fill_value, **options: torch.full(size, fill_value, **options),
        lambda size, fill_value, dtype=None: np.full(
            size, fill_value, None if dtype is None else _dtype(dtype)
        ),
        _without_tensors(
            [(label, {"size": size, "fill_value": 2.5}) for label, size in _SIZES]
            + [(f"{n!r}", {"size": (2, 3), "fill_value": n}) for n in (7, True, float("inf"))]
            + [
                (f"{d}", {"size": (2, 3), "fill_value": 3, "dtype": f"torch.{d}"})
                for d in ("float32", "int32", "float64")
            ]
        ),
        (
            ErrorCase(
                "a negative size",
                (),
                RuntimeError,
                {"size": (2, -1), "fill_value": 1},
                match="negative",
            ),
        ),
        differentiable=False,
    ),
    _like("zeros_like", 0),
    _like("ones_like", 1),
    Function(
        "torch.full_like",
        by_name("torch.full_like"),
        lambda x, fill_value: np.full_like(x, fill_value),
        lambda rng: elementwise_cases(rng, options={"fill_value": 3}),
        (ErrorCase("a list is no tensor", ([1.0],), TypeError, {"fill_value": 3}),),
        differentiable=False,
    ),
    Function(
        "torch.arange",
        lambda torch, end, start=0, step=1, **options: torch.arange(start, end, step, **options),
        _arange,
        _without_tensors(_ranges()),
        (
            ErrorCase("the other way", (), RuntimeError, {"start": 3, "end": 1}, match="never"),
            ErrorCase("no step", (), RuntimeError, {"end": 3, "step": 0}, match="never"),
        ),
        differentiable=False,
    ),
    Function(
        "torch.eye",
        lambda torch, n, m=None, **options: torch.eye(n, n if m is None else m, **options),
        lambda n, m=None, dtype=None: np.eye(n, m, dtype=_dtype(dtype)),
        _without_tensors(
            [
                ("size 1", {"n": 1}),
                ("empty", {"n": 0}),
                ("no columns", {"n": 3, "m": 0}),
                ("odd sizes", {"n": 3}),
                ("wide", {"n": 3, "m": 5}),
                ("high", {"n": 5, "m": 3}),
            ]
            + [(d, {"n": 2, "m": 3, "dtype": f"torch.{d}"}) for d in _DTYPES]
        ),
        (ErrorCase("a negative size", (), RuntimeError, {"n": -1}, match="negative"),),
        differentiable=False,
    ),
)


def _converted(name: str, dtype: Any) -> Function:
    def cases(rng: np.random.Generator) -> list[Case]:
        made = elementwise_cases(rng, domain=(-3.0, 3.0), bools=True, nonfinite=False)
        return [one for one in made if one.label != "ties"]

    return Function(
        f"Tensor.{name}",
        by_name(f"Tensor.{name}"),
        lambda x: x.astype(dtype),
        cases,
        (ErrorCase("an argument too many", (_ONES, 1, 2), TypeError),),
        differentiable=np.dtype(dtype).kind == "f",
        devices={} if name != "double" else {"gpu": "GPUs have no float64"},
    )


CONVERSION: tuple[Function, ...] = (
    _converted("float", np.float32),
    _converted("double", np.float64),
    _converted("int", np.int32),
    _converted("long", np.int64),
    _converted("bool", np.bool_),
    Function(
        "Tensor.to",
        lambda torch, x, dtype: x.to(dtype),
        lambda x, dtype: x.astype(_dtype(dtype)),
        lambda rng: shape_cases(
            rng,
            {
                "rank 0": ((), {"dtype": "torch.float32"}),
                "empty": ((0, 3), {"dtype": "torch.int64"}),
                "size 1": ((1,), {"dtype": "torch.bool"}),
                "odd sizes": ((3, 5), {"dtype": "torch.int32"}),
                "to double": ((2, 3), {"dtype": "torch.float64"}),
            },
            options={"dtype": "torch.float32"},
        ),
        (ErrorCase("no such device", (_ONES,), RuntimeError, {"dtype": "nowhere"}),),
        differentiable=False,
    ),
    Function(
        "Tensor.type_as",
        by_name("Tensor.type_as"),
        lambda x, y: x.astype(np.float32) if y.dtype == np.float64 else x.astype(y.dtype),
        lambda rng: [
            one
            for one in elementwise_cases(rng, 2, nonfinite=False)
            if one.label not in ("double", "ties")
        ],
        (ErrorCase("a number", (_ONES, 1.0), TypeError),),
        differentiable=False,
    ),
)

FUNCTIONS: tuple[Function, ...] = (*CREATION, *CONVERSION)
