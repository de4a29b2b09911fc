"""Normalization, as in `torch.nn.functional`: mean 0 and variance 1 over chosen axes."""

from __future__ import annotations

from collections.abc import Sequence

from picograd.errors import OptionError, ShapeError
from picograd.frontend.core import Operand
from picograd.frontend.methods import compositions
from picograd.frontend.modes.mode import set_recording
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import common_device, require_float
from picograd.frontend.tensor import Tensor

_EPS_OF = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}


def _last_axes(input: Tensor, normalized_shape: Sequence[int], name: str) -> range:
    """The axes that the shape names. Raises ShapeError unless the input's shape ends in it."""
    count = len(normalized_shape)
    if count == 0 or input.shape[max(input.ndim - count, 0) :] != tuple(normalized_shape):
        raise located(
            ShapeError(
                f"{name} normalizes the last axes",
                code="PG113",
                expected=f"a tensor whose shape ends in {list(normalized_shape)}",
                found=list(input.shape),
                hint="pass the sizes of the input's last axes as normalized_shape",
            )
        )
    return range(input.ndim - count, input.ndim)


@planned_operands(tensors=("weight", "bias"))
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The input with mean 0 and variance 1 over its last axes, then times `weight` plus `bias`."""
    require_float(input, "layer_norm")
    axes = _last_axes(input, normalized_shape, "layer_norm")
    result = input.wrap(compositions.layer_norm(input.builder(), input.read(), axes, eps))
    if weight is not None:
        result = result * weight
    return result if bias is None else result + bias


@planned_operands(tensors=("weight",))
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """The input divided by the root of its mean square over the last axes, times `weight`.

    `eps` is by default the distance from 1 to the next number of the input's dtype.
    """
    require_float(input, "rms_norm")
    axes = _last_axes(input, normalized_shape, "rms_norm")
    ops, x = input.builder(), input.read()
    square = compositions.mean(ops, ops.mul(x, x), axes)
    least = _EPS_OF[input.dtype.name] if eps is None else eps
    scale = ops.unary("rsqrt", ops.add(square, ops.full_like(square, least)))
    result = input.wrap(ops.mul(x, ops.broadcast_along(scale, input.shape, axes)))
    return result if weight is None else result * weight


def _channel_affine(
    result: Tensor, weight: Tensor | None, bias: Tensor | None, name: str
) -> Tensor:
    """The result times the weight plus the bias of each channel, axis 1."""
    for part in (weight, bias):
        if part is not None and part.shape != (result.shape[1],):
            raise located(
                ShapeError(
                    f"{name} has one weight and one bias for each channel",
                    code="PG112",
                    expected=[result.shape[1]],
                    found=list(part.shape),
                    hint="give the layer as many channels as the input's axis 1 has elements",
                )
            )
    shape = (-1, *[1] * (result.ndim - 2))
    if weight is not None:
        result = result * weight.reshape(shape)
    return result if bias is None else result + bias.reshape(shape)


def _check_channels(input: Tensor, name: str) -> None:
    require_float(input, name)
    if input.ndim < 2:
        raise located(
            ShapeError(
                f"{name} normalizes channels, which are axis 1",
                code="PG104",
                expected="an input [N, C, …]",
                found=list(input.shape),
                hint="add an axis for the batch: x.unsqueeze(0)",
            )
        )


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 over each of `num_groups` groups of channels of each example."""
    _check_channels(input, "group_norm")
    batch, channels = input.shape[:2]
    if num_groups < 1 or channels % num_groups:
        raise located(
            ShapeError(
                "group_norm divides the channels into equal groups",
                code="PG112",
                expected="a number of channels that num_groups divides",
                found=f"{channels} channels, {num_groups} groups",
                hint="choose a num_groups that divides the number of channels",
            )
        )
    size = input.numel() // max(batch * num_groups, 1)
    grouped = input.reshape(batch, num_groups, size)
    ops = grouped.builder()
    normal = input.wrap(compositions.layer_norm(ops, grouped.read(), (2,), eps))
    return _channel_affine(normal.reshape(input.shape), weight, bias, "group_norm")


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 over each channel of each example."""
    _check_channels(input, "instance_norm")
    if input.ndim < 3 or (use_input_stats and input.shape[2:].count(1) == input.ndim - 2):
        raise located(
            ShapeError(
                "instance_norm needs several elements a channel",
                code="PG114",
                expected="an input [N, C, …] with more than one element behind N and C",
                found=list(input.shape),
                hint="use layer_norm or batch_norm for inputs [N, C]",
            )
        )
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    axes = tuple(range(2, input.ndim))
    if running_mean is not None and running_var is not None:
        values = input.detach()
        mean = values.mean(axes).mean(0)
        _blend(running_mean, mean, momentum)
        _blend(running_var, values.var(axes).mean(0), momentum)
    normal = input.wrap(compositions.layer_norm(input.builder(), input.read(), axes, eps))
    return _channel_affine(normal, weight, bias, "instance_norm")


def _blend(running: Tensor, now: Tensor, momentum: Operand) -> None:
    """Move a running value towards the present one, in place and without gradient."""
    with set_recording(False):
        running.lerp_(now.to(running.dtype), momentum)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: Operand = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 over each channel (axis 1) of the whole batch.

    Training takes the batch's own mean and variance and moves the running values towards them, in
    place, by `momentum` (the variance counts n - 1); otherwise the running values are used.
    """
    _check_channels(input, "batch_norm")
    given = [t for t in (running_mean, running_var, weight, bias) if t is not None]
    common_device((input, *given))
    axes = (0, *range(2, input.ndim))
    for running in (running_mean, running_var):
        if running is not None and running.shape != (input.shape[1],):
            raise located(
                ShapeError(
                    "batch_norm keeps one running value for each channel",
                    code="PG112",
                    expected=[input.shape[1]],
                    found=list(running.shape),
                    hint="give the layer as many features as the input's axis 1 has elements",
                )
            )
    ops, x = input.builder(), input.read()
    if not training:
        if running_mean is None or running_var is None:
            raise located(
                OptionError(
                    "batch_norm without training needs running statistics",
                    code="PG803",
                    expected="running_mean and running_var",
                    found="None",
                    hint="pass training=True to normalize by the batch's own statistics",
                )
            )
        centered = input - _spread(running_mean, input.ndim)
        normal = centered * _spread((running_var + eps).rsqrt(), input.ndim)
        return _channel_affine(normal, weight, bias, "batch_norm")
    count = compositions.count(ops, x, axes)
    if count == 1:
        raise located(
            ShapeError(
                "batch_norm needs more than one value for each channel when training",
                code="PG114",
                expected="a batch of several examples, or several elements each",
                found=list(input.shape),
                hint="use a larger batch, or call .eval() before single examples",
            )
        )
    mean = compositions.mean(ops, x, axes)
    centered = ops.sub(x, ops.broadcast_along(mean, input.shape, axes))
    spread = compositions.mean(ops, ops.mul(centered, centered), axes)
    scale = ops.unary("rsqrt", ops.add(spread, ops.full_like(spread, eps)))
    if running_mean is not None:
        _blend(running_mean, input.wrap(mean).detach(), momentum)
    if running_var is not None:
        unbiased = input.wrap(spread).detach() * (count / (count - 1) if count else 1)
        _blend(running_var, unbiased, momentum)
    normal = input.wrap(ops.mul(centered, ops.broadcast_along(scale, input.shape, axes)))
    return _channel_affine(normal, weight, bias, "batch_norm")


def _spread(values: Tensor, rank: int) -> Tensor:
    """Values of channels, so that they broadcast with [N, C, …]."""
    return values.reshape(-1, *[1] * (rank - 2))
