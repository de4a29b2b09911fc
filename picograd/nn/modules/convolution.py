"""Convolutions as layers, as in `torch.nn`."""

from __future__ import annotations

from math import prod, sqrt

from picograd.dialects.dtypes import DType
from picograd.errors import OptionError
from picograd.frontend.functions.creation import zeros
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.nn import functional, init
from picograd.nn.functions.spatial import Sizes, one_of, per_axis
from picograd.nn.modules.module import Module, Parameter

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What all convolutions hold: weight, bias and settings. PyTorch's initial values."""

    bias: Parameter | None
    padding: tuple[int, ...] | str
    AXES = 0
    TRANSPOSED = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Sizes | str,
        dilation: Sizes,
        output_padding: Sizes,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: str | None,
        dtype: DType | None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise located(
                OptionError(
                    f"{name}: groups divides the channels",
                    code="PG112",
                    expected="in_channels and out_channels that are multiples of groups",
                    found=f"{in_channels}, {out_channels} and groups={groups}",
                    hint="choose groups=1, or channels that it divides",
                )
            )
        one_of(name, "padding_mode", padding_mode, _PADDING_MODES)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, self.AXES, 1, OptionError)
        self.stride = per_axis(name, "stride", stride, self.AXES, 1, OptionError)
        self.dilation = per_axis(name, "dilation", dilation, self.AXES, 1, OptionError)
        self.output_padding = per_axis(
            name, "output_padding", output_padding, self.AXES, 0, OptionError
        )
        if isinstance(padding, str):
            one_of(name, "padding", padding, ("same", "valid"))
            self._check_same(name, padding)
            self.padding = padding
        else:
            self.padding = per_axis(name, "padding", padding, self.AXES, 0, OptionError)
        self.groups, self.padding_mode = groups, padding_mode
        outer, inner = out_channels, in_channels // groups
        if self.TRANSPOSED:
            outer, inner = in_channels, out_channels // groups
        shape = (outer, inner, *self.kernel_size)
        self.weight = Parameter(zeros(shape, device=device, dtype=dtype))
        self.bias = Parameter(zeros(out_channels, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def _check_same(self, name: str, padding: str) -> None:
        if padding == "same" and any(stride != 1 for stride in self.stride):
            raise located(
                OptionError(
                    f"{name}: padding='same' keeps the size, which strides do not",
                    code="PG803",
                    expected="stride=1",
                    found=f"stride={self.stride}",
                    hint="pass the padding as a number",
                )
            )

    def reset_parameters(self) -> None:
        """Draw new values: uniform within 1 / sqrt(fan_in)."""
        init.kaiming_uniform_(self.weight, a=sqrt(5))
        fan_in = prod(self.weight.shape[1:])
        if self.bias is not None and fan_in:
            init.uniform_(self.bias, -1 / sqrt(fan_in), 1 / sqrt(fan_in))

    def extra_repr(self) -> str:
        settings = [
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}",
            f"stride={self.stride}",
        ]
        ordinary = {
            "padding": (0,) * self.AXES,
            "dilation": (1,) * self.AXES,
            "output_padding": (0,) * self.AXES,
            "groups": 1,
        }
        for name, value in ordinary.items():
            if getattr(self, name) != value:
                settings.append(f"{name}={getattr(self, name)}")
        if self.bias is None:
            settings.append("bias=False")
        if self.padding_mode != "zeros":
            settings.append(f"padding_mode={self.padding_mode}")
        return ", ".join(settings)

    def _around(self, input: Tensor) -> tuple[Tensor, Sizes | str]:
        """The input, padded if not with zeros, and what padding is left to do."""
        if self.padding_mode == "zeros":
            return input, self.padding
        margins: list[int] = []
        for axis in reversed(range(self.AXES)):
            reach = (self.kernel_size[axis] - 1) * self.dilation[axis]
            if isinstance(self.padding, str):
                low = reach // 2 if self.padding == "same" else 0
                high = reach - low if self.padding == "same" else 0
            else:
                low = high = self.padding[axis]
            margins += [low, high]
        return functional.pad(input, margins, mode=self.padding_mode), 0


class Conv1d(_Convolution):
    """The cross-correlation of [N, in_channels, L] with `out_channels` learned kernels."""

    AXES = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._around(input)
        return functional.conv1d(
            x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv2d(Conv1d):
    """The cross-correlation of [N, in_channels, H, W] with `out_channels` learned kernels."""

    AXES = 2

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._around(input)
        return functional.conv2d(
            x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv3d(Conv1d):
    """The cross-correlation of [N, in_channels, D, H, W] with `out_channels` learned kernels."""

    AXES = 3

    def forward(self, input: Tensor) -> Tensor:
        x, padding = self._around(input)
        return functional.conv3d(
            x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class ConvTranspose1d(_Convolution):
    """The transpose of `Conv1d`: each element adds its multiple of a learned kernel."""

    AXES = 1
    TRANSPOSED = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        if padding_mode != "zeros":
            raise located(
                OptionError(
                    f"{type(self).__name__} cuts padding off: there is none to fill",
                    code="PG801",
                    expected="padding_mode='zeros'",
                    found=padding_mode,
                    hint="leave padding_mode out",
                )
            )
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding,
            groups, bias, padding_mode, device, dtype,
        )  # fmt: skip

    def _numbers(self) -> tuple[Sizes, Sizes, Sizes, int, Sizes]:
        margins = 0 if isinstance(self.padding, str) else self.padding
        return self.stride, margins, self.output_padding, self.groups, self.dilation

    def forward(self, input: Tensor) -> Tensor:
        return functional.conv_transpose1d(input, self.weight, self.bias, *self._numbers())


class ConvTranspose2d(ConvTranspose1d):
    """The transpose of `Conv2d`: each element adds its multiple of a learned kernel."""

    AXES = 2

    def forward(self, input: Tensor) -> Tensor:
        return functional.conv_transpose2d(input, self.weight, self.bias, *self._numbers())


class Unfold(Module):
    """The windows of [N, C, H, W] as columns [N, C * KH * KW, places]."""

    def __init__(
        self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return functional.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class Fold(Unfold):
    """The sum of columns [N, C * KH * KW, places], each at its place in an image."""

    def __init__(
        self,
        output_size: Sizes,
        kernel_size: Sizes,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        stride: Sizes = 1,
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return functional.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {super().extra_repr()}"
