"""Tensor ops that slide a window along axes: windows (a view), convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import IntegerAttr, i64
from xdsl.irdl import irdl_op_definition, prop_def

from picograd.dialects.dtypes import AnyTensor, dtype_of, tensor_type
from picograd.dialects.tensor_base import (
    INT_ARRAY,
    NUMBER,
    Operand,
    Properties,
    TensorOp,
    check_axis,
    check_dtype,
    check_length,
    int_array,
    int_attr,
    int_value,
    ints,
    tensor_operand,
)
from picograd.errors import DTypeError, ShapeError


def window_span(size: int, dilation: int) -> int:
    """How many elements lie between the first and the last of a window, these two included."""
    return (size - 1) * dilation + 1


@irdl_op_definition
class WindowsOp(TensorOp):
    """Windows along `axis`: it becomes two axes, which window and which element of the window.

    result[…, o, k, …] = x[…, o * stride + k * dilation, …]: `size` elements a window, neighbours
    `dilation` apart, and windows `stride` apart, as many as fit. The axis of length `size` follows
    the axis of the windows. What is left at the end of x is in no window.
    """

    name = "pico.windows"
    IS_VIEW: ClassVar = True
    x = tensor_operand()
    axis = prop_def(IntegerAttr.constr(i64))
    size = prop_def(IntegerAttr.constr(i64))
    stride = prop_def(IntegerAttr.constr(i64))
    dilation = prop_def(IntegerAttr.constr(i64))
    assembly_format = (
        "$x `axis` $axis `size` $size `stride` $stride `dilation` $dilation attr-dict"
        " `:` type($x) `->` type($result)"
    )

    def __init__(self, x: Operand, axis: int, size: int, stride: int = 1, dilation: int = 1):
        self._build((x,), self.properties_of(axis, size, stride, dilation))

    @staticmethod
    def properties_of(axis: int, size: int, stride: int, dilation: int) -> Properties:
        """The op's properties."""
        return {
            "axis": int_attr(axis),
            "size": int_attr(size),
            "stride": int_attr(stride),
            "dilation": int_attr(dilation),
        }

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        shape = x.get_shape()
        axis, size, stride, dilation = (
            int_value(properties[name]) for name in ("axis", "size", "stride", "dilation")
        )
        check_axis("windows", axis, len(shape))
        check_length("windows", "size, stride, dilation", (size, stride, dilation), 3, 1)
        span = window_span(size, dilation)
        if span > shape[axis]:
            raise ShapeError(
                f"windows: a window is longer than axis {axis}",
                code="PG111",
                expected=f"a window that spans at most {shape[axis]} elements",
                found=f"{size} elements, {dilation} apart: they span {span}",
                hint="pad the axis, or take a smaller window",
            )
        count = (shape[axis] - span) // stride + 1
        return tensor_type((*shape[:axis], count, size, *shape[axis + 1 :]), x.element_type)


@irdl_op_definition
class ConvolutionOp(TensorOp):
    """Cross-correlation of x [N, C, *S] with w [O, C / groups, *K], as PyTorch's convolutions.

    result[n, o, j…] = Σ x[n, c, j * stride + k * dilation - low] * w[o, c, k…] over c, k…, where x
    is 0 outside. `low` and `high` zeros surround each spatial axis. With groups, the outputs fall
    into as many equal parts, and each part sees its part of the channels only.
    """

    name = "pico.convolution"
    x = tensor_operand()
    w = tensor_operand()
    strides = prop_def(INT_ARRAY)
    low = prop_def(INT_ARRAY)
    high = prop_def(INT_ARRAY)
    dilations = prop_def(INT_ARRAY)
    groups = prop_def(IntegerAttr.constr(i64))
    assembly_format = (
        "$x `,` $w `strides` $strides `low` $low `high` $high `dilations` $dilations"
        " `groups` $groups attr-dict `:` type($x) `,` type($w) `->` type($result)"
    )

    def __init__(
        self,
        x: Operand,
        w: Operand,
        strides: Sequence[int],
        low: Sequence[int],
        high: Sequence[int],
        dilations: Sequence[int],
        groups: int = 1,
    ):
        self._build((x, w), self.properties_of(strides, low, high, dilations, groups))

    @staticmethod
    def properties_of(
        strides: Sequence[int],
        low: Sequence[int],
        high: Sequence[int],
        dilations: Sequence[int],
        groups: int,
    ) -> Properties:
        """The op's properties."""
        return {
            "strides": int_array(strides),
            "low": int_array(low),
            "high": int_array(high),
            "dilations": int_array(dilations),
            "groups": int_attr(groups),
        }

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        x, w = operand_types
        if x.element_type != w.element_type:
            raise DTypeError(
                "convolution needs operands of one dtype",
                code="PG202",
                expected=f"{dtype_of(x).name} twice",
                found=f"{dtype_of(x).name} and {dtype_of(w).name}",
                hint="cast one of them",
            )
        check_dtype("convolution", dtype_of(x), NUMBER)
        data, kernel = x.get_shape(), w.get_shape()
        if len(data) < 3 or len(kernel) != len(data):
            raise ShapeError(
                "convolution takes an input and a kernel of one rank, at least 3",
                code="PG104",
                expected="[N, C, *S] and [O, C / groups, *K]",
                found=f"{list(data)} and {list(kernel)}",
                hint="give the input a batch axis, and both as many spatial axes",
            )
        _check_channels(data, kernel, int_value(properties["groups"]))
        spatial = len(data) - 2
        strides, low, high, dilations = (
            ints(properties[name]) for name in ("strides", "low", "high", "dilations")
        )
        check_length("convolution", "strides", strides, spatial, 1)
        check_length("convolution", "low", low, spatial, 0)
        check_length("convolution", "high", high, spatial, 0)
        check_length("convolution", "dilations", dilations, spatial, 1)
        sizes: list[int] = []
        for axis in range(spatial):
            padded = low[axis] + data[axis + 2] + high[axis]
            span = window_span(kernel[axis + 2], dilations[axis])
            if not 0 < span <= padded:
                raise ShapeError(
                    "convolution: the kernel does not fit into the padded input",
                    code="PG111",
                    expected=f"a kernel that spans 1 to {padded} elements of axis {axis + 2}",
                    found=f"{kernel[axis + 2]} elements, {dilations[axis]} apart: they span {span}",
                    hint="pad the input more, or take a smaller kernel or dilation",
                )
            sizes.append((padded - span) // strides[axis] + 1)
        return tensor_type((data[0], kernel[0], *sizes), x.element_type)


def _check_channels(data: Sequence[int], kernel: Sequence[int], groups: int) -> None:
    if groups < 1 or kernel[0] % groups or data[1] != kernel[1] * groups:
        raise ShapeError(
            f"convolution: {data[1]} input channels do not go with this kernel",
            code="PG112",
            expected=f"{kernel[1]} channels in each of {groups} groups, "
            + f"and outputs that {groups} divides",
            found=f"an input {list(data)} and a kernel {list(kernel)}",
            hint="a kernel has the shape [outputs, channels / groups, *sizes]",
        )
