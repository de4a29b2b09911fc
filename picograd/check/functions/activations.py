"""Activation functions of neural networks."""

# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from picograd.check.functions.cases import case, differing, elementwise_cases, labelled
from picograd.check.functions.elementwise import FLOATS_ONLY, NO_TENSOR
from picograd.check.functions.table import (
    Case,
    ErrorCase,
    Formula,
    Function,
    View,
    base_of,
    by_name,
)

_AT_NAN = "The gradient is NaN where the element is; PyTorch's is a number there."
# Far from 0, where powers overflow and vanish; and close to it, where 1 + x loses digits.
_FAR = np.array([-1e4, -90.0, -30.0, -12.0, 12.0, 30.0, 90.0, 1e4], np.float32)
_NEAR = np.array([-1e-2, -1e-4, -2e-5, 2e-5, 1e-4, 1e-2], np.float32)


# selu's scale, and scale * alpha, as float32 has them.
_SELU = [
    float(np.float32(c)) for c in (1.0507009873554805, 1.0507009873554805 * 1.6732632423543772)
]
_NO_METHOD = ErrorCase(
    "a list is no tensor",
    ([1.0, 2.0],),
    TypeError,
    match="tensor",
    differs="PyTorch raises AttributeError.",
)


def activation(
    name: str,
    numpy: Formula,
    kinks: Sequence[float] = (),
    others: Sequence[dict[str, object]] = (),
    *,
    at_nan: str = "",
    errors: Sequence[ErrorCase] = (),
    also: Sequence[str] = (),
    far: bool = True,
    no_tensor: ErrorCase | None = None,
    takes_integers: bool = False,
    single: bool = False,
) -> Function:
    """A row of a function of floats; `others` are options to try beside the defaults.

    `single`: the reference has a constant as float32 rounds it, so float64 is not tried.
    """

    def cases(rng: np.random.Generator) -> list[Case]:
        made = elementwise_cases(rng, kinks=kinks, integers=False)
        if single:
            made = [one for one in made if one.label != "double"]
        made += [Case("close to 0", (_NEAR,))]
        if far:
            made += [Case("far from 0", (_FAR,))]
        for options in others:
            some = elementwise_cases(rng, kinks=kinks, integers=False, options=options)
            made += labelled(some[3:6], ", ".join(f"{k}={v}" for k, v in options.items()))
        return differing(made, at_nan, "NaN and infinity") if at_nan else made

    return Function(
        name,
        by_name(name),
        numpy,
        cases,
        (no_tensor or NO_TENSOR, *(() if takes_integers else (FLOATS_ONLY,)), *errors),
        differences=at_nan,
        also=tuple(also),
    )


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), in NumPy."""
    small = np.exp(-np.abs(x))
    return np.where(x > 0, 1, small) / (1 + small) + 0 * np.where(np.isnan(x), x, 0)


def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(x)), in NumPy."""
    y = np.maximum(x * beta, 0) + np.log1p(np.exp(-np.abs(x * beta)))
    return np.where(x * beta > threshold, x, y / beta)


def _elu(x: Any, alpha: float = 1.0, scale: float = 1.0, inner: float = 1.0) -> Any:
    return scale * np.where(x > 0, x, alpha * np.expm1(inner * np.minimum(x, 0)))


def _prelu(x: Any, weight: Any) -> Any:
    many = x.ndim > 1 and weight.ndim == 1
    spread = weight.reshape(-1, *[1] * (x.ndim - 2)) if many else weight.reshape(())
    return np.where(x > 0, x, spread * x)


def _glu(x: Any, dim: int = -1) -> Any:
    value, gate = np.split(x, 2, dim)
    return value * sigmoid(gate)


def _softmin(x: Any, dim: int) -> Any:
    powers = np.exp(-x - np.max(-x, dim, keepdims=True, initial=-np.inf))
    return powers / powers.sum(dim, keepdims=True)


def _hardsigmoid(x: Any) -> Any:
    return np.clip(x + 3, 0, 6) / 6


def _prelu_cases(rng: np.random.Generator) -> list[Case]:
    def of(label: str, shape: tuple[int, ...], weights: int | None = 1) -> Case:
        x = rng.uniform(0.1, 2, shape) * rng.choice([-1, 1], shape)
        w = rng.uniform(0.1, 0.9, () if weights is None else (weights,))
        return Case(label, (x.astype(np.float32), w.astype(np.float32)))

    spread = [base_of(given) for given in of("", (3, 2), 2).inputs]
    return [
        of("rank 0", (), None), of("rank 0 weight", (4,), None), of("size 1", (1,)),
        of("one weight", (3, 5)), of("channels", (2, 3), 3), of("rank 3", (2, 3, 2), 3),
        of("rank 4", (2, 3, 1, 2), 3), of("empty", (0, 3), 3), of("one weight, rank 3", (2, 3, 2)),
        Case("permuted view", (View(spread[0], "permuted"), spread[1])),
        Case("kinks", (np.array([0.0, -0.0, 1.0], np.float32), spread[1][:1]), {}, False),
    ]  # fmt: skip


def _halving_cases(rng: np.random.Generator) -> list[Case]:
    pair = case(rng, "", (4, 3)).inputs[0]
    assert not isinstance(pair, View)
    return [
        case(rng, "rank 1", (4,)),
        case(rng, "size 2", (2,)),
        case(rng, "odd half", (3, 10)),
        case(rng, "first axis", (4, 3), dim=0),
        case(rng, "middle axis", (2, 6, 3), dim=1),
        case(rng, "last axis of rank 3", (2, 1, 4)),
        case(rng, "empty", (0, 4)),
        case(rng, "empty half", (3, 0)),
        case(rng, "double", (3, 4), dtype=np.float64),
        Case("permuted view", (View(pair, "permuted"),), {"dim": 0}),
        Case("sliced view", (View(pair, "sliced"),), {"dim": 0}),
        Case("far from 0", (np.array([1.0, -2.0, 100.0, -100.0], np.float32),)),
    ]


def _axis_cases(rng: np.random.Generator) -> list[Case]:
    values = rng.uniform(-2, 2, (3, 4)).astype(np.float32)
    special = np.array([[np.nan, 1, 0], [np.inf, 1, 0], [-np.inf, 1, 0]], np.float32)
    return [
        case(rng, "rank 0", (), dim=0),
        case(rng, "size 1", (1,), dim=0),
        case(rng, "first axis", (3, 5), dim=0),
        case(rng, "last axis", (3, 5), dim=-1),
        case(rng, "rank 3", (2, 3, 2), dim=1),
        case(rng, "empty", (0, 3), dim=1),
        case(rng, "long rows", (2, 67), dim=1),
        case(rng, "double", (2, 3), dtype=np.float64, dim=1),
        Case("permuted view", (View(values, "permuted"),), {"dim": 0}),
        Case("expanded view", (View(values, "expanded"),), {"dim": 1}),
        Case("sliced view", (View(values, "sliced"),), {"dim": 1}),
        Case("ties", (np.ones((2, 3), np.float32),), {"dim": 1}),
        Case("far from 0", (np.array([[100.0, 0.0, -100.0]], np.float32),), {"dim": 1}),
        Case("NaN and infinity", (special,), {"dim": 1}, gradient=False),
    ]


_ONES = np.ones(4, np.float32)

FUNCTIONS: tuple[Function, ...] = (
    activation("F.relu6", lambda x: np.clip(x, 0, 6), (0.0,), takes_integers=True),
    activation(
        "F.hardtanh",
        lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
        (-1.0, 1.0),
        [{"min_val": -0.375, "max_val": 0.5}],
        takes_integers=True,
        errors=(
            ErrorCase(
                "bounds the wrong way round", (_ONES,), ValueError, {"min_val": 2.0, "max_val": 1.0}
            ),
        ),
    ),
    activation(
        "F.leaky_relu",
        lambda x, negative_slope=0.01: np.where(x > 0, x, x * float(np.float32(negative_slope))),
        (0.0,),
        [{"negative_slope": 0.25}],
        single=True,
    ),
    activation("F.elu", _elu, (0.0,), [{"alpha": 0.5}], at_nan=_AT_NAN),
    activation(
        "F.selu",
        lambda x: np.where(x > 0, x * _SELU[0], _SELU[1] * np.expm1(np.minimum(x, 0))),
        (0.0,),
        single=True,
        at_nan=_AT_NAN,
        also=("torch.selu",),
    ),
    activation(
        "F.celu",
        lambda x, alpha=1.0: _elu(x, alpha, 1.0, 1 / alpha),
        (0.0,),
        [{"alpha": 2.0}],
        at_nan=_AT_NAN,
        errors=(ErrorCase("alpha 0", (_ONES,), RuntimeError, {"alpha": 0.0}, match="alpha"),),
        also=("torch.celu",),
    ),
    activation("F.silu", lambda x: x * sigmoid(x)),
    activation("F.mish", lambda x: x * np.tanh(softplus(x))),
    activation("F.softplus", softplus, others=[{"beta": 2.0}, {"beta": 0.5, "threshold": 0.75}]),
    activation(
        "F.softsign", lambda x: x / (1 + np.abs(x)), no_tensor=_NO_METHOD, takes_integers=True
    ),
    activation("F.hardsigmoid", _hardsigmoid, at_nan=_AT_NAN),
    activation("F.hardswish", lambda x: x * _hardsigmoid(x), at_nan=_AT_NAN),
    activation("F.logsigmoid", lambda x: -softplus(-x)),
    activation("F.tanhshrink", lambda x: x - np.tanh(x), no_tensor=_NO_METHOD, takes_integers=True),
    activation(
        "F.hardshrink",
        lambda x, lambd=0.5: np.where(np.abs(x) <= lambd, 0, x),
        (-0.5, 0.5, -1.0, 1.0),
        [{"lambd": 1.0}],
    ),
    activation(
        "F.softshrink",
        lambda x, lambd=0.5: np.sign(x) * np.maximum(np.abs(x) - lambd, 0),
        (-0.5, 0.5, -1.0, 1.0),
        [{"lambd": 1.0}],
        at_nan=_AT_NAN,
        errors=(ErrorCase("away from 0", (_ONES,), RuntimeError, {"lambd": -1.0}),),
    ),
    Function(
        "F.threshold",
        by_name("F.threshold"),
        lambda x, threshold, value: np.where(x <= threshold, value, x),
        lambda rng: elementwise_cases(
            rng, kinks=(0.5,), integers=False, options={"threshold": 0.5, "value": -2.0}
        ),
        (ErrorCase("no threshold", (_ONES,), TypeError),),
        also=("torch.threshold",),
    ),
    Function(
        "F.prelu",
        by_name("F.prelu"),
        _prelu,
        _prelu_cases,
        (
            ErrorCase("other channels", (np.ones((2, 3), np.float32), _ONES), RuntimeError),
            ErrorCase("a matrix", (_ONES, np.ones((2, 2), np.float32)), RuntimeError),
        ),
        also=("torch.prelu",),
    ),
    Function(
        "F.glu",
        by_name("F.glu"),
        _glu,
        _halving_cases,
        (ErrorCase("an odd axis", (np.ones(3, np.float32),), RuntimeError, match="even"),),
    ),
    Function(
        "F.softmin",
        by_name("F.softmin"),
        _softmin,
        _axis_cases,
        (ErrorCase("no such axis", (_ONES,), IndexError, {"dim": 2}),),
    ),
)
