"""Pools and padding as layers, as in `torch.nn`."""

from __future__ import annotations

from collections.abc import Sequence

from picograd.frontend.tensor import Tensor
from picograd.nn import functional
from picograd.nn.functions.pooling import Pooled
from picograd.nn.functions.spatial import Sizes, per_axis
from picograd.nn.modules.module import Module


class _MaxPool(Module):
    """What the layers of greatest elements hold."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def _numbers(self) -> tuple[Sizes, Sizes, Sizes, Sizes, bool, bool]:
        return (
            self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The greatest element of each window of [N, C, L]."""

    def forward(self, input: Tensor) -> Pooled:
        return functional.max_pool1d(input, *self._numbers())


class MaxPool2d(_MaxPool):
    """The greatest element of each window of [N, C, H, W]."""

    def forward(self, input: Tensor) -> Pooled:
        return functional.max_pool2d(input, *self._numbers())


class AvgPool1d(Module):
    """The mean of each window of [N, C, L]."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, 1, 1)
        strides = kernel_size if stride is None else stride
        self.stride = per_axis(name, "stride", strides, 1, 1)
        self.padding = per_axis(name, "padding", padding, 1, 0)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return functional.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window of [N, C, H, W]."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return functional.avg_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _Adaptive(Module):
    """What the layers with a given output size hold."""

    def __init__(self, output_size: int | Sequence[int | None]) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(Module):
    """The means of `output_size` windows that cover [N, C, L]."""

    def __init__(self, output_size: Sizes) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return functional.adaptive_avg_pool1d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(_Adaptive):
    """The means of `output_size` windows that cover [N, C, H, W]; None keeps a size."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveMaxPool2d(_Adaptive):
    """The greatest elements of `output_size` windows that cover [N, C, H, W]."""

    def __init__(
        self, output_size: int | Sequence[int | None], return_indices: bool = False
    ) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Pooled:
        return functional.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class ZeroPad2d(Module):
    """[N, C, H, W] with zeros around: one width, or (left, right, top, bottom)."""

    def __init__(self, padding: Sizes) -> None:
        super().__init__()
        self.padding = per_axis("ZeroPad2d", "padding", padding, 4, -(2**31))

    def forward(self, input: Tensor) -> Tensor:
        return functional.pad(input, self.padding)

    def extra_repr(self) -> str:
        return str(self.padding)


class Upsample(Module):
    """[N, C, *S] in other spatial sizes, each element the nearest one."""

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
    ) -> None:
        super().__init__()
        self.size, self.scale_factor, self.mode = size, scale_factor, mode

    def forward(self, input: Tensor) -> Tensor:
        return functional.interpolate(input, self.size, self.scale_factor, self.mode)

    def extra_repr(self) -> str:
        if self.scale_factor is None:
            return f"size={self.size}, mode={self.mode!r}"
        factor = self.scale_factor
        shown = float(factor) if isinstance(factor, int | float) else tuple(map(float, factor))
        return f"scale_factor={shown}, mode={self.mode!r}"
