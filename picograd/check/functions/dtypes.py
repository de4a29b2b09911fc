"""A representative set of functions in every dtype: result dtypes, wrap-around, rounding."""

# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from picograd.check.functions.table import Case, ErrorCase, Formula, Function, View, by_name
from picograd.dialects.literals import Array

INTEGERS = ("int8", "int16", "uint8", "int32", "int64")
FLOATS = ("float16", "bfloat16", "float32", "float64")
HALVES = FLOATS[:2]
_WITH_VIEWS = ("int8", "uint8")
EVERY = " in every dtype"

_DIVISION_BY_ZERO = "PyTorch raises an error for an integer divided by zero; here that is 0."
_OUT_OF_RANGE = "what does not fit is the nearest integer here, and undefined in PyTorch"


def integers(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> Array:
    """Numbers of the whole range of a narrow dtype, so that arithmetic wraps around; int64 holds
    32 bits on a GPU, so of the others those whose products do not.
    """
    limits = np.iinfo(dtype)
    wide = limits.bits > 16
    low, high = (-9000, 9000) if wide else (limits.min, limits.max)
    return rng.integers(low, high + 1, shape).astype(dtype)


def floats(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Numbers without ties, of either sign, that no dtype is too narrow for."""
    return rng.uniform(-2, 2, shape).astype(np.float32)


def in_every_dtype(
    operands: int = 1,
    *,
    integer: bool = True,
    floating: bool = True,
    shape: Sequence[int] = (3, 5),
    nonzero: bool = False,
    options: dict[str, object] | None = None,
) -> Callable[[np.random.Generator], list[Case]]:
    """For each dtype ordinary arrays, and a permuted view of those that machines lack."""
    given = options or {}

    def cases(rng: np.random.Generator) -> list[Case]:
        made: list[Case] = []
        for dtype in INTEGERS if integer else ():
            arrays = [integers(rng, shape, dtype) for _ in range(operands)]
            if nonzero:
                arrays[-1] = np.where(arrays[-1] == 0, 7, arrays[-1]).astype(dtype)
            made.append(Case(dtype, tuple(arrays), given))
            if dtype in _WITH_VIEWS:
                views = (View(arrays[0], "permuted"), *arrays[1:])
                made.append(Case(f"{dtype}, permuted view", views, given))
        for dtype in FLOATS if floating else ():
            wide = np.float64 if dtype == "float64" else np.float32
            arrays = [floats(rng, shape).astype(wide) for _ in range(operands)]
            if nonzero:
                arrays[-1] = np.copysign(np.abs(arrays[-1]) + 0.25, arrays[-1]).astype(wide)
            narrow = dtype if dtype in HALVES else ""
            made.append(Case(dtype, tuple(arrays), given, dtype=narrow))
            if narrow:
                views = (View(arrays[0], "permuted"), *arrays[1:])
                made.append(Case(f"{dtype}, permuted view", views, given, dtype=narrow))
                empty = tuple(array[:0] for array in arrays)
                made.append(
                    Case(
                        f"{dtype}, rank 0",
                        tuple(np.asarray(a[0, 0]) for a in arrays),
                        given,
                        dtype=narrow,
                    )
                )
                if shape[0] != shape[1]:
                    made.append(Case(f"{dtype}, empty", empty, given, dtype=narrow))
        return made

    return cases


def without(
    cases: Callable[[np.random.Generator], list[Case]], *words: str
) -> Callable[[np.random.Generator], list[Case]]:
    """The cases whose labels do not hold one of some words."""
    return lambda rng: [case for case in cases(rng) if not any(w in case.label for w in words)]


def differing_in_halves(
    cases: Callable[[np.random.Generator], list[Case]], why: str
) -> Callable[[np.random.Generator], list[Case]]:
    """The cases, where those of halves say why PyTorch gives something else."""
    return lambda rng: [replace(one, differs=why if one.dtype else "") for one in cases(rng)]


def mixed(rng: np.random.Generator) -> list[Case]:
    """Two operands of every two dtypes: tensors, and a 0-d tensor, which counts for its kind."""
    made: list[Case] = []
    dtypes = [*INTEGERS, "float16", "float32", "bool"]
    for number, one in enumerate(dtypes):
        for other in dtypes[number + 1 :]:
            a, b = (_any(rng, (4,), dtype) for dtype in (one, other))
            made.append(Case(f"{one} and {other}", (a, b)))
            made.append(Case(f"{one} and a 0-d {other}", (a, b[0])))
    return made


def _any(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> Array:
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype in INTEGERS:
        return rng.integers(0, 11, shape).astype(dtype)
    return (rng.integers(-8, 9, shape) / 4).astype(dtype)


def _sum_of_mixed(a: Array, b: Array) -> Array:
    """In exact arithmetic: no sum here leaves the narrowest dtype."""
    if a.dtype.kind == "b" and b.dtype.kind == "b":
        return a | b
    kind = np.float64 if "f" in (a.dtype.kind, b.dtype.kind) else np.int64
    return a.astype(kind) + b.astype(kind)


def conversions(target: str) -> Callable[[np.random.Generator], list[Case]]:
    """To one dtype from every other: numbers that fit, and integers that wrap around."""

    def cases(rng: np.random.Generator) -> list[Case]:
        made = [Case(f"from {dtype}", (_any(rng, (3, 5), dtype),)) for dtype in ("bool", *INTEGERS)]
        for dtype in ("int16", "int32", "int64"):
            made.append(Case(f"from {dtype}, wrapping", (integers(rng, (3, 5), dtype),)))
        for dtype in FLOATS:
            numbers = rng.integers(0, 80, (3, 5)) + rng.choice([0.0, 0.25, 0.75], (3, 5))
            wide = np.float64 if dtype == "float64" else np.float32
            narrow = dtype if dtype in HALVES else ""
            made.append(Case(f"from {dtype}", (numbers.astype(wide),), dtype=narrow))
        return made

    return cases


def to_integer(dtype: str) -> Formula:
    """Toward zero, and modulo the range."""
    return lambda x: np.trunc(x).astype(np.int64).astype(dtype)


def conversion(method: str, target: str) -> Function:
    """The row of a method that converts."""
    name = f"Tensor.{method}"
    to_float = target in FLOATS
    return Function(
        name,
        by_name(name),
        (lambda x: x.astype(np.float64)) if to_float else to_integer(target),
        conversions(target),
        (ErrorCase("an argument", (np.ones(2, np.float32), 3), TypeError),),
        differentiable=to_float,
        differences="" if to_float else f"Of a float, {_OUT_OF_RANGE}.",
    )


def row(
    name: str,
    numpy: Formula,
    cases: Callable[[np.random.Generator], list[Case]],
    *errors: ErrorCase,
    call: Formula | None = None,
    differentiable: bool = True,
    differences: str = "",
) -> Function:
    """The row of a function that other families know, in every dtype."""
    return Function(
        name + EVERY,
        call or by_name(name),
        numpy,
        cases,
        errors or (ErrorCase("a string", (np.ones(2, np.float16), "x"), TypeError),),
        differentiable,
        differences,
    )


def _in_float64(function: Callable[..., Any]) -> Formula:
    """NumPy computes functions of small integers in float16."""
    return lambda x, **options: function(x.astype(np.float64), **options)


def _softmax(x: Array, dim: int) -> Array:
    powers = np.exp(x - x.max(dim, keepdims=True)) if x.size else x
    return powers / powers.sum(dim, keepdims=True) if x.size else x


_NO_MEAN = ErrorCase("integers", (np.array([1, 2], np.int8),), RuntimeError, match="float")
_NO_AXIS = ErrorCase("an axis it lacks", (np.ones(2, np.float16), 3), IndexError)
_NO_FIT = ErrorCase(
    "sizes that differ", (np.ones((2, 3), np.float16), np.ones((2, 3), np.float16)), RuntimeError
)
_SOFTMAX_GRADIENT = (
    "Of halves PyTorch computes the gradient from the rounded result; here it is computed in"
    " float32 and rounded once."
)
_NO_BITS = ErrorCase(
    "floats", (np.ones(2, np.float16), np.ones(2, np.float16)), RuntimeError, match="float16"
)

FUNCTIONS: tuple[Function, ...] = (
    conversion("half", "float16"),
    conversion("bfloat16", "bfloat16"),
    conversion("char", "int8"),
    conversion("short", "int16"),
    conversion("byte", "uint8"),
    row("torch.add", np.add, in_every_dtype(2)),
    row("torch.sub", np.subtract, in_every_dtype(2)),
    row("torch.mul", np.multiply, in_every_dtype(2)),
    row("torch.div", lambda a, b: a / b.astype(np.float64), in_every_dtype(2, nonzero=True)),
    row(
        "torch.floor_divide",
        np.floor_divide,
        in_every_dtype(2, floating=False, nonzero=True),
        differences=_DIVISION_BY_ZERO,
    ),
    row(
        "torch.remainder",
        np.remainder,
        in_every_dtype(2, floating=False, nonzero=True),
        differences=_DIVISION_BY_ZERO,
    ),
    row("torch.maximum", np.maximum, in_every_dtype(2)),
    row("torch.lt", np.less, in_every_dtype(2), differentiable=False),
    row(
        "torch.bitwise_and",
        np.bitwise_and,
        in_every_dtype(2, floating=False),
        _NO_BITS,
        differentiable=False,
    ),
    row("torch.neg", np.negative, in_every_dtype()),
    row("torch.abs", np.abs, in_every_dtype()),
    row("torch.square", np.square, in_every_dtype()),
    row("torch.tanh", _in_float64(np.tanh), in_every_dtype()),
    row(
        "torch.sum",
        lambda x: x.sum(dtype=np.float64 if x.dtype.kind == "f" else np.int64),
        in_every_dtype(),
        _NO_AXIS,
    ),
    row(
        "torch.amax",
        lambda x, dim: x.max(dim),
        without(in_every_dtype(options={"dim": -1}), "empty"),
        _NO_AXIS,
    ),
    row("torch.mean", np.mean, without(in_every_dtype(integer=False), "empty"), _NO_MEAN),
    row(
        "torch.argmax",
        lambda x, dim: x.argmax(dim),
        without(in_every_dtype(options={"dim": 0}), "empty", "rank 0"),
        _NO_AXIS,
        differentiable=False,
    ),
    row(
        "torch.cumsum",
        lambda x, dim: x.cumsum(dim, dtype=np.float64 if x.dtype.kind == "f" else np.int64),
        without(in_every_dtype(options={"dim": 0}), "rank 0"),
        _NO_AXIS,
    ),
    row(
        "torch.softmax",
        _softmax,
        differing_in_halves(
            without(in_every_dtype(integer=False, options={"dim": -1}), "rank 0"),
            _SOFTMAX_GRADIENT,
        ),
        _NO_AXIS,
        differences=_SOFTMAX_GRADIENT,
    ),
    row("torch.matmul", np.matmul, without(in_every_dtype(2, shape=(4, 4)), "rank 0"), _NO_FIT),
    row(
        "torch.flip",
        lambda x, dims: np.flip(x, dims),
        without(in_every_dtype(options={"dims": (0,)}), "rank 0"),
        ErrorCase("an axis it lacks", (np.ones(2, np.float16),), IndexError, {"dims": (3,)}),
    ),
    row("Tensor.add", _sum_of_mixed, mixed, differentiable=False),
)
