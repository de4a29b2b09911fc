"""Functions of one tensor, element by element."""

# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from picograd.check.functions.cases import differing, elementwise_cases, labelled
from picograd.check.functions.table import Case, ErrorCase, Formula, Function, by_name, in_place
from picograd.dialects.literals import Array

NO_TENSOR = ErrorCase("a list is no tensor", ([1.0, 2.0],), TypeError, match="tensor")
NO_OPERAND = ErrorCase("a string is no operand", (np.ones(3, np.float32), "three"), TypeError)
FLOATS_ONLY = ErrorCase("integers", (np.array([1, 2]),), RuntimeError, match="float")

_WHOLE = (-2.0, -1.0, 0.0, 1.0, 2.0)
_HALVES = (-1.5, -0.5, 0.5, 1.5)

erf = np.vectorize(math.erf, otypes=[np.float64])


def unary(
    name: str,
    numpy: Formula,
    call: Formula | None = None,
    *,
    also: Sequence[str] = (),
    errors: Sequence[ErrorCase] = (NO_TENSOR,),
    differentiable: bool = True,
    at_nan: str = "",
    **given: Any,
) -> Function:
    """A row of a function of one tensor; `given` goes to `elementwise_cases`.

    `at_nan` says what differs from PyTorch where the element is NaN.
    """

    def cases(rng: np.random.Generator) -> list[Case]:
        made = elementwise_cases(rng, **given)
        return differing(made, at_nan, "NaN and infinity") if at_nan else made

    return Function(
        name,
        by_name(name) if call is None else call,
        numpy,
        cases,
        tuple(errors),
        differentiable,
        at_nan,
        also=tuple(also),
    )


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _gelu(x: Array, approximate: str = "none") -> Array:
    if approximate == "none":
        return x * (1 + erf(x / np.sqrt(2))) / 2
    return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2


def _gelu_cases(rng: np.random.Generator) -> list[Case]:
    exact = elementwise_cases(rng, integers=False, nonfinite=False)
    by_tanh = elementwise_cases(
        rng, integers=False, nonfinite=False, options={"approximate": "tanh"}
    )
    return [*exact, *labelled(by_tanh[3:6], "by tanh")]


def _clamped(x: Array, min: float | None = None, max: float | None = None) -> Array:
    return np.clip(x, min, max)


def _clamp_cases(rng: np.random.Generator) -> list[Case]:
    both: dict[str, object] = {"min": -0.5, "max": 1}
    cases = elementwise_cases(rng, kinks=(-0.5, 1), options=both)
    below = elementwise_cases(rng, kinks=(0.25,), options={"min": 0.25})
    above = elementwise_cases(rng, kinks=(0,), options={"max": 0})
    cases = differing(cases, _CLAMP_AT_NAN, "NaN and infinity")
    return [*cases, *labelled(below[3:5], "min only"), *labelled(above[3:5], "max only")]


_CLAMP_AT_NAN = "The gradient of clamp passes where the element is NaN; PyTorch's is 0 there."

FUNCTIONS: tuple[Function, ...] = (
    unary("torch.exp", np.exp),
    unary("torch.log", np.log, domain=(0.1, 4)),
    unary("torch.sqrt", np.sqrt, domain=(0.1, 4)),
    unary("torch.rsqrt", lambda x: 1 / np.sqrt(x), domain=(0.1, 4)),
    unary("torch.sin", np.sin),
    unary("torch.cos", np.cos),
    unary("torch.tanh", np.tanh, also=("F.tanh",)),
    unary("torch.erf", erf),
    unary("torch.sigmoid", _sigmoid, also=("F.sigmoid",)),
    unary(
        "torch.relu",
        lambda x: np.maximum(x, 0),
        also=("F.relu",),
        kinks=(0,),
        overflow=True,
    ),
    unary(
        "Tensor.relu_",
        lambda x: np.maximum(x, 0),
        in_place("relu_"),
        kinks=(0,),
        errors=(ErrorCase("an argument too many", (np.ones(3, np.float32), 2.0), TypeError),),
    ),
    Function(
        "F.gelu",
        by_name("F.gelu"),
        _gelu,
        _gelu_cases,
        (
            FLOATS_ONLY,
            ErrorCase("another way", (np.ones(3, np.float32),), RuntimeError, {"approximate": "x"}),
        ),
    ),
    unary("torch.neg", np.negative, also=("Tensor.__neg__", "torch.negative"), overflow=True),
    unary(
        "torch.abs",
        np.abs,
        also=("Tensor.__abs__", "torch.absolute"),
        kinks=(0,),
        overflow=True,
        at_nan="The gradient of abs is NaN where the element is; PyTorch's is 0.",
    ),
    unary(
        "torch.sign",
        np.sign,
        kinks=(0,),
        overflow=True,
        at_nan="The sign of NaN is NaN, as in NumPy; PyTorch's is 0.",
    ),
    unary("torch.floor", np.floor, kinks=_WHOLE, overflow=True),
    unary("torch.ceil", np.ceil, kinks=_WHOLE, overflow=True),
    unary("torch.round", np.round, kinks=_HALVES, overflow=True),
    unary("torch.square", np.square, overflow=True),
    unary("torch.reciprocal", lambda x: 1 / x, domain=(0.3, 3)),
    unary("torch.isnan", np.isnan, differentiable=False),
    unary("torch.logical_not", np.logical_not, differentiable=False, bools=True),
    unary(
        "Tensor.__invert__",
        np.invert,
        errors=(ErrorCase("floats", (np.ones(3, np.float32),), TypeError),),
        floats=False,
        overflow=True,
        bools=True,
    ),
    Function(
        "torch.clamp",
        by_name("torch.clamp"),
        _clamped,
        _clamp_cases,
        (ErrorCase("no bounds", (np.ones(3, np.float32),), RuntimeError, match="bounds"),),
        differences=_CLAMP_AT_NAN,
        also=("torch.clip",),
    ),
)
