"""Matrix products and convolutions: one element is a sum of products.

Also what every reduction needs: opening and closing its loop.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation, SSAValue

from picograd.dialects import loop
from picograd.dialects.affine import Linear
from picograd.dialects.tensor import BinaryKind, ConvolutionOp, MatmulOp, int_value, ints
from picograd.passes.lowering.arithmetic import binary, select
from picograd.passes.lowering.elements import At, shape_of
from picograd.passes.lowering.indices import Guard, Index, in_range, quotient
from picograd.passes.lowering.nest import Scope, dims_of


def open_reduction(
    at: At, op: Operation, shape: Sequence[int], axes: Sequence[int]
) -> tuple[Scope, dict[int, Linear]] | None:
    """The body of a reduction over some axes, and each axis's index; None when all are 1."""
    looped = [axis for axis in axes if shape[axis] != 1]
    if not looped:
        return None
    label = ("reduce", at.elements.plan.position(op.results[0]))
    extents = [shape[axis] for axis in looped]
    scope = at.elements.open(at.scope, label, extents, sequential=True)
    variables = dict(zip(looped, map(Linear.of, scope.block.args), strict=True))
    return scope, {axis: variables.get(axis, Linear.of(0)) for axis in axes}


def close_reduction(at: At, kind: str, scope: Scope, value: SSAValue) -> SSAValue:
    """The reduction whose body is complete, and what it combines."""
    scope.block.add_op(loop.YieldOp(value))
    return at.add(loop.ReduceOp(kind, dims_of(scope), [value.type], body=scope.block))


def matmul(op: MatmulOp, index: Index, at: At) -> SSAValue:
    *batch, row, column = index
    shape = shape_of(op.a)
    opened = open_reduction(at, op, shape, (len(shape) - 1,))
    if opened is None:
        body, inner = at, Linear.of(0)
    else:
        body, inner = At(at.elements, opened[0], at.guard), opened[1][len(shape) - 1]
    left = body.element(op.a, (*batch, row, inner))
    right = body.element(op.b, (*batch, inner, column))
    product = binary(body, BinaryKind.MUL, left, right)
    return product if opened is None else close_reduction(at, "add", opened[0], product)


def convolution(op: ConvolutionOp, index: Index, at: At) -> SSAValue:
    batch, output, *places = index
    kernel = shape_of(op.w)
    axes = range(1, len(kernel))
    opened = open_reduction(at, op, kernel, axes)
    if opened is None:
        body, inner = at, dict.fromkeys(axes, Linear.of(0))
    else:
        body, inner = At(at.elements, opened[0], at.guard), opened[1]
    # Each group of outputs sees as many channels as the kernel has.
    per_group = kernel[0] // int_value(op.groups)
    group = quotient(output, max(1, per_group), at.elements.ranges)
    channel = group * kernel[1] + inner[1]
    source = [
        place * stride + inner[2 + axis] * dilation - low
        for axis, (place, stride, dilation, low) in enumerate(
            zip(places, ints(op.strides), ints(op.dilations), ints(op.low), strict=True)
        )
    ]
    left = _padded(op, (batch, channel, *source), body)
    right = body.element(op.w, (output, *(inner[axis] for axis in axes)))
    product = binary(body, BinaryKind.MUL, left, right)
    return product if opened is None else close_reduction(at, "add", opened[0], product)


def _padded(op: ConvolutionOp, index: Index, at: At) -> SSAValue:
    """The input's element at an index, and 0 around the input."""
    outside = at.constant(0, op.x.type.element_type)
    guard: Guard = ()
    for expression, size in zip(index[2:], shape_of(op.x)[2:], strict=True):
        conditions = in_range(expression, 0, size, at.elements.ranges)
        if conditions is None:
            return outside
        guard += conditions
    element = at.under(guard).element(op.x, index)
    return select(at, at.holds(guard), element, outside) if guard else element
