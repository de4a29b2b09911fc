"""Function transformations, and gradients asked for by name."""

# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from picograd.check.functions.cases import Range, case, differing, elementwise_cases
from picograd.check.functions.elementwise import FLOATS_ONLY
from picograd.check.functions.table import Case, ErrorCase, Formula, Function, Input, View

_TWO = np.array([1.0, 2.0], np.float32)


def _wave(x: Any) -> Any:
    """What is transformed, in either library: each element of the result has one of its own."""
    return x.sin() * x * x


def _wave_value(x: Any) -> Any:
    return np.sin(x) * x * x


def _wave_slope(x: Any) -> Any:
    return np.cos(x) * x * x + 2 * np.sin(x) * x


def _wave_curvature(x: Any) -> Any:
    return (2 - x * x) * np.sin(x) + 4 * x * np.cos(x)


def _diagonal(values: Any) -> Any:
    """A tensor of shape [*S, *S] with these values where both halves of the index agree."""
    values = np.asarray(values)
    return np.diag(values.reshape(-1)).reshape(values.shape * 2)


def _asked_for(torch: Any, x: Any, weights: Any) -> Any:
    """The gradient by name, of a leaf if the input is none."""
    x = x if x.requires_grad else x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(_wave(x), x, weights, create_graph=True)
    return slope


def _smooth(rng: np.random.Generator) -> list[Case]:
    return elementwise_cases(rng, integers=False)


def _finite(rng: np.random.Generator) -> list[Case]:
    # Off the diagonal a Jacobian has 0 times what is there on it.
    return elementwise_cases(rng, integers=False, nonfinite=False)


def _forward(rng: np.random.Generator) -> list[Case]:
    return differing(_finite(rng), _SHARED, "expanded view")


def _along(rng: np.random.Generator) -> list[Case]:
    """Points and directions of one shape."""
    within: Sequence[Range] = ((-2.0, 2.0), (-1.0, 1.0))
    made = elementwise_cases(rng, 2, domain=within, integers=False)
    return [one for one in made if len({_shape(given) for given in one.inputs}) == 1]


def _shape(given: Input) -> tuple[int, ...]:
    return given.array.shape if isinstance(given, View) else given.shape


def _batches(rng: np.random.Generator) -> list[Case]:
    """Batches of vectors, and a matrix for all of them."""
    sizes = {
        "odd sizes": (3, 5, 2),
        "one example": (1, 3, 2),
        "size 1": (1, 1, 1),
        "one column": (4, 3, 1),
        "long batch": (33, 2, 3),
        "no examples": (0, 3, 2),
        "no elements": (3, 0, 2),
        "no columns": (3, 2, 0),
        "square": (4, 4, 4),
        "wide": (2, 3, 17),
    }
    made = [case(rng, label, (b, n), (n, k)) for label, (b, n, k) in sizes.items()]
    return [*made, case(rng, "double", (3, 4), (4, 2), dtype=np.float64)]


_SHARED = "PyTorch's forward mode refuses tensors whose elements share memory."
_NOT_INTEGERS = replace(FLOATS_ONLY, differs="PyTorch raises ValueError.")
_LOST = ErrorCase(
    "a direction of another shape",
    (_TWO, np.ones(3, np.float32)),
    RuntimeError,
    match="does not fit",
)


def _row(
    name: str,
    call: Formula,
    numpy: Formula,
    cases: Callable[[np.random.Generator], Sequence[Case]],
    *errors: ErrorCase,
) -> Function:
    return Function(name, call, numpy, cases, errors)


FUNCTIONS: tuple[Function, ...] = (
    _row(
        "torch.func.grad",
        lambda torch, x: torch.func.grad(lambda x: _wave(x).sum())(x),
        _wave_slope,
        _smooth,
        FLOATS_ONLY,
    ),
    _row(
        "torch.func.grad_and_value",
        lambda torch, x: torch.func.grad_and_value(lambda x: _wave(x).sum())(x),
        lambda x: (_wave_slope(x), np.sum(_wave_value(x))),
        _smooth,
        FLOATS_ONLY,
    ),
    _row(
        "torch.func.vjp",
        lambda torch, x, g: torch.func.vjp(_wave, x)[1](g)[0],
        lambda x, g: _wave_slope(x) * g,
        _along,
        _LOST,
    ),
    _row(
        "torch.func.jvp",
        lambda torch, x, t: torch.func.jvp(_wave, (x,), (t,)),
        lambda x, t: (_wave_value(x), _wave_slope(x) * t),
        lambda rng: differing(_along(rng), _SHARED, "expanded view"),
        _LOST,
    ),
    _row(
        "torch.func.jacrev",
        lambda torch, x: torch.func.jacrev(_wave)(x),
        lambda x: _diagonal(_wave_slope(x)),
        _finite,
        FLOATS_ONLY,
    ),
    _row(
        "torch.func.jacfwd",
        lambda torch, x: torch.func.jacfwd(_wave)(x),
        lambda x: _diagonal(_wave_slope(x)),
        _forward,
        _NOT_INTEGERS,
    ),
    _row(
        "torch.func.hessian",
        lambda torch, x: torch.func.hessian(lambda x: _wave(x).sum())(x),
        lambda x: _diagonal(_wave_curvature(x)),
        _forward,
        _NOT_INTEGERS,
    ),
    _row(
        "torch.func.vmap",
        lambda torch, x, w: torch.func.vmap(lambda v: (v @ w).tanh(), out_dims=1)(x),
        lambda x, w: np.tanh(x @ w).T,
        _batches,
        ErrorCase(
            "sizes that do not fit",
            (np.ones((3, 4), np.float32), np.ones((5, 2), np.float32)),
            RuntimeError,
            match="sizes differ",
        ),
    ),
    _row(
        "torch.autograd.grad",
        lambda torch, x, g: _asked_for(torch, x, g),
        lambda x, g: _wave_slope(x) * g,
        _along,
        _LOST,
    ),
)
