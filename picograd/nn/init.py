"""Initial values of parameters, as in `torch.nn.init`. All functions fill their tensor in place."""

from __future__ import annotations

from math import prod, sqrt

from picograd.errors import ShapeError
from picograd.frontend.modes import set_recording
from picograd.frontend.problems import located
from picograd.frontend.random import Generator, Recipe, draw, normal, uniform
from picograd.frontend.tensor import Tensor


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform numbers from a to b."""
    return _drawn(tensor, "uniform", uniform, 1, (b - a, a), generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normally distributed numbers."""
    return _drawn(tensor, "normal", normal, 2, (std, mean), generator)


def _drawn(
    tensor: Tensor,
    name: str,
    recipe: Recipe,
    words: int,
    scale: tuple[float, float],
    generator: Generator | None,
) -> Tensor:
    count = words * tensor.numel()
    numbers = draw(name, recipe, count, tensor.shape, tensor.dtype, tensor.device, generator, scale)
    with set_recording(False):
        return tensor.copy_(numbers)


def constant_(tensor: Tensor, value: float) -> Tensor:
    """One number everywhere."""
    with set_recording(False):
        return tensor.fill_(value)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1)


def kaiming_uniform_(tensor: Tensor, a: float = 0.0) -> Tensor:
    """Uniform numbers within sqrt(6 / ((1 + a²) fan_in)) (He et al., 2015)."""
    bound = sqrt(6 / ((1 + a * a) * max(_fans(tensor)[0], 1)))
    return uniform_(tensor, -bound, bound)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform numbers within gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    bound = gain * sqrt(6 / max(sum(_fans(tensor)), 1))
    return uniform_(tensor, -bound, bound)


def _fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs and outputs the weight [out, in, …] connects to each other."""
    if tensor.ndim < 2:
        raise located(
            ShapeError(
                "fan in and fan out are counted for weights",
                expected="at least two axes",
                found=list(tensor.shape),
                hint="initialize vectors with uniform_ or zeros_",
            )
        )
    field = prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field
