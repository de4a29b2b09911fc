"""Normalization and dropout as modules, as in `torch.nn`."""

from __future__ import annotations

from collections.abc import Sequence

from picograd.dialects.dtypes import DType, int64
from picograd.errors import ShapeError
from picograd.frontend.core import Operand
from picograd.frontend.functions.creation import ones, zeros
from picograd.frontend.modes.mode import set_recording
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.nn import functional, init
from picograd.nn.functions.dropout import check_probability
from picograd.nn.modules.module import Module, Parameter


class _Affine(Module):
    """A normalization with a weight of ones and a bias of zeros at first, or without."""

    weight: Parameter | None
    bias: Parameter | None

    def make_affine(
        self,
        shape: Sequence[int],
        affine: bool,
        bias: bool,
        device: str | None,
        dtype: DType | None,
    ) -> None:
        """Set weight and bias, or None."""
        self.weight = Parameter(ones(shape, device=device, dtype=dtype)) if affine else None
        with_bias = affine and bias
        self.bias = Parameter(zeros(shape, device=device, dtype=dtype)) if with_bias else None

    def reset_parameters(self) -> None:
        """Weights of one, biases of zero."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class LayerNorm(_Affine):
    """Mean 0 and variance 1 over the last axes, then times weight plus bias."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        whole = isinstance(normalized_shape, int)
        self.normalized_shape = (normalized_shape,) if whole else tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.make_affine(self.normalized_shape, elementwise_affine, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(_Affine):
    """The input divided by the root of its mean square over the last axes, times weight."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        whole = isinstance(normalized_shape, int)
        self.normalized_shape = (normalized_shape,) if whole else tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.make_affine(self.normalized_shape, elementwise_affine, False, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        affine = self.elementwise_affine
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}"


class GroupNorm(_Affine):
    """Mean 0 and variance 1 over each group of channels of each example."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise located(
                ShapeError(
                    "GroupNorm divides the channels into equal groups",
                    code="PG112",
                    expected="a num_channels that num_groups divides",
                    found=f"{num_channels} channels, {num_groups} groups",
                    hint="choose a num_groups that divides num_channels",
                )
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self.make_affine((num_channels,), affine, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return functional.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class _ChannelNorm(_Affine):
    """What batch and instance normalization share: running statistics of the channels."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    ranks: tuple[int, ...] = ()
    """How many axes an input has."""

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: str | None,
        dtype: DType | None,
        bias: bool,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.make_affine((num_features,), affine, bias, device, dtype)
        mean = variance = count = None
        if track_running_stats:
            mean = zeros(num_features, device=device, dtype=dtype)
            variance = ones(num_features, device=device, dtype=dtype)
            count = zeros((), device=device, dtype=int64)
        self.register_buffer("running_mean", mean)
        self.register_buffer("running_var", variance)
        self.register_buffer("num_batches_tracked", count)

    def reset_running_stats(self) -> None:
        """Begin to count anew: mean 0, variance 1."""
        with set_recording(False):
            if self.running_mean is not None and self.running_var is not None:
                self.running_mean.zero_()
                self.running_var.fill_(1)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.zero_()

    def check_input(self, input: Tensor) -> None:
        """Raise ShapeError for an input of another rank, or with other channels."""
        name = type(self).__name__
        if input.ndim not in self.ranks:
            raise located(
                ShapeError(
                    f"{name} takes inputs of {' or '.join(str(rank) for rank in self.ranks)} axes",
                    code="PG104",
                    expected="[N, C, …]",
                    found=list(input.shape),
                    hint="use the layer for inputs of this many axes, or reshape them",
                )
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def forward(self, input: Tensor) -> Tensor:
        self.check_input(input)
        tracks = self.training and self.track_running_stats
        momentum: Operand = 0.0 if self.momentum is None else self.momentum
        if tracks and self.num_batches_tracked is not None:
            with set_recording(False):
                self.num_batches_tracked.add_(1)
                if self.momentum is None:  # the plain mean over all batches
                    momentum = self.num_batches_tracked.to(input.dtype).reciprocal()
        reads = not self.training or self.track_running_stats
        mean, variance = self.running_mean, self.running_var
        return functional.batch_norm(
            input,
            mean if reads else None,
            variance if reads else None,
            self.weight,
            self.bias,
            self.training or mean is None or variance is None,
            momentum,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Mean 0 and variance 1 of each channel over the batch [N, C] or [N, C, L]."""

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Mean 0 and variance 1 of each channel over the batch [N, C, H, W]."""

    ranks = (4,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: str | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def forward(self, input: Tensor) -> Tensor:
        self.check_input(input)
        alone = input.ndim == self.ranks[0]  # one example without an axis for the batch
        result = functional.instance_norm(
            input.unsqueeze(0) if alone else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum or 0.0,
            self.eps,
        )
        return result.squeeze(0) if alone else result


class InstanceNorm1d(_InstanceNorm):
    """Mean 0 and variance 1 of each channel of each example of [N, C, L]."""

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Mean 0 and variance 1 of each channel of each example of [N, C, H, W]."""

    ranks = (3, 4)


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        check_probability(p, type(self).__name__)
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, elements are 0 with probability p, and the others divided by 1 - p."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """In training, whole channels of [N, C, L] are 0 with probability p."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """In training, whole channels of [N, C, H, W] are 0 with probability p."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.dropout2d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1 after selu."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.alpha_dropout(input, self.p, self.training, self.inplace)
