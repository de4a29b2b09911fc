"""Comparing gradients with finite differences, as `torch.autograd.gradcheck` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picograd.autograd.gradients import grad
from picograd.dialects.dtypes import float64
from picograd.errors import DTypeError, GradientError
from picograd.frontend.functions.creation import tensor
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor

Function = Callable[..., Any]
_Array = NDArray[Any]


def gradcheck(
    func: Function,
    inputs: Tensor | Sequence[Tensor],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the gradients of `func` are its central differences.

    Of the inputs those that require a gradient are checked, in float64; of the results, a tensor
    or a sequence of tensors, those that are floats. Raises GradientError where they differ, or
    returns False without `raise_exception`; DTypeError for an input that is not float64.
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = [n for n, x in enumerate(given) if x.requires_grad]
    for position in checked:
        if given[position].dtype is not float64:
            raise located(
                DTypeError(
                    "gradcheck needs float64: smaller floats drown the differences in rounding",
                    code="PG201",
                    expected="float64",
                    found=f"{given[position].dtype.name} for input {position}",
                    hint="convert the inputs with .double() before requires_grad_()",
                )
            )
    arrays = [x.detach().numpy() for x in given]

    def values(changed: Sequence[_Array]) -> list[_Array]:
        outputs = _floats(func(*[_like(array, x) for array, x in zip(changed, given, strict=True)]))
        return [output.detach().numpy() for output in outputs]

    for position in checked:
        expected = _differences(values, arrays, position, eps)
        found = _jacobians(func, given, position)
        for number, (numeric, exact) in enumerate(zip(expected, found, strict=True)):
            if np.allclose(exact, numeric, rtol=rtol, atol=atol):
                continue
            if not raise_exception:
                return False
            raise located(
                GradientError(
                    f"the gradient of output {number} for input {position} is not its slope",
                    code="PG411",
                    expected=f"about {numeric.tolist()} (central differences)",
                    found=exact.tolist(),
                    hint="check the function at a point without kinks and ties, or its gradient",
                )
            )
    return True


def gradgradcheck(
    func: Function,
    inputs: Tensor | Sequence[Tensor],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the gradients of `func`'s gradients are their central differences; see `gradcheck`.

    The results of `func` are weighted with fixed random numbers.
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = [n for n, x in enumerate(given) if x.requires_grad]
    rng = np.random.default_rng(0)
    weights = [
        tensor(rng.standard_normal(y.shape), dtype=y.dtype, device=y.device)
        for y in _floats(func(*given))
    ]

    def gradients(*changed: Tensor) -> tuple[Tensor | None, ...]:
        pairs = zip(_floats(func(*changed)), weights, strict=True)
        outputs, chosen = zip(*((y, w) for y, w in pairs if y.requires_grad), strict=True)
        wanted = [changed[n] for n in checked]
        return grad(outputs, wanted, chosen, create_graph=True, materialize_grads=True)

    return gradcheck(
        gradients, given, eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception
    )


def _floats(result: Any) -> list[Tensor]:
    parts = [result] if isinstance(result, Tensor) else list(result)
    return [part for part in parts if part.dtype.is_float]


def _like(array: _Array, x: Tensor) -> Tensor:
    return tensor(array, device=x.device, requires_grad=x.requires_grad)


def _differences(
    values: Callable[[Sequence[_Array]], list[_Array]],
    arrays: Sequence[_Array],
    position: int,
    eps: float,
) -> list[_Array]:
    """For each output the slopes along each element of one input: [*output, elements]."""
    columns: list[list[_Array]] = []
    for index in np.ndindex(arrays[position].shape):
        ends: list[list[_Array]] = []
        for sign in (1, -1):
            moved = [array.copy() for array in arrays]
            moved[position][index] += sign * eps
            ends.append(values(moved))
        columns.append([(a - b) / (2 * eps) for a, b in zip(*ends, strict=True)])
    if not columns:
        return [np.zeros((*value.shape, 0)) for value in values(arrays)]
    return [np.stack(column, -1) for column in zip(*columns, strict=True)]


def _jacobians(func: Function, given: Sequence[Tensor], position: int) -> list[_Array]:
    """The same by backward passes, one for each element of each output."""
    x = given[position]
    results: list[_Array] = []
    for output in _floats(func(*given)):
        rows: list[_Array] = []
        for index in np.ndindex(output.shape):
            row = np.zeros(x.shape)
            if output.requires_grad:
                seed = np.zeros(output.shape)
                seed[index] = 1
                weights = tensor(seed, dtype=output.dtype, device=x.device)
                (part,) = grad(output, x, weights, retain_graph=True, allow_unused=True)
                row = row if part is None else part.detach().numpy()
            rows.append(row.reshape(-1))
        stacked = np.stack(rows) if rows else np.zeros((0, x.numel()))
        results.append(stacked.reshape(*output.shape, x.numel()))
    return results
