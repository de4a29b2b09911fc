"""Channels to pixels and back, as in `torch.nn`."""

from __future__ import annotations

from picograd.frontend.tensor import Tensor
from picograd.nn import functional
from picograd.nn.modules.module import Module


class PixelShuffle(Module):
    """[*, C·r², H, W] as [*, C, H·r, W·r]."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return functional.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """[*, C, H·r, W·r] as [*, C·r², H, W]."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return functional.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"
