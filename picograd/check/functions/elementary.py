"""Logarithms and exponentials, rounding, bits, and what is done in place."""

# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.

from __future__ import annotations

from typing import Any

import numpy as np

from picograd.check.functions.binary import binary, changing
from picograd.check.functions.cases import array, drawn, elementwise_cases
from picograd.check.functions.elementwise import unary
from picograd.check.functions.table import Case, ErrorCase, Formula, Function, by_name, in_place

_REPLACED = {"nan": 3.0, "posinf": 5.0, "neginf": 7.0}
_WHOLE = (-2.0, -1.0, 0.0, 1.0, 2.0)
_ONES = np.ones(3, np.float32)
_NO_BITS = ErrorCase("floats", (_ONES, _ONES), RuntimeError, match="bits")


def _trunc_divide(a: Any, b: Any) -> Any:
    quotient = np.trunc(np.divide(a, b))
    return quotient.astype(a.dtype) if np.result_type(a, b).kind == "i" else quotient


def _lerp(start: Any, end: Any, weight: Any) -> Any:
    return start + weight * (end - start)


def _nan_to_num(x: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    largest = float(np.finfo(np.float32).max)
    high, low = (largest if posinf is None else posinf), (-largest if neginf is None else neginf)
    if x.dtype.kind != "f":
        return x
    return np.where(np.isnan(x), nan, np.where(x == np.inf, high, np.where(x == -np.inf, low, x)))


def _of_integers(
    rng: np.random.Generator, *, low: int = -9, second: tuple[int, int] = (-9, 9)
) -> Any:
    """Cases of two integer tensors; the second within other bounds."""
    cases: list[Case] = []
    for label, one, other, dtype in (
        ("rank 0", (), (), np.int64),
        ("empty", (0, 3), (0, 3), np.int64),
        ("size 1", (1,), (1,), np.int64),
        ("odd sizes", (3, 5), (3, 5), np.int64),
        ("broadcast", (3, 1), (4,), np.int64),
        ("rank 0 among others", (), (3,), np.int64),
        ("int32", (3, 5), (3, 5), np.int32),
        ("rank 3", (2, 1, 3), (2, 4, 1), np.int32),
        ("long", (37,), (37,), np.int32),
    ):
        a = drawn(rng, one, (low, 9), dtype=dtype)
        cases.append(Case(label, (a, drawn(rng, other, second, dtype=dtype)), gradient=False))
    extremes = np.array([2**31 - 1, -(2**31), -1, 0], np.int32)
    by = np.array([1, 2, 3, 1], np.int32)
    cases.append(Case("integer overflow", (extremes, by), gradient=False))
    return cases


def _bits(
    name: str, numpy: Formula, second: tuple[int, int] = (-9, 9), bools: bool = True
) -> Function:
    def cases(rng: np.random.Generator) -> list[Case]:
        made = _of_integers(rng, second=second)
        if bools:
            a, b = (drawn(rng, (3, 5), dtype=np.bool_) for _ in range(2))
            made.append(Case("bools", (a, b), gradient=False))
        if name.endswith("right_shift"):
            # A GPU has no 64-bit integers to take the upper bits from.
            made = [
                Case(c.label, tuple(np.asarray(x, np.int32) for x in c.inputs), gradient=False)
                for c in made
            ]
        return made

    return Function(
        f"torch.{name}", by_name(f"torch.{name}"), numpy, cases, (_NO_BITS,), differentiable=False
    )


_UNARY_IN_PLACE: tuple[tuple[str, Formula, dict[str, Any]], ...] = (
    ("abs_", np.abs, {"kinks": (0,)}),
    ("exp_", np.exp, {}),
    ("log_", np.log, {"domain": (0.1, 4)}),
    ("log1p_", np.log1p, {"domain": (-0.5, 4)}),
    ("sqrt_", np.sqrt, {"domain": (0.1, 4)}),
    ("trunc_", np.trunc, {"kinks": _WHOLE}),
)


def _in_place_of_one(name: str, numpy: Formula, given: dict[str, Any]) -> Function:
    return unary(
        f"Tensor.{name}",
        numpy,
        in_place(name),
        errors=(),
        integers=False,
        nonfinite=False,
        **given,
    )


_NO_EXTREMES: dict[str, Any] = {"nonfinite": False, "integers": False}
_SIGNS = np.array([0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, np.nan], np.float32)

FUNCTIONS: tuple[Function, ...] = (
    unary("torch.log1p", np.log1p, domain=(-0.9, 3)),
    Function(
        "torch.log1p, small",
        by_name("torch.log1p"),
        np.log1p,
        lambda rng: [
            Case("tiny", (np.array([1e-20, -1e-10, 3e-8, 1e-6], np.float32),)),
            Case("small", (rng.uniform(-1e-3, 1e-3, 7).astype(np.float32),)),
        ],
    ),
    unary("torch.expm1", np.expm1),
    Function(
        "torch.expm1, small",
        by_name("torch.expm1"),
        np.expm1,
        lambda rng: [Case("small", (rng.uniform(-1e-2, 1e-2, 7).astype(np.float32),))],
    ),
    unary("torch.log2", np.log2, domain=(0.1, 4)),
    unary("torch.log10", np.log10, domain=(0.1, 4)),
    unary("torch.exp2", np.exp2),
    unary("torch.sinh", np.sinh, nonfinite=False),
    unary("torch.cosh", np.cosh, nonfinite=False),
    unary("torch.tan", np.tan, domain=(-1.2, 1.2), nonfinite=False),
    unary("torch.atan", np.arctan, also=("torch.arctan",)),
    unary("torch.asin", np.arcsin, domain=(-0.9, 0.9), **_NO_EXTREMES, also=("torch.arcsin",)),
    unary("torch.acos", np.arccos, domain=(-0.9, 0.9), **_NO_EXTREMES, also=("torch.arccos",)),
    unary("torch.asinh", np.arcsinh, also=("torch.arcsinh",)),
    unary("torch.acosh", np.arccosh, domain=(1.1, 4), **_NO_EXTREMES, also=("torch.arccosh",)),
    unary("torch.atanh", np.arctanh, domain=(-0.9, 0.9), **_NO_EXTREMES, also=("torch.arctanh",)),
    *(
        Function(
            f"torch.{name}, far and near",
            by_name(f"torch.{name}"),
            numpy,
            lambda rng, bounds=bounds: [
                Case(
                    "far", (np.array([*bounds, *(-b for b in bounds)], np.float32),), gradient=False
                ),
                Case("double", (np.array(bounds, np.float64),), gradient=False),
            ],
        )
        for name, numpy, bounds in (
            ("atan", np.arctan, (1e-20, 3e-5, 0.41, 0.66, 0.67, 0.999, 1.0, 1.001, 3e4, 1e20)),
            ("asinh", np.arcsinh, (1e-20, 3e-5, 0.41, 0.999, 1.001, 3e4, 1e20, 3e38)),
            ("atanh", np.arctanh, (1e-20, 3e-5, 0.41, 0.75, 0.875)),
            ("asin", np.arcsin, (1e-20, 3e-5, 0.41, 0.75, 0.875)),
            ("acos", np.arccos, (1e-20, 3e-5, 0.41, 0.75, 0.875)),
        )
    ),
    Function(
        "torch.acosh, far and near",
        by_name("torch.acosh"),
        np.arccosh,
        lambda rng: [Case("far", (array([1.001, 1.1, 30, 3e4, 1e20, 3e38]),), gradient=False)],
    ),
    binary("torch.atan2", np.arctan2, also=("torch.arctan2",), nonfinite=False, ties=False),
    Function(
        "torch.atan2, on the axes",
        by_name("torch.atan2"),
        np.arctan2,
        lambda rng: [
            Case("zeros", (_SIGNS[:, None], _SIGNS[None, :]), gradient=False),
            Case("axes", (array([0, 0, 2, -2]), array([3, -3, 0, 0])), gradient=False),
            Case("bisectors", (array([1, 1, -1, -1]), array([1, -1, 1, -1]))),
            Case(
                "far",
                (array([1e-30, 1e30, 1e30, -1e-30]), array([1e10, 1, 1e30, -1e-3])),
                gradient=False,
            ),
        ],
    ),
    binary("torch.logaddexp", np.logaddexp, nonfinite=False, integers=False),
    binary("torch.hypot", np.hypot, domain=((0.3, 2), (0.3, 2)), integers=False, nonfinite=False),
    unary("torch.trunc", np.trunc, kinks=_WHOLE, overflow=True, also=("torch.fix",)),
    unary(
        "torch.frac",
        lambda x: x - np.trunc(x),
        kinks=_WHOLE,
        integers=False,
        nonfinite=False,
    ),
    binary(
        "torch.fmod",
        np.fmod,
        domain=((-4.8, 4.8), (1.7, 1.9)),
        kinks=(0.0,),
        ties=True,
        nonfinite=False,
        integers=False,
    ),
    Function(
        "torch.fmod, integers",
        by_name("torch.fmod"),
        np.fmod,
        lambda rng: _of_integers(rng, second=(1, 5)),
        differentiable=False,
    ),
    Function(
        "torch.div, truncated",
        lambda torch, a, b: torch.div(a, b, rounding_mode="trunc"),
        _trunc_divide,
        lambda rng: _of_integers(rng, second=(1, 5)),
        (
            ErrorCase(
                "sizes",
                (np.ones(2, np.float32), np.ones(3, np.float32)),
                RuntimeError,
                match="broadcast",
            ),
        ),
        differentiable=False,
    ),
    unary("torch.isinf", np.isinf, differentiable=False),
    unary("torch.isfinite", np.isfinite, differentiable=False),
    Function(
        "torch.nan_to_num",
        by_name("torch.nan_to_num"),
        _nan_to_num,
        lambda rng: [
            *[
                case
                for case in elementwise_cases(
                    rng, options={"nan": 3.0, "posinf": 5.0, "neginf": 7.0}
                )
                if case.label != "NaN and infinity"
            ],
            Case(
                "NaN and infinity",
                (np.array([np.nan, np.inf, -np.inf, 1], np.float32),),
                _REPLACED,
                gradient=False,
            ),
        ],
    ),
    binary("torch.clamp_min", np.maximum, ties=True, nonfinite=False, integers=False),
    binary("torch.clamp_max", np.minimum, ties=True, nonfinite=False, integers=False),
    Function(
        "torch.lerp",
        by_name("torch.lerp"),
        _lerp,
        lambda rng: elementwise_cases(rng, 3, integers=False, nonfinite=False),
    ),
    Function(
        "torch.addcmul",
        by_name("torch.addcmul"),
        lambda x, a, b, value: x + value * a * b,
        lambda rng: elementwise_cases(
            rng, 3, integers=False, nonfinite=False, options={"value": 0.5}
        ),
    ),
    Function(
        "torch.addcdiv",
        by_name("torch.addcdiv"),
        lambda x, a, b, value: x + value * a / b,
        lambda rng: elementwise_cases(
            rng,
            3,
            domain=((-2, 2), (-2, 2), (0.5, 2)),
            integers=False,
            nonfinite=False,
            options={"value": 0.5},
        ),
    ),
    *(
        binary(
            f"torch.logical_{name}",
            getattr(np, f"logical_{name}"),
            differentiable=False,
            bools=True,
        )
        for name in ("and", "or", "xor")
    ),
    _bits("bitwise_and", np.bitwise_and),
    _bits("bitwise_or", np.bitwise_or),
    _bits("bitwise_xor", np.bitwise_xor),
    _bits("bitwise_left_shift", np.left_shift, (0, 5), bools=False),
    _bits("bitwise_right_shift", np.right_shift, (0, 5), bools=False),
    *(_in_place_of_one(*row) for row in _UNARY_IN_PLACE),
    changing("pow_", np.power, domain=(0.3, 2), nonfinite=False, integers=False),
    changing("clamp_min_", np.maximum, ties=True, nonfinite=False, integers=False, errors=()),
)
