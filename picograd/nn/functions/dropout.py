"""Dropout, as in `torch.nn.functional`: elements, or whole channels, set to 0 at random.

The bits come from the counter-based generator, so that a seed drops the same elements eagerly,
compiled, and on every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt

from picograd.errors import OptionError, ShapeError
from picograd.frontend.functions.joining import where
from picograd.frontend.functions.random import draw, uniform
from picograd.frontend.methods.activations import SELU_ALPHA, SELU_SCALE
from picograd.frontend.problems import located
from picograd.frontend.promotion import require_float
from picograd.frontend.tensor import Tensor


def check_probability(p: float, name: str) -> None:
    """Raise OptionError unless p is a probability."""
    if not 0 <= p <= 1:
        raise located(
            OptionError(
                f"{name} drops with a probability",
                code="PG802",
                expected="0 <= p <= 1",
                found=p,
                hint="pass the share of elements to drop, such as 0.5",
            )
        )


def _kept(input: Tensor, p: float, shape: Sequence[int]) -> Tensor:
    """A bool tensor that is true with probability 1 - p."""
    numbers = draw("uniform", uniform, prod(shape), shape, input.dtype, input.device, None)
    return numbers >= p


def _dropped(input: Tensor, p: float, shape: Sequence[int], inplace: bool) -> Tensor:
    scale = 0.0 if p == 1 else 1 / (1 - p)
    factor = _kept(input, p, shape).to(input.dtype) * scale
    return input.mul_(factor) if inplace else input * factor


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element 0 with probability p, else divided by 1 - p; the input when not training."""
    check_probability(p, "dropout")
    require_float(input, "dropout")
    if not training or p == 0:
        return input
    return _dropped(input, p, input.shape, inplace)


def _channels(
    input: Tensor, p: float, training: bool, inplace: bool, name: str, ranks: Sequence[int]
) -> Tensor:
    """Dropout of whole channels: axis 1, or axis 0 of an input of the lower rank."""
    check_probability(p, name)
    require_float(input, name)
    if input.ndim not in ranks:
        raise located(
            ShapeError(
                f"{name} drops whole channels",
                code="PG104",
                expected="an input of " + " or ".join(str(rank) for rank in ranks) + " axes",
                found=list(input.shape),
                hint="use dropout to drop single elements",
            )
        )
    if not training or p == 0:
        return input
    kept = 2 if input.ndim == ranks[-1] else 1
    shape = (*input.shape[:kept], *[1] * (input.ndim - kept))
    return _dropped(input, p, shape, inplace)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of [N, C, L] or [C, L] 0 with probability p."""
    return _channels(input, p, training, inplace, "dropout1d", (2, 3))


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of [N, C, H, W] or [C, H, W] 0 with probability p."""
    return _channels(input, p, training, inplace, "dropout2d", (3, 4))


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps mean 0 and variance 1 after selu (Klambauer et al., 2017)."""
    check_probability(p, "alpha_dropout")
    require_float(input, "alpha_dropout")
    if not training or p == 0:
        return input
    if p == 1:
        return input.mul_(0.0) if inplace else input * 0.0
    low = -SELU_ALPHA * SELU_SCALE
    scale = 1 / sqrt((1 - p) * (1 + p * low * low))
    kept = _kept(input, p, input.shape)
    result = where(kept, input, low) * scale - scale * low * p
    return input.copy_(result) if inplace else result
