"""The tensor dialect: pure SSA over ranked, statically shaped tensors. Its ops print as `pico.*`.

Grammar (`%x` is a value, `[…]` a list of integers, `T` a type such as `tensor<2x3xf32>`):

    pico.constant dense<…> : T                        a literal
    pico.iota 8 of i32 : T                            0, 1, 2, …
    pico.random_bits %state to […] : T -> T           Philox 4x32-10
    pico.unary KIND %x : T                            neg abs sign exp log sqrt rsqrt sin cos tanh erf
                                                      floor ceil round not
    pico.binary KIND %a, %b : T                       add sub mul div floordiv remainder pow maximum
                                                      minimum and or xor shl shr
    pico.compare KIND %a, %b : T -> T                 eq ne lt le gt ge
    pico.select %c, %a, %b : T, T                     %c where true, else %b
    pico.cast %x to f32 : T -> T
    pico.reduce KIND %x axes […] : T -> T             add mul max min and or
    pico.argreduce KIND %x axis 1 : T -> T            max min
    pico.matmul %a, %b : T, T -> T
    pico.reshape %x to […] : T -> T                   views: they move elements, nothing else
    pico.permute %x by […] : T -> T
    pico.broadcast %x to […] : T -> T
    pico.slice %x from […] to […] step […] : T -> T
    pico.reverse %x axes […] : T
    pico.pad %x with 0.0 : f32 low […] high […] interior […] : T -> T
    pico.concat %a, %b, … axis 0 : T, T, … -> T
    pico.gather %x at %index axis 0 : T, T -> T
    pico.scatter KIND %x at %index from %updates axis 0 : T, T, T     add set

Every op is pure, has one result, and may carry the discardable attribute `at = "model.py:12"`, the line of
the user's program that made it. A function at this level:

    func.func @main(%x: tensor<4x3xf32> {pico.name = "x"}, %w: tensor<3x2xf32> {pico.name = "w"})
        -> tensor<4x2xf32> {
      %h = pico.matmul %x, %w : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
      %y = pico.unary tanh %h : tensor<4x2xf32>
      func.return %y : tensor<4x2xf32>
    }
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar, TypeAlias

from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    TensorType,
    i64,
)
from xdsl.ir import Attribute, Dialect, Operation, SSAValue
from xdsl.irdl import (
    AnyAttr,
    VarConstraint,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer

from picograd.dialects.dtypes import (
    AnyTensor,
    DType,
    bool_,
    dtype_of,
    from_ir,
    int64,
    tensor_type,
)
from picograd.dialects.literals import Literal, print_literal, scalar_attr
from picograd.dialects.tensor_base import (
    ANY_TENSOR,
    INT_ARRAY,
    KIND_ATTRIBUTES,
    ArgReduceKind,
    ArgReduceKindAttr,
    BinaryKind,
    BinaryKindAttr,
    CompareKind,
    CompareKindAttr,
    Properties,
    ReduceKind,
    ReduceKindAttr,
    ScatterKind,
    ScatterKindAttr,
    TensorOp,
    UnaryKind,
    UnaryKindAttr,
    check_axes,
    check_axis,
    check_dtype,
    check_length,
    check_same_shape,
    check_same_type,
    check_shape,
    int_array,
    int_attr,
    int_value,
    ints,
    is_view,
    kind_of,
)
from picograd.errors import DTypeError, ShapeError

__all__ = [
    "OPS",
    "ArgReduceKind",
    "ArgReduceKindAttr",
    "ArgReduceOp",
    "BinaryKind",
    "BinaryKindAttr",
    "BinaryOp",
    "BroadcastOp",
    "CastOp",
    "CompareKind",
    "CompareKindAttr",
    "CompareOp",
    "ConcatOp",
    "ConstantOp",
    "GatherOp",
    "IotaOp",
    "MatmulOp",
    "PadOp",
    "PermuteOp",
    "Pico",
    "RandomBitsOp",
    "ReduceKind",
    "ReduceKindAttr",
    "ReduceOp",
    "ReshapeOp",
    "ReverseOp",
    "ScatterKind",
    "ScatterKindAttr",
    "ScatterOp",
    "SelectOp",
    "SliceOp",
    "TensorOp",
    "UnaryKind",
    "UnaryKindAttr",
    "UnaryOp",
    "int_array",
    "int_attr",
    "int_value",
    "ints",
    "is_view",
]

Operand: TypeAlias = SSAValue | Operation

_FLOAT = ("float",)
_NUMBER = ("int", "float")
_BITS = ("bool", "int")

_UNARY_TAKES: dict[UnaryKind, tuple[str, ...]] = {
    UnaryKind.NEG: _NUMBER,
    UnaryKind.ABS: _NUMBER,
    UnaryKind.SIGN: _NUMBER,
    UnaryKind.NOT: _BITS,
}
_BINARY_TAKES: dict[BinaryKind, tuple[str, ...]] = {
    BinaryKind.DIV: _FLOAT,
    BinaryKind.POW: _FLOAT,
    BinaryKind.AND: _BITS,
    BinaryKind.OR: _BITS,
    BinaryKind.XOR: _BITS,
    BinaryKind.SHL: ("int",),
    BinaryKind.SHR: ("int",),
}


@irdl_op_definition
class ConstantOp(TensorOp):
    """A literal tensor; a splat is stored once in text, never in memory."""

    name = "pico.constant"
    value: Literal = prop_def(DenseIntOrFPElementsAttr)

    def __init__(self, value: Literal):
        self._build((), {"value": value})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        value = properties["value"]
        assert isinstance(value, DenseIntOrFPElementsAttr)
        type = value.type
        if not isinstance(type, TensorType):
            raise ShapeError("constant: the literal has a tensor type", found=type)
        return tensor_type(type.get_shape(), type.element_type)

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        value = parser.parse_attribute()
        attributes = parser.parse_optional_attr_dict()
        if not isinstance(value, DenseIntOrFPElementsAttr):
            parser.raise_error("expected a literal such as dense<0.0> : tensor<2xf32>")
        return cls.create(
            result_types=(value.type,), properties={"value": value}, attributes=attributes
        )

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        print_literal(printer, self.value)
        printer.print_op_attributes(self.attributes)


@irdl_op_definition
class IotaOp(TensorOp):
    """0, 1, 2, … in one dimension."""

    name = "pico.iota"
    size = prop_def(IntegerAttr.constr(i64))
    element_type = prop_def(AnyAttr())
    assembly_format = "$size `of` $element_type attr-dict `:` type($result)"

    def __init__(self, size: int, element_type: Attribute | DType):
        if isinstance(element_type, DType):
            element_type = element_type.ir
        self._build((), {"size": int_attr(size), "element_type": element_type})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        size = int_value(properties["size"])
        check_shape("iota", (size,))
        check_dtype("iota", from_ir(properties["element_type"]), _NUMBER)
        return tensor_type((size,), properties["element_type"])


@irdl_op_definition
class RandomBitsOp(TensorOp):
    """Random bits by Philox 4x32-10 (Salmon et al., SC 2011), a function of `state` alone.

    `state` holds key low, key high, counter low, counter high. Element n of the flattened result is word
    n % 4 of the block whose 64-bit counter is `counter + n // 4`.
    """

    name = "pico.random_bits"
    state = operand_def(ANY_TENSOR)
    shape = prop_def(INT_ARRAY)
    assembly_format = "$state `to` $shape attr-dict `:` type($state) `->` type($result)"

    def __init__(self, state: Operand, shape: Sequence[int]):
        self._build((state,), {"shape": int_array(shape)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (state,) = operand_types
        dtype = dtype_of(state)
        if dtype.name != "int32":
            raise DTypeError("random_bits: the state is int32", expected="int32", found=dtype.name)
        if state.get_shape() != (4,):
            raise ShapeError(
                "random_bits: the state is (key low, key high, counter low, counter high)",
                expected=[4],
                found=list(state.get_shape()),
            )
        shape = ints(properties["shape"])
        check_shape("random_bits", shape)
        return tensor_type(shape, dtype)


@irdl_op_definition
class UnaryOp(TensorOp):
    """An elementwise function of one tensor. `round` rounds half to even; `not` flips bits."""

    T: ClassVar = VarConstraint("T", ANY_TENSOR)
    name = "pico.unary"
    kind = prop_def(UnaryKindAttr)
    x = operand_def(T)
    result = result_def(T)
    assembly_format = "$kind $x attr-dict `:` type($result)"

    def __init__(self, kind: UnaryKind | str, x: Operand):
        self._build((x,), {"kind": UnaryKindAttr(UnaryKind(kind))})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        kind = kind_of(properties)
        check_dtype(kind, dtype_of(x), _UNARY_TAKES.get(kind, _FLOAT))
        return x


@irdl_op_definition
class BinaryOp(TensorOp):
    """An elementwise function of two tensors of one type.

    `floordiv` rounds down and `remainder` has the divisor's sign, for integers and floats alike; an integer
    divided by zero gives 0 both ways. `maximum` and `minimum` give NaN when either is NaN. Integers wrap.
    A shift by a negative count or by at least the width gives 0; `shr` fills with zeros.
    """

    T: ClassVar = VarConstraint("T", ANY_TENSOR)
    name = "pico.binary"
    kind = prop_def(BinaryKindAttr)
    a = operand_def(T)
    b = operand_def(T)
    result = result_def(T)
    assembly_format = "$kind $a `,` $b attr-dict `:` type($result)"

    def __init__(self, kind: BinaryKind | str, a: Operand, b: Operand):
        self._build((a, b), {"kind": BinaryKindAttr(BinaryKind(kind))})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        a, b = operand_types
        kind = kind_of(properties)
        check_same_type(kind, a, b)
        check_dtype(kind, dtype_of(a), _BINARY_TAKES.get(kind, _NUMBER))
        return a


@irdl_op_definition
class CompareOp(TensorOp):
    """An elementwise comparison; the result is bool. Bools compare with `eq` and `ne` only."""

    T: ClassVar = VarConstraint("T", ANY_TENSOR)
    name = "pico.compare"
    kind = prop_def(CompareKindAttr)
    a = operand_def(T)
    b = operand_def(T)
    assembly_format = "$kind $a `,` $b attr-dict `:` type($a) `->` type($result)"

    def __init__(self, kind: CompareKind | str, a: Operand, b: Operand):
        self._build((a, b), {"kind": CompareKindAttr(CompareKind(kind))})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        a, b = operand_types
        kind = kind_of(properties)
        check_same_type(kind, a, b)
        if kind not in (CompareKind.EQ, CompareKind.NE):
            check_dtype(kind, dtype_of(a), _NUMBER)
        return tensor_type(a.get_shape(), bool_)


@irdl_op_definition
class SelectOp(TensorOp):
    """Elementwise choice: `on_true` where `condition` holds, else `on_false`."""

    T: ClassVar = VarConstraint("T", ANY_TENSOR)
    name = "pico.select"
    condition = operand_def(ANY_TENSOR)
    on_true = operand_def(T)
    on_false = operand_def(T)
    result = result_def(T)
    assembly_format = (
        "$condition `,` $on_true `,` $on_false attr-dict `:` type($condition) `,` type($result)"
    )

    def __init__(self, condition: Operand, on_true: Operand, on_false: Operand):
        self._build((condition, on_true, on_false), {})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        condition, on_true, on_false = operand_types
        check_dtype("select's condition", dtype_of(condition), ("bool",), "compare it with 0")
        check_same_type("select", on_true, on_false)
        check_same_shape("select", condition, on_true)
        return on_true


@irdl_op_definition
class CastOp(TensorOp):
    """Conversion of elements.

    Float to int truncates toward zero and saturates, NaN gives 0; int to int wraps; anything to bool is
    `!= 0` (NaN is true).
    """

    name = "pico.cast"
    x = operand_def(ANY_TENSOR)
    element_type = prop_def(AnyAttr())
    assembly_format = "$x `to` $element_type attr-dict `:` type($x) `->` type($result)"

    def __init__(self, x: Operand, element_type: Attribute | DType):
        if isinstance(element_type, DType):
            element_type = element_type.ir
        self._build((x,), {"element_type": element_type})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        return tensor_type(x.get_shape(), from_ir(properties["element_type"]))


@irdl_op_definition
class ReduceOp(TensorOp):
    """Combine all elements along `axes`, which the result lacks; `max` and `min` propagate NaN.

    Of an empty axis `add` gives 0, `mul` 1, `and` all ones, `or` 0; `max` and `min` are errors.
    """

    name = "pico.reduce"
    kind = prop_def(ReduceKindAttr)
    x = operand_def(ANY_TENSOR)
    axes = prop_def(INT_ARRAY)
    assembly_format = "$kind $x `axes` $axes attr-dict `:` type($x) `->` type($result)"

    def __init__(self, kind: ReduceKind | str, x: Operand, axes: Sequence[int]):
        self._build((x,), {"kind": ReduceKindAttr(ReduceKind(kind)), "axes": int_array(axes)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        kind, axes, shape = kind_of(properties), ints(properties["axes"]), x.get_shape()
        what = f"reduce {kind}"
        logical = kind in (ReduceKind.AND, ReduceKind.OR)
        check_dtype(what, dtype_of(x), _BITS if logical else _NUMBER)
        check_axes(what, axes, len(shape))
        if kind in (ReduceKind.MAX, ReduceKind.MIN):
            _check_not_empty(what, shape, axes)
        return tensor_type([s for i, s in enumerate(shape) if i not in axes], x.element_type)


@irdl_op_definition
class ArgReduceOp(TensorOp):
    """The int64 index of the largest or smallest element along `axis`: the first of ties, the first NaN."""

    name = "pico.argreduce"
    kind = prop_def(ArgReduceKindAttr)
    x = operand_def(ANY_TENSOR)
    axis = prop_def(IntegerAttr.constr(i64))
    assembly_format = "$kind $x `axis` $axis attr-dict `:` type($x) `->` type($result)"

    def __init__(self, kind: ArgReduceKind | str, x: Operand, axis: int):
        self._build((x,), {"kind": ArgReduceKindAttr(ArgReduceKind(kind)), "axis": int_attr(axis)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        axis, shape = int_value(properties["axis"]), x.get_shape()
        what = f"argreduce {kind_of(properties)}"
        check_dtype(what, dtype_of(x), _NUMBER)
        check_axis(what, axis, len(shape))
        _check_not_empty(what, shape, (axis,))
        return tensor_type(shape[:axis] + shape[axis + 1 :], int64)


@irdl_op_definition
class MatmulOp(TensorOp):
    """The batched matrix product [*B, M, K] @ [*B, K, N] -> [*B, M, N]; equal batch sizes, no broadcasting."""

    name = "pico.matmul"
    a = operand_def(ANY_TENSOR)
    b = operand_def(ANY_TENSOR)
    assembly_format = "$a `,` $b attr-dict `:` type($a) `,` type($b) `->` type($result)"

    def __init__(self, a: Operand, b: Operand):
        self._build((a, b), {})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        a, b = operand_types
        if a.element_type != b.element_type:
            raise DTypeError(
                "matmul needs operands of one dtype",
                expected=f"{dtype_of(a).name} twice",
                found=f"{dtype_of(a).name} and {dtype_of(b).name}",
                hint="cast one of them",
            )
        check_dtype("matmul", dtype_of(a), _NUMBER)
        left, right = a.get_shape(), b.get_shape()
        found = f"{list(left)} @ {list(right)}"
        if len(left) < 2 or len(right) != len(left):
            raise ShapeError(
                "matmul takes two tensors of one rank, at least 2",
                expected="[*B, M, K] @ [*B, K, N]",
                found=found,
                hint="reshape vectors to matrices and broadcast batch dimensions first",
            )
        if left[:-2] != right[:-2]:
            raise ShapeError(
                "matmul: the batch sizes differ",
                expected=f"[*{list(left[:-2])}, K, N] on the right",
                found=found,
                hint="broadcast the batch dimensions first",
            )
        if left[-1] != right[-2]:
            raise ShapeError(
                "matmul: the inner sizes differ",
                expected=f"{left[-1]} rows in the right operand, the left one's columns",
                found=found,
                hint="transpose or reshape one of them",
            )
        return tensor_type((*left[:-1], right[-1]), a.element_type)


@irdl_op_definition
class ReshapeOp(TensorOp):
    """The same elements in row-major order under another shape."""

    name = "pico.reshape"
    IS_VIEW: ClassVar = True
    x = operand_def(ANY_TENSOR)
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
                expected=f"{prod(x.get_shape())} elements, as in {list(x.get_shape())}",
                found=f"{prod(shape)} elements in {list(shape)}",
            )
        return tensor_type(shape, x.element_type)


@irdl_op_definition
class PermuteOp(TensorOp):
    """Axes in another order: axis i of the result is axis `permutation[i]` of the operand."""

    name = "pico.permute"
    IS_VIEW: ClassVar = True
    x = operand_def(ANY_TENSOR)
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
                expected=f"a permutation of {list(range(len(shape)))}",
                found=list(permutation),
            )
        return tensor_type([shape[axis] for axis in permutation], x.element_type)


@irdl_op_definition
class BroadcastOp(TensorOp):
    """Repeat along new leading axes and axes of size 1, as NumPy's `broadcast_to`."""

    name = "pico.broadcast"
    IS_VIEW: ClassVar = True
    x = operand_def(ANY_TENSOR)
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
                expected="sizes, from the right, that are equal or 1",
                found=f"{list(old)} -> {list(shape)}",
            )
        return tensor_type(shape, x.element_type)


@irdl_op_definition
class SliceOp(TensorOp):
    """Elements `starts`, `starts + steps`, … below `limits`, on every axis."""

    name = "pico.slice"
    IS_VIEW: ClassVar = True
    x = operand_def(ANY_TENSOR)
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
                    expected=f"0 <= start <= limit <= {size}",
                    found=f"start {start}, limit {limit}",
                )
        sizes = [-(-(b - a) // s) for a, b, s in zip(starts, limits, steps, strict=True)]
        return tensor_type(sizes, x.element_type)


@irdl_op_definition
class ReverseOp(TensorOp):
    """The elements of `axes` in opposite order."""

    T: ClassVar = VarConstraint("T", ANY_TENSOR)
    name = "pico.reverse"
    IS_VIEW: ClassVar = True
    x = operand_def(T)
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
    """Surround with `value`: `low` before, `high` after, and `interior` between neighbours, on every axis."""

    name = "pico.pad"
    x = operand_def(ANY_TENSOR)
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
        element_type = SSAValue.get(x, type=TensorType).type.element_type
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
        if not isinstance(value, IntegerAttr | FloatAttr) or value.type != x.element_type:
            raise DTypeError(
                "pad: the value has the operand's dtype", expected=x.element_type, found=value
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
    xs = var_operand_def(ANY_TENSOR)
    axis = prop_def(IntegerAttr.constr(i64))
    assembly_format = "$xs `axis` $axis attr-dict `:` type($xs) `->` type($result)"

    def __init__(self, xs: Sequence[Operand], axis: int):
        self._build(tuple(xs), {"axis": int_attr(axis)})

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        axis = int_value(properties["axis"])
        if not operand_types:
            raise ShapeError("concat needs at least one tensor", expected="1 or more", found=0)
        first, shape = operand_types[0], operand_types[0].get_shape()
        check_axis("concat", axis, len(shape))
        for type in operand_types[1:]:
            if type.element_type != first.element_type:
                raise DTypeError(
                    "concat needs tensors of one dtype",
                    expected=dtype_of(first).name,
                    found=dtype_of(type).name,
                    hint="cast them to one dtype",
                )
            other = type.get_shape()
            if other[:axis] + other[axis + 1 :] != shape[:axis] + shape[axis + 1 :]:
                raise ShapeError(
                    f"concat along axis {axis}: all other sizes are equal",
                    expected=[*shape[:axis], "any", *shape[axis + 1 :]],
                    found=list(other),
                )
        total = sum(type.get_shape()[axis] for type in operand_types)
        return tensor_type((*shape[:axis], total, *shape[axis + 1 :]), first.element_type)


@irdl_op_definition
class GatherOp(TensorOp):
    """Pick along `axis`: result[i0, …] = x[i0, …, index[i0, …], …], as PyTorch's `gather`.

    `index` has x's sizes except on `axis`. An index outside [0, size) raises IndexOutOfRange when it runs.
    """

    name = "pico.gather"
    x = operand_def(ANY_TENSOR)
    index = operand_def(ANY_TENSOR)
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
    """x with `updates` added or set at x[i0, …, index[i0, …], …], as PyTorch's `scatter_add` and `scatter`.

    Updates that meet at one element are applied in the order of their indices along `axis`. An index outside
    [0, size) raises IndexOutOfRange when it runs.
    """

    T: ClassVar = VarConstraint("T", ANY_TENSOR)
    name = "pico.scatter"
    kind = prop_def(ScatterKindAttr)
    x = operand_def(T)
    index = operand_def(ANY_TENSOR)
    updates = operand_def(ANY_TENSOR)
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
            {"kind": ScatterKindAttr(ScatterKind(kind)), "axis": int_attr(axis)},
        )

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        x, index, updates = operand_types
        kind = kind_of(properties)
        what = f"scatter {kind}"
        if kind == ScatterKind.ADD:
            check_dtype(what, dtype_of(x), _NUMBER)
        _check_index(what, x, index, int_value(properties["axis"]))
        if updates.element_type != x.element_type:
            raise DTypeError(
                f"{what}: the updates have the operand's dtype",
                expected=dtype_of(x).name,
                found=dtype_of(updates).name,
                hint="cast the updates",
            )
        check_same_shape(f"{what} (index, updates)", index, updates)
        return x


def _check_not_empty(what: str, shape: Sequence[int], axes: Sequence[int]) -> None:
    empty = [axis for axis in axes if shape[axis] == 0]
    if empty:
        raise ShapeError(
            f"{what} has no value on an empty axis",
            expected=f"at least one element along axis {empty[0]}",
            found=list(shape),
            hint="handle the empty case before the reduction",
        )


def _check_index(what: str, x: AnyTensor, index: AnyTensor, axis: int) -> None:
    if dtype_of(index).name not in ("int32", "int64"):
        raise DTypeError(
            f"{what}: an index is int32 or int64",
            expected="int32 or int64",
            found=dtype_of(index).name,
            hint="cast the index",
        )
    data, at = x.get_shape(), index.get_shape()
    if len(data) != len(at):
        raise ShapeError(
            f"{what}: the index has the operand's rank",
            expected=f"rank {len(data)}, as {list(data)}",
            found=f"rank {len(at)}, {list(at)}",
        )
    check_axis(what, axis, len(data))
    if data[:axis] + data[axis + 1 :] != at[:axis] + at[axis + 1 :]:
        raise ShapeError(
            f"{what} along axis {axis}: all other sizes of the index are the operand's",
            expected=[*data[:axis], "any", *data[axis + 1 :]],
            found=list(at),
            hint="slice the operand first when the index covers a part of it",
        )


OPS: tuple[type[TensorOp], ...] = (
    ConstantOp,
    IotaOp,
    RandomBitsOp,
    UnaryOp,
    BinaryOp,
    CompareOp,
    SelectOp,
    CastOp,
    ReduceOp,
    ArgReduceOp,
    MatmulOp,
    ReshapeOp,
    PermuteOp,
    BroadcastOp,
    SliceOp,
    ReverseOp,
    PadOp,
    ConcatOp,
    GatherOp,
    ScatterOp,
)

Pico = Dialect("pico", list(OPS), list(KIND_ATTRIBUTES))
