"""Tensor ops that move elements: the views, pad, concat, gather, scatter."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar, cast

from xdsl.dialects.builtin import (
    IntegerAttr,
    i64,
)
from xdsl.ir import SSAValue
from xdsl.irdl import (
    AnyAttr,
    VarConstraint,
    irdl_op_definition,
    prop_def,
    result_def,
)

from picograd.dialects.dtypes import (
    AnyTensor,
    dtype_of,
    tensor_type,
)
from picograd.dialects.literals import (
    scalar_attr,
    scalar_type,
)
from picograd.dialects.tensor_base import (
    ANY_TENSOR,
    INT_ARRAY,
    NUMBER,
    Operand,
    Properties,
    ScatterKind,
    ScatterKindAttr,
    TensorOp,
    check_axes,
    check_axis,
    check_dtype,
    check_length,
    check_same_shape,
    check_shape,
    int_array,
    int_attr,
    int_value,
    ints,
    kind_of,
    scatter_kind,
    tensor_operand,
    tensor_operands,
)
from picograd.errors import DTypeError, ShapeError


@irdl_op_definition
class ReshapeOp(TensorOp):
    """The same elements in row-major order under another shape."""

    name = "pico.reshape"
    IS_VIEW: ClassVar = True
    x = tensor_operand()
    shape = prop_def(INT_ARRAY)
    assembly_format = "$x `to` $shape attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: Operand, shape: Sequence[int]):
        self._build((x,), {"shape": int_array(shape)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        shape = ints(properties["shape"])
        check_shape("reshape", shape)
        if prod(shape) != prod(x.get_shape()):
            raise ShapeError(
                "reshape keeps the number of elements",
                code="PG105",
                expected=f"{prod(x.get_shape())} elements, as in {list(x.get_shape())}",
                found=f"{prod(shape)} elements in {list(shape)}",
                hint="choose sizes with the same product",
            )
        return tensor_type(shape, x.element_type)


@irdl_op_definition
class PermuteOp(TensorOp):
    """Axes in another order: axis i of the result is axis `permutation[i]` of the operand."""

    name = "pico.permute"
    IS_VIEW: ClassVar = True
    x = tensor_operand()
    permutation = prop_def(INT_ARRAY)
    assembly_format = "$x `by` $permutation attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: Operand, permutation: Sequence[int]):
        self._build((x,), {"permutation": int_array(permutation)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        shape, permutation = x.get_shape(), ints(properties["permutation"])
        if sorted(permutation) != list(range(len(shape))):
            raise ShapeError(
                "permute lists every axis once",
                code="PG118",
                expected=f"a permutation of {list(range(len(shape)))}",
                found=list(permutation),
                hint="name every axis of the operand exactly once",
            )
        return tensor_type([shape[axis] for axis in permutation], x.element_type)


@irdl_op_definition
class BroadcastOp(TensorOp):
    """Repeat along new leading axes and axes of size 1, as NumPy's `broadcast_to`."""

    name = "pico.broadcast"
    IS_VIEW: ClassVar = True
    x = tensor_operand()
    shape = prop_def(INT_ARRAY)
    assembly_format = "$x `to` $shape attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: Operand, shape: Sequence[int]):
        self._build((x,), {"shape": int_array(shape)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        shape, old = ints(properties["shape"]), x.get_shape()
        check_shape("broadcast", shape)
        aligned = shape[len(shape) - len(old) :] if len(shape) >= len(old) else ()
        if len(shape) < len(old) or any(o not in (1, n) for o, n in zip(old, aligned, strict=True)):
            raise ShapeError(
                f"a tensor of shape {list(old)} does not broadcast to {list(shape)}",
                code="PG101",
                expected="sizes, from the right, that are equal or 1",
                found=f"{list(old)} -> {list(shape)}",
                hint="reshape the operand so that its sizes line up from the right",
            )
        return tensor_type(shape, x.element_type)


@irdl_op_definition
class SliceOp(TensorOp):
    """Elements `starts`, `starts + steps`, … below `limits`, on every axis."""

    name = "pico.slice"
    IS_VIEW: ClassVar = True
    x = tensor_operand()
    starts = prop_def(INT_ARRAY)
    limits = prop_def(INT_ARRAY)
    steps = prop_def(INT_ARRAY)
    assembly_format = (
        "$x `from` $starts `to` $limits `step` $steps attr-dict `:` type($x) `->` type($result)"
    )

    def __init__(
        self,
        x: Operand,
        starts: Sequence[int],
        limits: Sequence[int],
        steps: Sequence[int] | None = None,
    ):
        steps = (1,) * len(starts) if steps is None else steps
        self._build(
            (x,),
            {
                "starts": int_array(starts),
                "limits": int_array(limits),
                "steps": int_array(steps),
            },
        )

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        shape = x.get_shape()
        starts, limits, steps = (ints(properties[n]) for n in ("starts", "limits", "steps"))
        check_length("slice", "starts", starts, len(shape), 0)
        check_length("slice", "limits", limits, len(shape), 0)
        check_length("slice", "steps", steps, len(shape), 1)
        for axis, (start, limit, size) in enumerate(zip(starts, limits, shape, strict=True)):
            if not start <= limit <= size:
                raise ShapeError(
                    f"slice leaves axis {axis}, which has {size} elements",
                    code="PG120",
                    expected=f"0 <= start <= limit <= {size}",
                    found=f"start {start}, limit {limit}",
                    hint="stay within the axis: slice does not clamp",
                )
        sizes = [-(-(b - a) // s) for a, b, s in zip(starts, limits, steps, strict=True)]
        return tensor_type(sizes, x.element_type)


@irdl_op_definition
class ReverseOp(TensorOp):
    """The elements of `axes` in opposite order."""

    T: ClassVar = VarConstraint("T", ANY_TENSOR)
    name = "pico.reverse"
    IS_VIEW: ClassVar = True
    x = tensor_operand(T)
    axes = prop_def(INT_ARRAY)
    result = result_def(T)
    assembly_format = "$x `axes` $axes attr-dict `:` type($result)"

    def __init__(self, x: Operand, axes: Sequence[int]):
        self._build((x,), {"axes": int_array(axes)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        check_axes("reverse", ints(properties["axes"]), len(x.get_shape()))
        return x


@irdl_op_definition
class PadOp(TensorOp):
    """Put `low` copies of `value` before, `high` after, `interior` between, on every axis."""

    name = "pico.pad"
    x = tensor_operand()
    value = prop_def(AnyAttr())
    low = prop_def(INT_ARRAY)
    high = prop_def(INT_ARRAY)
    interior = prop_def(INT_ARRAY)
    assembly_format = (
        "$x `with` $value `low` $low `high` $high `interior` $interior attr-dict"
        " `:` type($x) `->` type($result)"
    )

    def __init__(
        self,
        x: Operand,
        low: Sequence[int],
        high: Sequence[int],
        interior: Sequence[int] | None = None,
        value: bool | float = 0,
    ):
        interior = (0,) * len(low) if interior is None else interior
        element_type = cast(AnyTensor, SSAValue.get(x).type).element_type
        self._build(
            (x,),
            {
                "value": scalar_attr(value, element_type),
                "low": int_array(low),
                "high": int_array(high),
                "interior": int_array(interior),
            },
        )

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        shape, value = x.get_shape(), properties["value"]
        if scalar_type(value) != x.element_type:
            raise DTypeError(
                "pad: the value has the operand's dtype",
                code="PG205",
                expected=x.element_type,
                found=value,
                hint="write the value with the operand's dtype",
            )
        low, high, interior = (ints(properties[n]) for n in ("low", "high", "interior"))
        check_length("pad", "low", low, len(shape), 0)
        check_length("pad", "high", high, len(shape), 0)
        check_length("pad", "interior", interior, len(shape), 0)
        sizes = [
            before + size + max(size - 1, 0) * between + after
            for size, before, after, between in zip(shape, low, high, interior, strict=True)
        ]
        return tensor_type(sizes, x.element_type)


@irdl_op_definition
class ConcatOp(TensorOp):
    """Tensors one after another along `axis`."""

    name = "pico.concat"
    xs = tensor_operands()
    axis = prop_def(IntegerAttr.constr(i64))
    assembly_format = "$xs `axis` $axis attr-dict `:` type($xs) `->` type($result)"

    def __init__(self, xs: Sequence[Operand], axis: int):
        self._build(tuple(xs), {"axis": int_attr(axis)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        axis = int_value(properties["axis"])
        if not operand_types:
            raise ShapeError(
                "concat needs at least one tensor",
                code="PG110",
                expected="1 or more",
                found=0,
                hint="pass the tensors to join",
            )
        first, shape = operand_types[0], operand_types[0].get_shape()
        check_axis("concat", axis, len(shape))
        for type in operand_types[1:]:
            if type.element_type != first.element_type:
                raise DTypeError(
                    "concat needs tensors of one dtype",
                    code="PG202",
                    expected=dtype_of(first).name,
                    found=dtype_of(type).name,
                    hint="cast them to one dtype",
                )
            other = type.get_shape()
            if other[:axis] + other[axis + 1 :] != shape[:axis] + shape[axis + 1 :]:
                raise ShapeError(
                    f"concat along axis {axis}: all other sizes are equal",
                    code="PG110",
                    expected=[*shape[:axis], "any", *shape[axis + 1 :]],
                    found=list(other),
                    hint="slice, pad or reshape the tensors so that only that axis differs",
                )
        total = sum(type.get_shape()[axis] for type in operand_types)
        return tensor_type((*shape[:axis], total, *shape[axis + 1 :]), first.element_type)


@irdl_op_definition
class GatherOp(TensorOp):
    """Pick along `axis`: result[i0, …] = x[i0, …, index[i0, …], …], as PyTorch's `gather`.

    `index` has x's sizes except on `axis`. An index outside [0, size) raises IndexOutOfRange when
    it runs.
    """

    name = "pico.gather"
    x = tensor_operand()
    index = tensor_operand()
    axis = prop_def(IntegerAttr.constr(i64))
    assembly_format = (
        "$x `at` $index `axis` $axis attr-dict `:` type($x) `,` type($index) `->` type($result)"
    )

    def __init__(self, x: Operand, index: Operand, axis: int):
        self._build((x, index), {"axis": int_attr(axis)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        x, index = operand_types
        _check_index("gather", x, index, int_value(properties["axis"]))
        return tensor_type(index.get_shape(), x.element_type)


@irdl_op_definition
class ScatterOp(TensorOp):
    """x with `updates` added or set at x[i0, …, index[i0, …], …], as PyTorch's `scatter_add` and
    `scatter`.

    Updates that meet at one element are applied in the order of their indices along `axis`. An
    index outside [0, size) raises IndexOutOfRange when it runs.
    """

    T: ClassVar = VarConstraint("T", ANY_TENSOR)
    name = "pico.scatter"
    kind = prop_def(ScatterKindAttr)
    x = tensor_operand(T)
    index = tensor_operand()
    updates = tensor_operand()
    axis = prop_def(IntegerAttr.constr(i64))
    result = result_def(T)
    assembly_format = (
        "$kind $x `at` $index `from` $updates `axis` $axis attr-dict"
        " `:` type($result) `,` type($index) `,` type($updates)"
    )

    def __init__(
        self,
        kind: ScatterKind | str,
        x: Operand,
        index: Operand,
        updates: Operand,
        axis: int,
    ):
        self._build(
            (x, index, updates),
            {"kind": scatter_kind(kind), "axis": int_attr(axis)},
        )

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        x, index, updates = operand_types
        kind = kind_of(properties)
        what = f"scatter {kind}"
        if kind == ScatterKind.ADD:
            check_dtype(what, dtype_of(x), NUMBER)
        _check_index(what, x, index, int_value(properties["axis"]))
        if updates.element_type != x.element_type:
            raise DTypeError(
                f"{what}: the updates have the operand's dtype",
                code="PG205",
                expected=dtype_of(x).name,
                found=dtype_of(updates).name,
                hint="cast the updates",
            )
        check_same_shape(f"{what} (index, updates)", index, updates)
        return x


def _check_index(what: str, x: AnyTensor, index: AnyTensor, axis: int) -> None:
    if dtype_of(index).name not in ("int32", "int64"):
        raise DTypeError(
            f"{what}: an index is int32 or int64",
            code="PG122",
            expected="int32 or int64",
            found=dtype_of(index).name,
            hint="cast the index",
        )
    data, at = x.get_shape(), index.get_shape()
    if len(data) != len(at):
        raise ShapeError(
            f"{what}: the index has the operand's rank",
            code="PG124",
            expected=f"rank {len(data)}, as {list(data)}",
            found=f"rank {len(at)}, {list(at)}",
            hint="reshape or broadcast the index first",
        )
    check_axis(what, axis, len(data))
    if data[:axis] + data[axis + 1 :] != at[:axis] + at[axis + 1 :]:
        raise ShapeError(
            f"{what} along axis {axis}: all other sizes of the index are the operand's",
            code="PG124",
            expected=[*data[:axis], "any", *data[axis + 1 :]],
            found=list(at),
            hint="slice the operand first when the index covers a part of it",
        )
