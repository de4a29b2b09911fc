# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.
"""Functions that reduce axes, and the softmax family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from picograd.check.functions.cases import (
    differing,
    reduction_cases,
    without_gradient,
)
from picograd.check.functions.elementwise import FLOATS_ONLY
from picograd.check.functions.table import Case, ErrorCase, Formula, Function, by_name

_NO_AXIS = ErrorCase(
    "no such axis", (np.ones((2, 3), np.float32),), IndexError, {"dim": 2}, match="axis 2"
)
_TWICE = ErrorCase(
    "an axis twice", (np.ones((2, 3), np.float32),), RuntimeError, {"dim": (0, -2)}, match="twice"
)
_NO_ELEMENT = ErrorCase(
    "no element", (np.ones((2, 0), np.float32),), IndexError, {"dim": 1}, match="no element"
)


def along(function: Formula) -> Formula:
    """A NumPy reduction under PyTorch's names of options."""

    def reduced(x: Any, dim: Any = None, keepdim: bool = False, **options: Any) -> Any:
        if np.ndim(x) == 0:
            dim = None
        return function(x, axis=dim, keepdims=keepdim, **options)

    return reduced


def reduction(
    name: str,
    numpy: Formula,
    *,
    also: Sequence[str] = (),
    errors: Sequence[ErrorCase] = (_NO_AXIS, _TWICE),
    differentiable: bool = True,
    conventional: Sequence[str] = (),
    differs: str = "",
    differing_at: Sequence[str] = (),
    **given: Any,
) -> Function:
    """A row of a reduction; `given` goes to `reduction_cases`."""

    def cases(rng: np.random.Generator) -> list[Case]:
        made = without_gradient(reduction_cases(rng, **given), *conventional)
        return differing(made, differs, *differing_at) if differs else made

    return Function(
        name,
        by_name(name.partition(",")[0]),
        along(numpy),
        cases,
        tuple(errors),
        differentiable,
        differs,
        also=tuple(also),
    )


def _spread(x: Any, axis: Any, keepdims: bool, correction: float = 1) -> Any:
    count = np.prod([x.shape[a] for a in np.atleast_1d(range(x.ndim) if axis is None else axis)])
    squares = (x - x.mean(axis, keepdims=True)) ** 2
    return squares.sum(axis, keepdims=keepdims) / np.maximum(np.float64(count) - correction, 0)


def _extremum(pick: Formula) -> Formula:
    def extremum(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
        if dim is None or np.ndim(x) == 0:
            flat = np.reshape(x, -1)
            value = flat[pick(flat)]
            return value if dim is None else (value, np.int64(0))
        index = np.expand_dims(pick(x, axis=dim), dim)
        values = np.take_along_axis(x, index, dim)
        return (values, index) if keepdim else (values.squeeze(dim), index.squeeze(dim))

    return extremum


def _picked(pick: Formula) -> Formula:
    def index(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
        if np.ndim(x) == 0:
            return np.int64(0)
        return pick(x, axis=dim, keepdims=keepdim)

    return index


def softmax(x: Any, dim: int, dtype: object = None) -> Any:
    """exp(x) / sum(exp(x)) along an axis."""
    if np.ndim(x) == 0:
        return np.exp(x - x)
    x = x.astype(np.float64)
    powers = np.exp(x - x.max(dim, keepdims=True, initial=-np.inf))
    return powers / powers.sum(dim, keepdims=True)


def log_softmax(x: Any, dim: int, dtype: object = None) -> Any:
    """The logarithm of the softmax."""
    if np.ndim(x) == 0:
        return x - x
    x = x.astype(np.float64)
    moved = x - x.max(dim, keepdims=True, initial=-np.inf)
    return moved - np.log(np.exp(moved).sum(dim, keepdims=True))


def _logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    largest = x.max(axis, keepdims=True, initial=-np.inf)
    finite = np.where(np.isfinite(largest), largest, 0)
    total = np.log(np.exp(x - finite).sum(axis, keepdims=True)) + finite
    return total if keepdims else total.reshape(x.sum(axis).shape)


def _softmax_cases(rng: np.random.Generator) -> list[Case]:
    cases = reduction_cases(rng, axes=False, several_axes=False, keepdim=False)
    large = np.array([[1000, 1001, 999], [-1000, -1001, -999]], np.float32)
    return [
        *cases,
        Case("large numbers", (large,), {"dim": 1}),
        Case("from int64", (np.array([[1, 2, 3]]),), {"dim": 1, "dtype": "torch.float32"}),
    ]


_FLAT = ErrorCase(
    "no such axis", (np.ones((2, 3), np.float32),), IndexError, {"dim": -3}, match="axis"
)

FUNCTIONS: tuple[Function, ...] = (
    reduction("torch.sum", np.sum, integers=True, bools=True),
    Function(
        "torch.sum, dtype",
        by_name("torch.sum"),
        lambda x, dim, dtype: np.sum(x.astype(dtype.removeprefix("torch.")), dim),
        lambda rng: [
            Case(f"{array.dtype} to {dtype}", (array,), {"dim": 0, "dtype": f"torch.{dtype}"})
            for dtype in ("float32", "float64", "int64", "int32")
            for array in (
                rng.uniform(-9, 9, (3, 2)).astype(np.float32),
                rng.integers(-9, 9, (3, 2)),
                rng.integers(0, 2, (3, 2)).astype(np.bool_),
            )
        ],
        (_NO_AXIS,),
        differentiable=False,
    ),
    reduction(
        "torch.prod",
        np.prod,
        differs="The gradient of prod is exact beside NaN; PyTorch's is NaN for the whole row.",
        differing_at=("NaN and infinity",),
        several_axes=False,
        errors=(_NO_AXIS,),
        within=(0.5, 1.5),
        integers=True,
        bools=True,
    ),
    reduction("torch.mean", np.mean, errors=(_NO_AXIS, _TWICE, FLOATS_ONLY)),
    reduction(
        "torch.amax",
        np.max,
        empty=False,
        picks=True,
        integers=True,
        errors=(_NO_AXIS, _TWICE, _NO_ELEMENT),
    ),
    reduction(
        "torch.amin",
        np.min,
        empty=False,
        picks=True,
        integers=True,
        errors=(_NO_AXIS, _TWICE, _NO_ELEMENT),
    ),
    *(
        Function(
            f"torch.{name}",
            by_name(f"torch.{name}"),
            _extremum(pick),
            lambda rng: reduction_cases(
                rng, several_axes=False, empty=False, picks=True, integers=True
            ),
            (_NO_AXIS, _NO_ELEMENT),
        )
        for name, pick in (("max", np.argmax), ("min", np.argmin))
    ),
    *(
        Function(
            f"torch.{name}",
            by_name(f"torch.{name}"),
            _picked(pick),
            lambda rng: reduction_cases(
                rng, several_axes=False, empty=False, picks=True, integers=True
            ),
            (_NO_AXIS, _NO_ELEMENT),
            differentiable=False,
        )
        for name, pick in (("argmax", np.argmax), ("argmin", np.argmin))
    ),
    reduction("torch.all", np.all, differentiable=False, integers=True, bools=True),
    reduction("torch.any", np.any, differentiable=False, integers=True, bools=True),
    reduction(
        "torch.var",
        _spread,
        differs="The gradient of var is NaN in a row with infinity; not all of PyTorch's is.",
        differing_at=("NaN and infinity",),
        errors=(_NO_AXIS, _TWICE, FLOATS_ONLY),
    ),
    reduction(
        "torch.var, correction",
        _spread,
        options={"correction": 0},
        differs="The gradient of var is NaN in a row with infinity; not all of PyTorch's is.",
        differing_at=("NaN and infinity",),
        conventional=("rank 0", "size 1"),
    ),
    reduction(
        "torch.std",
        lambda x, **options: np.sqrt(_spread(x, **options)),
        conventional=("ties",),
        errors=(_NO_AXIS, _TWICE, FLOATS_ONLY),
    ),
    reduction("torch.logsumexp", _logsumexp, axes=False, errors=(_NO_AXIS, _TWICE)),
    Function(
        "torch.softmax",
        by_name("torch.softmax"),
        softmax,
        _softmax_cases,
        (_FLAT, ErrorCase("integers", (np.array([1, 2]),), RuntimeError, {"dim": 0})),
        also=("F.softmax",),
    ),
    Function(
        "torch.log_softmax",
        by_name("torch.log_softmax"),
        log_softmax,
        _softmax_cases,
        (_FLAT, ErrorCase("integers", (np.array([1, 2]),), RuntimeError, {"dim": 0})),
        also=("F.log_softmax",),
    ),
)
