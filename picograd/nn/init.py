"""Initial values of parameters, as in `torch.nn.init`. All functions fill their tensor in place."""

from __future__ import annotations

from math import prod, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from picograd.errors import OptionError, ShapeError
from picograd.frontend.functions.creation import eye
from picograd.frontend.functions.creation import tensor as new_tensor
from picograd.frontend.functions.random import (
    Generator,
    Recipe,
    draw,
    normal,
    uniform,
)
from picograd.frontend.methods.generators import numpy_generator
from picograd.frontend.modes.mode import set_recording
from picograd.frontend.problems import located
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


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    _check_rank(tensor, "eye_", exactly=True)
    with set_recording(False):
        return tensor.copy_(eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normally distributed numbers from a to b; others are drawn again.

    NumPy draws them, seeded by the generator, because how often is not known beforehand.
    """
    low, high = (a - mean) / std, (b - mean) / std
    if not low < high or NormalDist().cdf(high) - NormalDist().cdf(low) < 1e-3:
        raise located(
            OptionError(
                "hardly any normal number lies between these bounds",
                code="PG802",
                expected="bounds a < b within a few standard deviations of the mean",
                found=f"mean={mean}, std={std}, a={a}, b={b}",
                hint="move a and b to the left and right of the mean",
            )
        )
    rng, count = numpy_generator(generator), tensor.numel()
    kept = np.empty(0)
    while len(kept) < count:
        more = rng.standard_normal(2 * count + 16)
        kept = np.concatenate([kept, more[(more >= low) & (more <= high)]])
    return _assigned(tensor, kept[:count] * std + mean)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Orthonormal rows (or columns, where there are fewer), times gain (Saxe et al., 2013).

    The axes behind the first count as columns. NumPy computes the QR factorization.
    """
    _check_rank(tensor, "orthogonal_")
    rows, columns = tensor.shape[0], prod(tensor.shape[1:])
    flat = numpy_generator(generator).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(flat)
    q = q * np.sign(np.diag(r))
    return _assigned(tensor, (q if rows >= columns else q.T) * gain)


def _assigned(tensor: Tensor, values: NDArray[np.float64]) -> Tensor:
    shaped = values.reshape(tensor.shape).astype(np.float32)
    with set_recording(False):
        return tensor.copy_(new_tensor(shaped, device=tensor.device))


_GAINS = {
    "linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0, "conv_transpose3d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3,
    "relu": sqrt(2), "selu": 3 / 4,
}  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights before this function are larger, so that variance is kept."""
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise located(
            OptionError(
                f"no gain is known for {nonlinearity!r}",
                code="PG801",
                expected=", ".join([*_GAINS, "leaky_relu"]),
                found=repr(nonlinearity),
                hint="pass one of these names",
            )
        )
    return _GAINS[nonlinearity]


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform numbers within gain * sqrt(3 / fan) (He et al., 2015)."""
    bound = sqrt(3) * _kaiming(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers of the deviation gain / sqrt(fan) (He et al., 2015)."""
    return normal_(tensor, 0.0, _kaiming(tensor, a, mode, nonlinearity), generator)


def _kaiming(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise located(
            OptionError(
                "the variance is kept in one of two directions",
                code="PG801",
                expected="mode 'fan_in' or 'fan_out'",
                found=repr(mode),
                hint="pass 'fan_in' for the forward pass, 'fan_out' for the backward pass",
            )
        )
    fan = fans_of(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / sqrt(max(fan, 1))


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform numbers within gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    bound = gain * sqrt(6 / max(sum(fans_of(tensor)), 1))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal numbers of the deviation gain * sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, gain * sqrt(2 / max(sum(fans_of(tensor)), 1)), generator)


def _check_rank(tensor: Tensor, name: str, *, exactly: bool = False) -> None:
    if tensor.ndim < 2 or (exactly and tensor.ndim != 2):
        raise located(
            ShapeError(
                f"{name} fills matrices",
                code="PG104",
                expected="two axes" if exactly else "at least two axes",
                found=list(tensor.shape),
                hint="initialize vectors with uniform_ or zeros_",
            )
        )


def fans_of(tensor: Tensor) -> tuple[int, int]:
    """How many inputs and outputs the weight [out, in, …] connects to each other."""
    if tensor.ndim < 2:
        raise located(
            ShapeError(
                "fan in and fan out are counted for weights",
                code="PG104",
                expected="at least two axes",
                found=list(tensor.shape),
                hint="initialize vectors with uniform_ or zeros_",
            )
        )
    field = prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field
