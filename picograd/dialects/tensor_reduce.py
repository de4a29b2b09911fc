"""Tensor ops that combine elements: reduce, argreduce, matmul."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    IntegerAttr,
    i64,
)
from xdsl.irdl import (
    AnyAttr,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
)

from picograd.dialects.dtypes import (
    AnyTensor,
    dtype_of,
    from_ir,
    int64,
    tensor_type,
)
from picograd.dialects.tensor_base import (
    BITS,
    INT_ARRAY,
    NUMBER,
    ArgReduceKind,
    ArgReduceKindAttr,
    Operand,
    Properties,
    ReduceKind,
    ReduceKindAttr,
    TensorOp,
    argreduce_kind,
    check_axes,
    check_axis,
    check_dtype,
    int_array,
    int_attr,
    int_value,
    ints,
    kind_of,
    reduce_kind,
    tensor_operand,
)
from picograd.errors import DTypeError, ShapeError


@irdl_op_definition
class ReduceOp(TensorOp):
    """Combine all elements along `axes`, which the result lacks; `max` and `min` propagate NaN.

    Of an empty axis `add` gives 0, `mul` 1, `and` all ones, `or` 0; `max` and `min` are errors.
    """

    name = "pico.reduce"
    kind = prop_def(ReduceKindAttr)
    x = tensor_operand()
    axes = prop_def(INT_ARRAY)
    assembly_format = "$kind $x `axes` $axes attr-dict `:` type($x) `->` type($result)"

    def __init__(self, kind: ReduceKind | str, x: Operand, axes: Sequence[int]):
        self._build((x,), {"kind": reduce_kind(kind), "axes": int_array(axes)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        kind, axes, shape = kind_of(properties), ints(properties["axes"]), x.get_shape()
        what = f"reduce {kind}"
        logical = kind in (ReduceKind.AND, ReduceKind.OR)
        check_dtype(what, dtype_of(x), BITS if logical else NUMBER)
        check_axes(what, axes, len(shape))
        if kind in (ReduceKind.MAX, ReduceKind.MIN):
            _check_not_empty(what, shape, axes)
        return tensor_type([s for i, s in enumerate(shape) if i not in axes], x.element_type)


@irdl_op_definition
class ArgReduceOp(TensorOp):
    """The index of the largest or smallest element along `axis`: the first of ties, the first NaN.

    The index is int64; for machines without it, `element_type` may say int32.
    """

    name = "pico.argreduce"
    kind = prop_def(ArgReduceKindAttr)
    x = tensor_operand()
    axis = prop_def(IntegerAttr.constr(i64))
    element_type = opt_prop_def(AnyAttr())
    assembly_format = (
        "$kind $x `axis` $axis (`as` $element_type^)? attr-dict `:` type($x) `->` type($result)"
    )

    def __init__(self, kind: ArgReduceKind | str, x: Operand, axis: int):
        self._build((x,), {"kind": argreduce_kind(kind), "axis": int_attr(axis)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        axis, shape = int_value(properties["axis"]), x.get_shape()
        what = f"argreduce {kind_of(properties)}"
        check_dtype(what, dtype_of(x), NUMBER)
        check_axis(what, axis, len(shape))
        _check_not_empty(what, shape, (axis,))
        index = from_ir(properties.get("element_type", int64.ir))
        if index.name not in ("int32", "int64"):
            raise DTypeError(
                f"{what}: the index is int32 or int64",
                code="PG122",
                expected="i32 or i64",
                found=index.ir,
                hint="write `as i32`, or nothing for i64",
            )
        return tensor_type(shape[:axis] + shape[axis + 1 :], index)


@irdl_op_definition
class MatmulOp(TensorOp):
    """The batched matrix product [*B, M, K] @ [*B, K, N] -> [*B, M, N], of equal batches."""

    name = "pico.matmul"
    a = tensor_operand()
    b = tensor_operand()
    assembly_format = "$a `,` $b attr-dict `:` type($a) `,` type($b) `->` type($result)"

    def __init__(self, a: Operand, b: Operand):
        self._build((a, b), {})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        a, b = operand_types
        if a.element_type != b.element_type:
            raise DTypeError(
                "matmul needs operands of one dtype",
                code="PG202",
                expected=f"{dtype_of(a).name} twice",
                found=f"{dtype_of(a).name} and {dtype_of(b).name}",
                hint="cast one of them",
            )
        check_dtype("matmul", dtype_of(a), NUMBER)
        left, right = a.get_shape(), b.get_shape()
        found = f"{list(left)} @ {list(right)}"
        if len(left) < 2 or len(right) != len(left):
            raise ShapeError(
                "matmul takes two tensors of one rank, at least 2",
                code="PG104",
                expected="[*B, M, K] @ [*B, K, N]",
                found=found,
                hint="reshape vectors to matrices and broadcast batch dimensions first",
            )
        if left[:-2] != right[:-2]:
            raise ShapeError(
                "matmul: the batch sizes differ",
                code="PG102",
                expected=f"[*{list(left[:-2])}, K, N] on the right",
                found=found,
                hint="broadcast the batch dimensions first",
            )
        if left[-1] != right[-2]:
            raise ShapeError(
                "matmul: the inner sizes differ",
                code="PG103",
                expected=f"{left[-1]} rows in the right operand, the left one's columns",
                found=found,
                hint="transpose or reshape one of them",
            )
        return tensor_type((*left[:-1], right[-1]), a.element_type)


def _check_not_empty(what: str, shape: Sequence[int], axes: Sequence[int]) -> None:
    empty = [axis for axis in axes if shape[axis] == 0]
    if empty:
        raise ShapeError(
            f"{what} has no value on an empty axis",
            code="PG114",
            expected=f"at least one element along axis {empty[0]}",
            found=list(shape),
            hint="handle the empty case before the reduction",
        )
