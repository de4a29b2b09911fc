"""Convolutions, as in `torch.nn.functional`, and the windows that they slide."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from picograd.dialects.tensor import window_span
from picograd.errors import DTypeError, ShapeError
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import common_device
from picograd.frontend.tensor import Tensor
from picograd.nn.functions.spatial import Sizes, one_of, per_axis, with_batch, without_batch
from picograd.semantics.gradients_windows import overlap_add, transposed_convolution


@planned_operands(tensors=("weight", "bias"))
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of input [N, C, L] with weight [O, C / groups, K], plus bias [O].

    `padding` is a number of zeros at either end, "valid" (none) or "same" (as many as keep the
    length); the batch axis may be missing. Raises ShapeError for channels that do not match, and
    for a kernel that is larger than the padded input.
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@planned_operands(tensors=("weight", "bias"))
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """As `conv1d`, for input [N, C, H, W] and weight [O, C / groups, KH, KW]."""
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@planned_operands(tensors=("weight", "bias"))
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """As `conv1d`, for input [N, C, D, H, W] and weight [O, C / groups, KD, KH, KW]."""
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """The transpose of `conv1d`: input [N, C, L], weight [C, O / groups, K].

    Each input element adds its multiple of the kernel to the result, `stride` further on for each.
    `padding` elements are cut off at both ends; `output_padding` are kept at the far end.
    """
    return _transposed(
        "conv_transpose1d",
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """As `conv_transpose1d`, for input [N, C, H, W] and weight [C, O / groups, KH, KW]."""
    return _transposed(
        "conv_transpose2d",
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


def unfold(
    input: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Tensor:
    """The windows that a convolution slides over input [N, C, H, W]: a column for each place.

    The result is [N, C * KH * KW, places]; the batch axis may be missing.
    """
    x, alone = with_batch("unfold", input, 2)
    window = _Window("unfold", kernel_size, stride, padding, dilation)
    window.check_fits(x.shape[2:])
    ops = x.builder()
    margins = [0, 0, *window.padding]
    value = ops.pad(x.read(), margins, margins, [0] * 4)
    for axis in (3, 2):
        value = ops.windows(value, axis, *window.along(axis - 2))
    batch, channels, down, height, right, width = ops.shape_of(value)
    columns = ops.permute(value, [0, 1, 3, 5, 2, 4])
    value = ops.reshape(columns, (batch, channels * height * width, down * right))
    return without_batch(x, value, alone)


def fold(
    input: Tensor,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:
    """The sum of columns [N, C * KH * KW, places], each at its place in [N, C, *output_size].

    It is the transpose of `unfold`, which makes such columns.
    """
    x, alone = with_batch("fold", input, 1)
    window = _Window("fold", kernel_size, stride, padding, dilation)
    sizes = per_axis("fold", "output_size", output_size, 2, 1)
    window.check_fits(sizes)
    padded = [size + 2 * margin for size, margin in zip(sizes, window.padding, strict=True)]
    places = [window.places(size, axis) for axis, size in enumerate(sizes)]
    batch, rows, columns = x.shape
    if rows % prod(window.size) or columns != prod(places):
        raise located(
            ShapeError(
                "fold: the input holds no columns of such windows",
                code="PG111",
                expected=f"[N, C * {prod(window.size)}, {prod(places)}]",
                found=list(x.shape),
                hint="pass the sizes with which unfold made the columns",
            )
        )
    ops = x.builder()
    shape = (batch, rows // prod(window.size), *window.size, *places)
    value = ops.permute(ops.reshape(x.read(), shape), [0, 1, 4, 2, 5, 3])
    for axis in (2, 3):
        stride_, dilation_ = window.stride[axis - 2], window.dilation[axis - 2]
        value = overlap_add(ops, value, axis, padded[axis - 2], stride_, dilation_)
    starts = [0, 0, *window.padding]
    limits = [*shape[:2], *(a + n for a, n in zip(window.padding, sizes, strict=True))]
    return without_batch(x, ops.slice(value, starts, limits, [1] * 4), alone)


class _Window:
    """The sizes of two-dimensional windows."""

    def __init__(
        self, what: str, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
    ) -> None:
        self.what = what
        self.size = per_axis(what, "kernel_size", size, 2, 1)
        self.stride = per_axis(what, "stride", stride, 2, 1)
        self.padding = per_axis(what, "padding", padding, 2, 0)
        self.dilation = per_axis(what, "dilation", dilation, 2, 1)

    def along(self, axis: int) -> tuple[int, int, int]:
        """Size, stride and dilation along a spatial axis."""
        return self.size[axis], self.stride[axis], self.dilation[axis]

    def places(self, length: int, axis: int) -> int:
        """How many windows fit along a spatial axis."""
        span = window_span(self.size[axis], self.dilation[axis])
        return (length + 2 * self.padding[axis] - span) // self.stride[axis] + 1

    def check_fits(self, sizes: Sequence[int]) -> None:
        """Raise ShapeError where there is no window."""
        if any(self.places(size, axis) < 1 for axis, size in enumerate(sizes)):
            raise located(_too_large(self.what, self.size, self.dilation, self.padding, sizes))


def _too_large(
    what: str,
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    sizes: Sequence[int],
) -> ShapeError:
    spans = [window_span(k, d) for k, d in zip(kernel, dilation, strict=True)]
    return ShapeError(
        f"{what}: the kernel is larger than the padded input",
        code="PG111",
        expected=f"an input of at least {spans}, padding included",
        found=f"{list(sizes)} and a padding of {list(padding)} on either side",
        hint="pass a larger input or padding, or a smaller kernel or dilation",
    )


def _check_operands(
    what: str, axes: int, x: Tensor, weight: Tensor, bias: Tensor | None, outputs: int
) -> None:
    """Raise unless weight and bias fit together, with each other and with the input's dtype."""
    given = [x, weight] if bias is None else [x, weight, bias]
    common_device(given)
    if any(tensor.dtype is not x.dtype for tensor in given):
        raise located(
            DTypeError(
                f"{what} needs input, weight and bias of one dtype",
                code="PG202",
                expected=x.dtype.name,
                found=" and ".join(tensor.dtype.name for tensor in given[1:]),
                hint="convert the layer or the input: .to(dtype)",
            )
        )
    if weight.ndim != axes + 2:
        raise located(
            ShapeError(
                f"{what} takes a weight of rank {axes + 2}",
                code="PG104",
                expected=f"two axes of channels and {axes} spatial ones",
                found=list(weight.shape),
                hint="reshape the weight",
            )
        )
    if bias is not None and bias.shape != (outputs,):
        raise located(
            ShapeError(
                f"{what}: the bias has one element for each output channel",
                code="PG112",
                expected=[outputs],
                found=list(bias.shape),
                hint="pass a bias that fits the weight",
            )
        )


def _check_channels(what: str, x: Tensor, weight: Tensor, channels: int, groups: int) -> None:
    """Raise unless the input has as many channels as the weight expects."""
    if groups < 1 or weight.shape[0] % groups or x.shape[1] != channels:
        raise located(
            ShapeError(
                f"{what}: the input's channels do not go with the weight and groups={groups}",
                code="PG112",
                expected=f"{channels} channels, and {weight.shape[0]} a multiple of groups",
                found=f"an input {list(x.shape)} and a weight {list(weight.shape)}",
                hint="make in_channels of the layer the size of the input's channel axis",
            )
        )


def _with_bias(ops: Tape, value: Var, bias: Tensor | None) -> Var:
    if bias is None:
        return value
    shape = ops.shape_of(value)
    column = ops.reshape(bias.read(), (shape[1], *(1 for _ in shape[2:])))
    return ops.add(value, ops.broadcast(column, shape))


def _convolve(
    what: str,
    axes: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Sizes | str,
    dilation: Sizes,
    groups: int,
) -> Tensor:
    x, alone = with_batch(what, input, axes)
    _check_operands(what, axes, x, weight, bias, weight.shape[0] if weight.ndim else 0)
    _check_channels(what, x, weight, weight.shape[1] * groups, groups)
    strides = per_axis(what, "stride", stride, axes, 1)
    dilations = per_axis(what, "dilation", dilation, axes, 1)
    reach = [window_span(k, d) - 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    if isinstance(padding, str):
        low, high = _named_padding(what, padding, strides, reach)
    else:
        low = high = list(per_axis(what, "padding", padding, axes, 0))
    sizes = x.shape[2:]
    if 0 in weight.shape[2:] or any(
        a + n + b <= r for a, n, b, r in zip(low, sizes, high, reach, strict=True)
    ):
        raise located(_too_large(what, weight.shape[2:], dilations, low, sizes))
    ops = x.builder()
    value = ops.convolution(x.read(), weight.read(), strides, low, high, dilations, groups)
    return without_batch(x, _with_bias(ops, value, bias), alone)


def _named_padding(
    what: str, padding: str, strides: Sequence[int], reach: Sequence[int]
) -> tuple[list[int], list[int]]:
    one_of(what, "padding", padding, ("same", "valid"))
    if padding == "valid":
        return [0] * len(reach), [0] * len(reach)
    if any(stride != 1 for stride in strides):
        raise located(
            ShapeError(
                f"{what}: padding='same' keeps the size, which strides do not",
                code="PG803",
                expected="stride=1",
                found=f"stride={tuple(strides)}",
                hint="pass the padding as a number",
            )
        )
    return [r // 2 for r in reach], [r - r // 2 for r in reach]


def _transposed(
    what: str,
    axes: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
) -> Tensor:
    x, alone = with_batch(what, input, axes)
    outputs = weight.shape[1] * groups if weight.ndim > 1 else 0
    _check_operands(what, axes, x, weight, bias, outputs)
    _check_channels(what, x, weight, weight.shape[0], groups)
    strides = per_axis(what, "stride", stride, axes, 1)
    margins = per_axis(what, "padding", padding, axes, 0)
    extra = per_axis(what, "output_padding", output_padding, axes, 0)
    dilations = per_axis(what, "dilation", dilation, axes, 1)
    for more, step, gap in zip(extra, strides, dilations, strict=True):
        if more >= max(step, gap):
            raise located(
                ShapeError(
                    f"{what}: output_padding is smaller than the stride or the dilation",
                    code="PG111",
                    expected=f"at most {max(step, gap) - 1}",
                    found=more,
                    hint="take a smaller output_padding: it says which of the sizes that a strided "
                    "convolution takes to the input's is meant",
                )
            )
    reach = [window_span(k, d) - 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    sizes = [
        (size - 1) * step + r + 1 + more - 2 * margin
        for size, step, r, more, margin in zip(
            x.shape[2:], strides, reach, extra, margins, strict=True
        )
    ]
    if any(size < 1 for size in (*x.shape[2:], *sizes)):
        raise located(
            ShapeError(
                f"{what}: nothing is left of the result",
                code="PG111",
                expected="spatial sizes of 1 or more",
                found=f"{sizes} from an input {list(x.shape)}",
                hint="take less padding, or a larger input",
            )
        )
    low = [r - margin for r, margin in zip(reach, margins, strict=True)]
    high = [a + more for a, more in zip(low, extra, strict=True)]
    ops = x.builder()
    value = transposed_convolution(
        ops, x.read(), weight.read(), strides, low, high, dilations, groups
    )
    return without_batch(x, _with_bias(ops, value, bias), alone)


__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "fold",
    "unfold",
]
