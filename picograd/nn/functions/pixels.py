"""Channels to pixels and back, and samples through which gradients pass."""

from __future__ import annotations

from picograd.errors import ShapeError
from picograd.frontend.functions.joining import checked
from picograd.frontend.functions.random import rand_like
from picograd.frontend.problems import located
from picograd.frontend.promotion import require_float
from picograd.frontend.tensor import Tensor


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """[*, C·r², H, W] as [*, C, H·r, W·r]: each pixel becomes a square of r channels by r."""
    r = upscale_factor
    if checked(input, "pixel_shuffle").ndim < 3 or r < 1 or input.shape[-3] % (r * r):
        raise located(
            ShapeError(
                "pixel_shuffle needs r² channels for each channel of its result",
                code="PG112",
                expected=f"[*, C, H, W] with C a multiple of {r}²" if r > 0 else "a factor above 0",
                found=f"{list(input.shape)}, upscale_factor={r}",
                hint="let the layer before it make C·r² channels",
            )
        )
    *lead, channels, height, width = input.shape
    n = len(lead)
    parts = input.reshape(*lead, channels // (r * r), r, r, height, width)
    turned = parts.permute(*range(n + 1), n + 3, n + 1, n + 4, n + 2)
    return turned.reshape(*lead, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """[*, C, H·r, W·r] as [*, C·r², H, W]: the inverse of `pixel_shuffle`."""
    r = downscale_factor
    known = checked(input, "pixel_unshuffle")
    if known.ndim < 3 or r < 1 or known.shape[-1] % r or known.shape[-2] % r:
        raise located(
            ShapeError(
                "pixel_unshuffle takes squares of r by r pixels",
                code="PG112",
                expected=f"[*, C, H, W] with H and W multiples of {r}"
                if r > 0
                else "a factor above 0",
                found=f"{list(known.shape)}, downscale_factor={r}",
                hint="pad the image first: F.pad(image, (0, right, 0, bottom))",
            )
        )
    *lead, channels, height, width = known.shape
    n = len(lead)
    parts = known.reshape(*lead, channels, height // r, r, width // r, r)
    turned = parts.permute(*range(n + 1), n + 2, n + 4, n + 1, n + 3)
    return turned.reshape(*lead, channels * r * r, height // r, width // r)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, dim: int = -1) -> Tensor:
    """A sample of the softmax's categories, softened by the temperature tau.

    With `hard` it is one-hot, and its gradient is that of the soft sample.
    """
    require_float(checked(logits, "gumbel_softmax"), "gumbel_softmax")
    # Half a step away from 0 and 1, so that neither logarithm is infinite.
    noise = rand_like(logits, dtype=None) * (1 - 2.0**-20) + 2.0**-21
    soft = ((logits - (-noise.log()).log()) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.argmax(dim, keepdim=True)
    chosen = soft.detach().mul(0).scatter(dim, index, 1.0)
    return chosen - soft.detach() + soft
