"""What all ops of the tensor dialect share: base class, kinds, and checks of operands."""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeAlias, cast

from xdsl.dialects.builtin import (
    I64,
    DenseArrayBase,
    IntegerAttr,
    StringAttr,
    TensorType,
    i64,
)
from xdsl.dialects.utils.enum_attribute import EnumAttribute
from xdsl.ir import Attribute, Operation, OpResult, SpacedOpaqueSyntaxAttribute, SSAValue, SSAValues
from xdsl.irdl import (
    AttrConstraint,
    BaseAttr,
    IRDLOperation,
    irdl_attr_definition,
    operand_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

from picograd.dialects.dtypes import AnyTensor, DType, bfloat16, dtype_of, float16
from picograd.dialects.quick import create
from picograd.errors import AxisError, DTypeError, PicogradError, ShapeError

Properties: TypeAlias = Mapping[str, Attribute]
NO_PROPERTIES: Properties = MappingProxyType({})
IntArray: TypeAlias = DenseArrayBase[I64]
TensorValue: TypeAlias = SSAValue[AnyTensor]

ANY_TENSOR: AttrConstraint[AnyTensor] = cast(AttrConstraint[AnyTensor], BaseAttr(TensorType))
INT_ARRAY = DenseArrayBase[I64].constr(i64)
Operand: TypeAlias = SSAValue | Operation

FLOAT = ("float",)
NUMBER = ("int", "float")
BITS = ("bool", "int")


def tensor_operand(constraint: AttrConstraint[AnyTensor] = ANY_TENSOR) -> TensorValue:
    """Declares an operand of tensor type."""
    return cast(TensorValue, operand_def(constraint))


def tensor_operands() -> SSAValues[TensorValue]:
    """Declares operands of tensor types, any number of them."""
    return cast(SSAValues[TensorValue], var_operand_def(ANY_TENSOR))


class UnaryKind(StrEnum):
    """Functions of one element.

    `round_float16` and `round_bfloat16` give the nearest number of that type, as the float32 that
    it is: they stand for the type on machines that cannot hold it.
    """

    NEG = "neg"
    ABS = "abs"
    SIGN = "sign"
    EXP = "exp"
    LOG = "log"
    SQRT = "sqrt"
    RSQRT = "rsqrt"
    SIN = "sin"
    COS = "cos"
    TANH = "tanh"
    ERF = "erf"
    FLOOR = "floor"
    CEIL = "ceil"
    ROUND = "round"
    NOT = "not"
    ROUND_FLOAT16 = "round_float16"
    ROUND_BFLOAT16 = "round_bfloat16"


class BinaryKind(StrEnum):
    """Functions of two elements of one type."""

    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    FLOORDIV = "floordiv"
    REMAINDER = "remainder"
    POW = "pow"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    AND = "and"
    OR = "or"
    XOR = "xor"
    SHL = "shl"
    SHR = "shr"


class CompareKind(StrEnum):
    """Ordered comparisons; with a NaN all but `ne` are false."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"


class ReduceKind(StrEnum):
    """Associative combiners of a reduction."""

    ADD = "add"
    MUL = "mul"
    MAX = "max"
    MIN = "min"
    AND = "and"
    OR = "or"


class ArgReduceKind(StrEnum):
    """Which element's index an argreduce returns."""

    MAX = "max"
    MIN = "min"


class ScatterKind(StrEnum):
    """What a scatter does to the element that it meets."""

    ADD = "add"
    SET = "set"


ROUNDED_TO: Mapping[UnaryKind, DType] = {
    UnaryKind.ROUND_FLOAT16: float16,
    UnaryKind.ROUND_BFLOAT16: bfloat16,
}
"""The kinds that round float32 to another float type, and to which."""


@irdl_attr_definition
class UnaryKindAttr(EnumAttribute[UnaryKind], SpacedOpaqueSyntaxAttribute):
    name = "pico.unary_kind"


@irdl_attr_definition
class BinaryKindAttr(EnumAttribute[BinaryKind], SpacedOpaqueSyntaxAttribute):
    name = "pico.binary_kind"


@irdl_attr_definition
class CompareKindAttr(EnumAttribute[CompareKind], SpacedOpaqueSyntaxAttribute):
    name = "pico.compare_kind"


@irdl_attr_definition
class ReduceKindAttr(EnumAttribute[ReduceKind], SpacedOpaqueSyntaxAttribute):
    name = "pico.reduce_kind"


@irdl_attr_definition
class ArgReduceKindAttr(EnumAttribute[ArgReduceKind], SpacedOpaqueSyntaxAttribute):
    name = "pico.argreduce_kind"


@irdl_attr_definition
class ScatterKindAttr(EnumAttribute[ScatterKind], SpacedOpaqueSyntaxAttribute):
    name = "pico.scatter_kind"


@lru_cache(maxsize=64)
def unary_kind(kind: UnaryKind | str) -> UnaryKindAttr:
    """The property that holds a kind; kinds are also accepted by name, here and below."""
    return UnaryKindAttr(UnaryKind(kind))


@lru_cache(maxsize=64)
def binary_kind(kind: BinaryKind | str) -> BinaryKindAttr:
    return BinaryKindAttr(BinaryKind(kind))


@lru_cache(maxsize=64)
def compare_kind(kind: CompareKind | str) -> CompareKindAttr:
    return CompareKindAttr(CompareKind(kind))


@lru_cache(maxsize=64)
def reduce_kind(kind: ReduceKind | str) -> ReduceKindAttr:
    return ReduceKindAttr(ReduceKind(kind))


@lru_cache(maxsize=64)
def argreduce_kind(kind: ArgReduceKind | str) -> ArgReduceKindAttr:
    return ArgReduceKindAttr(ArgReduceKind(kind))


@lru_cache(maxsize=64)
def scatter_kind(kind: ScatterKind | str) -> ScatterKindAttr:
    return ScatterKindAttr(ScatterKind(kind))


KIND_ATTRIBUTES: tuple[type[EnumAttribute[Any]], ...] = (
    UnaryKindAttr,
    BinaryKindAttr,
    CompareKindAttr,
    ReduceKindAttr,
    ArgReduceKindAttr,
    ScatterKindAttr,
)


@lru_cache(maxsize=4096)
def _int_array(values: tuple[int, ...]) -> IntArray:
    return DenseArrayBase.from_list(i64, values)


def int_array(values: Iterable[int]) -> IntArray:
    """The property that holds a shape, axes, or the like: `array<i64: …>`."""
    return _int_array(tuple(values))


def ints(attribute: Attribute) -> tuple[int, ...]:
    """The numbers in an integer array property."""
    data = cast(IntArray, attribute).data.data
    return struct.unpack(f"<{len(data) // 8}q", data)


@lru_cache(maxsize=256)
def int_attr(value: int) -> IntegerAttr[I64]:
    """The property that holds one axis or size."""
    return IntegerAttr(value, i64)


def int_value(attribute: Attribute) -> int:
    """The number in an integer property."""
    return cast(IntegerAttr[I64], attribute).value.data


def kind_of(properties: Properties) -> Any:
    """The enum member in the property `kind`."""
    return cast(EnumAttribute[Any], properties["kind"]).data


def check_dtype(what: str, dtype: DType, kinds: Sequence[str], hint: str = "") -> None:
    """Raise DTypeError unless `dtype.kind` is one of `kinds`."""
    if dtype.kind not in kinds:
        raise DTypeError(
            f"{what} does not take elements of type {dtype.name}",
            code="PG201",
            expected=" or ".join(kinds) + " elements",
            found=dtype.name,
            hint=hint or "cast the operand first",
        )


def check_same_type(what: str, a: AnyTensor, b: AnyTensor) -> None:
    """Raise unless two operands have one dtype and one shape."""
    if a.element_type != b.element_type:
        raise DTypeError(
            f"{what} needs operands of one dtype",
            code="PG202",
            expected=f"{dtype_of(a).name} twice",
            found=f"{dtype_of(a).name} and {dtype_of(b).name}",
            hint="cast one of them",
        )
    check_same_shape(what, a, b)


def check_same_shape(what: str, a: AnyTensor, b: AnyTensor) -> None:
    """Raise ShapeError unless two operands have one shape."""
    if a.shape != b.shape:
        raise ShapeError(
            f"{what} needs operands of one shape",
            code="PG102",
            expected=f"{list(a.get_shape())} twice",
            found=f"{list(a.get_shape())} and {list(b.get_shape())}",
            hint="broadcast them to one shape first",
        )


def check_axis(what: str, axis: int, rank: int) -> None:
    """Raise AxisError unless 0 <= axis < rank."""
    if not 0 <= axis < rank:
        raise AxisError(
            f"{what}: axis {axis} does not exist in a tensor of rank {rank}",
            code="PG117",
            expected=f"an axis from 0 to {rank - 1}" if rank else "no axis: the tensor has rank 0",
            found=axis,
            hint="name an axis of the operand; counting starts at 0",
        )


def check_axes(what: str, axes: Sequence[int], rank: int) -> None:
    """Raise AxisError unless axes exist, ascend, and occur once each."""
    for axis in axes:
        check_axis(what, axis, rank)
    if list(axes) != sorted(set(axes)):
        raise AxisError(
            f"{what}: axes are listed in ascending order, each once",
            code="PG118",
            expected=sorted(set(axes)),
            found=list(axes),
            hint="sort the axes and name each once",
        )


def check_length(what: str, name: str, values: Sequence[int], rank: int, least: int) -> None:
    """Raise ShapeError unless there is one value >= least for every axis."""
    if len(values) != rank or any(v < least for v in values):
        raise ShapeError(
            f"{what}: `{name}` holds one number for every axis, none below {least}",
            code="PG109",
            expected=f"{rank} numbers",
            found=list(values),
            hint="write one number for each axis of the operand",
        )


def check_shape(what: str, shape: Sequence[int]) -> None:
    """Raise ShapeError when a size is negative (which includes MLIR's dynamic `?`)."""
    if any(size < 0 for size in shape):
        raise ShapeError(
            f"{what}: picograd's tensors have static shapes",
            code="PG107",
            expected="sizes of 0 or more",
            found=["?" if size < -(2**62) else size for size in shape],
            hint="write the sizes out; a program is compiled once for each shape",
        )


class TensorOp(IRDLOperation):
    """An op on tensors: pure, with operands and one result of ranked, static tensor types.

    Subclasses declare their operands and properties, and state their typing rule once in `infer`;
    the verifier, the constructors and the front end all use that one.
    """

    result: OpResult[AnyTensor] = result_def(ANY_TENSOR)
    traits = traits_def(Pure())
    IS_VIEW: ClassVar = False
    """Whether the op only moves elements: each element of its result is one element of its operand.
    """

    @classmethod
    @abstractmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        """The result's type. Raises ShapeError, DTypeError or AxisError when there is none."""

    @classmethod
    def make(
        cls,
        operands: Sequence[SSAValue],
        properties: Properties = NO_PROPERTIES,
        name_hint: str | None = None,
        at: str | None = None,
    ) -> Self:
        """The op on these operands; its result's type comes from `infer`.

        `name_hint` names the result in dumps, `at` is the line of the user's program
        (`model.py:12`).
        """
        types = [cast(AnyTensor, operand.type) for operand in operands]
        type = cls.infer(types, properties)
        notes = {} if at is None else {"at": StringAttr(at)}
        op = create(cls, operands, [type], properties, notes)
        if name_hint is not None:
            op.results[0].name_hint = name_hint
        return op

    def _build(self, operands: Sequence[SSAValue | Operation], properties: Properties) -> None:
        """What a subclass's `__init__` calls: infer the type, then construct."""
        values = [SSAValue.get(operand) for operand in operands]
        types = [cast(AnyTensor, value.type) for value in values]
        Operation.__init__(
            self,
            operands=values,
            result_types=(self.infer(types, properties),),
            properties=properties,
        )

    def verify_(self) -> None:
        types = [cast(AnyTensor, operand.type) for operand in self.operands]
        try:
            for type in (*types, self.result.type):
                check_shape(self.name, type.get_shape())
                dtype_of(type)
            inferred = self.infer(types, self.properties)
        except PicogradError as error:
            raise VerifyException(str(error)) from error
        if inferred != self.result.type:
            raise VerifyException(
                f"{self.name}: the declared result type is not the one that its operands give\n"
                f"  expected: {inferred}\n  found:    {self.result.type}"
            )


def is_view(op: Operation) -> bool:
    """Whether op is a reshape, permute, broadcast, slice, reverse or windows: an index map only."""
    return isinstance(op, TensorOp) and op.IS_VIEW
