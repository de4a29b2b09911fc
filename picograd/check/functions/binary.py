# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.
"""Arithmetic, comparison and logic of two tensors, or of a tensor and a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from picograd.check.functions.cases import differing, elementwise_cases
from picograd.check.functions.elementwise import NO_OPERAND
from picograd.check.functions.table import Case, ErrorCase, Formula, Function, by_name, in_place

_TWO_SHAPES = ErrorCase(
    "sizes that do not broadcast",
    (np.ones((2, 3), np.float32), np.ones((2, 4), np.float32)),
    RuntimeError,
    match="broadcast",
)
_FLOATS = ErrorCase("floats", (np.ones(3, np.float32), np.ones(3, np.float32)), RuntimeError)
_GROWS = ErrorCase(
    "a result larger than the tensor",
    (np.ones(3, np.float32), np.ones((2, 3), np.float32)),
    RuntimeError,
    match="does not fit",
)
_NO_BROADCAST = ErrorCase(
    "a source larger than the tensor",
    (np.ones(3, np.float32), np.ones((2, 3), np.float32)),
    RuntimeError,
    match="broadcast",
)
_THREE_GROW = ErrorCase(
    "a result larger than the tensor",
    (np.ones(3, np.float32), np.ones((2, 3), np.float32), np.ones(3, np.float32)),
    RuntimeError,
)
_KIND_GROWS = ErrorCase(
    "a float result in integers",
    (np.ones(3, np.int64), np.ones(3, np.float32)),
    RuntimeError,
    match="can't be stored",
)


def binary(
    name: str,
    numpy: Formula,
    call: Formula | None = None,
    *,
    also: Sequence[str] = (),
    errors: Sequence[ErrorCase] = (_TWO_SHAPES, NO_OPERAND),
    differentiable: bool = True,
    differences: str = "",
    **given: Any,
) -> Function:
    """A row of a function of two tensors; `given` goes to `elementwise_cases`."""
    return Function(
        name,
        by_name(name) if call is None else call,
        numpy,
        lambda rng: elementwise_cases(rng, 2, **given),
        tuple(errors),
        differentiable,
        differences,
        also=tuple(also),
    )


def with_number(
    name: str,
    numpy: Formula,
    call: Formula,
    number: float,
    *,
    differentiable: bool = True,
    differs: str = "",
    differing_at: Sequence[str] = (),
    **given: Any,
) -> Function:
    """A row of an operator between a tensor and a Python number."""

    def cases(rng: np.random.Generator) -> list[Case]:
        made = elementwise_cases(rng, options={"number": number}, **given)
        return differing(made, differs, *differing_at) if differs else made

    return Function(
        name,
        call,
        numpy,
        cases,
        (ErrorCase("a list", (np.ones(3, np.float32),), TypeError, {"number": [3.0]}),),
        differentiable,
        differs,
    )


def changing(
    method: str,
    numpy: Formula,
    arity: int = 2,
    *,
    errors: Sequence[ErrorCase] = (_GROWS, _KIND_GROWS),
    differs: str = "",
    **given: Any,
) -> Function:
    """A row of an operation that changes the first tensor, and so keeps its shape and dtype."""

    def cases(rng: np.random.Generator) -> list[Case]:
        made = elementwise_cases(rng, arity, **given)
        made = [one for one in made if one.label != "broadcast"]
        return differing(made, differs, "mixed dtypes") if differs else made

    return Function(
        f"Tensor.{method}", in_place(method), numpy, cases, tuple(errors), differences=differs
    )


# Divisors whose multiples are nowhere near the dividends: floor jumps there.
_APART = ((0.1, 0.9), (1.1, 1.9))
_POSITIVE = ((-2.0, 2.0), (0.3, 2.0))

ARITHMETIC: tuple[Function, ...] = (
    binary("torch.add", np.add, also=("Tensor.__add__",), overflow=True, bools=True),
    Function(
        "torch.add, alpha",
        by_name("torch.add"),
        lambda x, y, alpha: x + alpha * y,
        lambda rng: elementwise_cases(rng, 2, options={"alpha": 3}, overflow=True),
        (_TWO_SHAPES,),
    ),
    binary(
        "torch.sub",
        np.subtract,
        also=("Tensor.__sub__", "torch.subtract"),
        errors=(
            _TWO_SHAPES,
            NO_OPERAND,
            ErrorCase("bools", (np.array([True]), np.array([False])), RuntimeError),
        ),
        overflow=True,
    ),
    binary(
        "torch.mul",
        np.multiply,
        also=("Tensor.__mul__", "torch.multiply"),
        overflow=True,
        bools=True,
    ),
    binary(
        "torch.div", np.true_divide, also=("Tensor.__truediv__", "torch.divide"), domain=_POSITIVE
    ),
    binary(
        "torch.floor_divide",
        np.floor_divide,
        also=("Tensor.__floordiv__",),
        differentiable=False,
        domain=_APART,
        ties=True,
        integers=False,
        nonfinite=False,
    ),
    binary(
        "torch.remainder",
        np.remainder,
        also=("Tensor.__mod__",),
        domain=_APART,
        ties=True,
        integers=False,
    ),
    binary("torch.maximum", np.maximum, ties=True, overflow=True, bools=True),
    binary("torch.minimum", np.minimum, ties=True, overflow=True, bools=True),
    binary(
        "torch.pow",
        np.power,
        also=("Tensor.__pow__",),
        domain=((0.3, 2.0), (-2.0, 2.0)),
        integers=False,
        nonfinite=False,
    ),
    with_number(
        "Tensor.__radd__", lambda x, number: number + x, lambda torch, x, number: number + x, 3
    ),
    with_number(
        "Tensor.__rsub__", lambda x, number: number - x, lambda torch, x, number: number - x, 3
    ),
    with_number(
        "Tensor.__rmul__", lambda x, number: number * x, lambda torch, x, number: number * x, 3
    ),
    with_number(
        "Tensor.__rtruediv__",
        lambda x, number: number / x,
        lambda torch, x, number: number / x,
        3,
        domain=(0.4, 3),
        integers=False,
    ),
    with_number(
        "Tensor.__rfloordiv__",
        lambda x, number: number // x,
        lambda torch, x, number: number // x,
        3,
        differentiable=False,
        domain=(1.55, 2.9),
        integers=False,
        nonfinite=False,
    ),
    with_number(
        "Tensor.__rmod__",
        lambda x, number: number % x,
        lambda torch, x, number: number % x,
        3,
        differs="`number % tensor` has a derivative; PyTorch has none.",
        ties=True,
        domain=(1.55, 2.9),
        integers=False,
    ),
    with_number(
        "Tensor.__rpow__",
        lambda x, number: np.float64(number) ** x,
        lambda torch, x, number: number**x,
        1.5,
    ),
    *(
        with_number(
            f"torch.pow, {number}",
            lambda x, number: np.power(x, number),
            lambda torch, x, number: torch.pow(x, number),
            number,
            domain=(0.3, 2.0),
            integers=number in (2, 3, 5),
        )
        for number in (2, 3, 5, 0.5, -1, 2.5)
    ),
    with_number(
        "torch.pow, -0.5",
        lambda x, number: 1 / np.sqrt(x),
        lambda torch, x, number: torch.pow(x, number),
        -0.5,
        domain=(0.3, 2.0),
        integers=False,
        differs="The gradient of `x ** -0.5` is NaN at -inf; PyTorch's is -0.",
        differing_at=("NaN and infinity",),
    ),
)

COMPARISON: tuple[Function, ...] = tuple(
    binary(
        f"torch.{name}",
        numpy,
        also=(f"Tensor.__{name}__",),
        errors=(_TWO_SHAPES,),
        differentiable=False,
        overflow=True,
        bools=True,
    )
    for name, numpy in (
        ("eq", np.equal),
        ("ne", np.not_equal),
        ("lt", np.less),
        ("le", np.less_equal),
        ("gt", np.greater),
        ("ge", np.greater_equal),
    )
)

LOGIC: tuple[Function, ...] = tuple(
    binary(
        f"Tensor.__{name}__",
        numpy,
        errors=(_FLOATS,),
        differentiable=False,
        floats=False,
        overflow=True,
        bools=True,
    )
    for name, numpy in (
        ("and", np.bitwise_and),
        ("or", np.bitwise_or),
        ("xor", np.bitwise_xor),
    )
)

CHANGING: tuple[Function, ...] = (
    changing("add_", np.add, overflow=True),
    changing("sub_", np.subtract, overflow=True),
    changing("mul_", np.multiply, overflow=True),
    changing("div_", np.true_divide, domain=_POSITIVE, integers=False),
    changing(
        "copy_",
        lambda x, y: y + 0 * x,
        errors=(_NO_BROADCAST,),
        nonfinite=False,
        differs="Integers copied into a float tensor end its gradient; in PyTorch it is 0.",
    ),
    changing(
        "addcmul_",
        lambda x, a, b, value: x + value * a * b,
        3,
        errors=(_THREE_GROW,),
        integers=False,
        nonfinite=False,
        options={"value": 0.5},
    ),
    changing(
        "addcdiv_",
        lambda x, a, b, value: x + value * a / b,
        3,
        errors=(_THREE_GROW,),
        domain=((-2.0, 2.0), (-2.0, 2.0), (0.3, 2.0)),
        integers=False,
        nonfinite=False,
        options={"value": 0.5},
    ),
    changing(
        "lerp_",
        lambda x, end, weight: x + weight * (end - x),
        errors=(
            ErrorCase(
                "a result larger than the tensor",
                (np.ones(3, np.float32), np.ones((2, 3), np.float32)),
                RuntimeError,
                {"weight": 0.5},
            ),
        ),
        integers=False,
        options={"weight": 0.25},
    ),
)

FUNCTIONS: tuple[Function, ...] = (*ARITHMETIC, *COMPARISON, *LOGIC, *CHANGING)
