"""Tensor ops for which the order of elements along an axis matters: scan, argsort."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

from xdsl.dialects.builtin import IntegerAttr, UnitAttr, i64
from xdsl.dialects.utils.enum_attribute import EnumAttribute
from xdsl.ir import Attribute, SpacedOpaqueSyntaxAttribute
from xdsl.irdl import (
    AnyAttr,
    VarConstraint,
    irdl_attr_definition,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    result_def,
)
from xdsl.utils.str_enum import StrEnum

from picograd.dialects.dtypes import AnyTensor, dtype_of, from_ir, int64, tensor_type
from picograd.dialects.tensor_base import (
    ANY_TENSOR,
    NUMBER,
    Operand,
    Properties,
    TensorOp,
    check_axis,
    check_dtype,
    int_attr,
    int_value,
    kind_of,
    tensor_operand,
)
from picograd.errors import DTypeError, OptionError


class ScanKind(StrEnum):
    """Associative combiners of a scan."""

    ADD = "add"
    MUL = "mul"
    MAX = "max"
    MIN = "min"


@irdl_attr_definition
class ScanKindAttr(EnumAttribute[ScanKind], SpacedOpaqueSyntaxAttribute):
    name = "pico.scan_kind"


@lru_cache(maxsize=64)
def scan_kind(kind: ScanKind | str) -> ScanKindAttr:
    """The property that holds a kind; kinds are also accepted by name."""
    return ScanKindAttr(ScanKind(kind))


@irdl_op_definition
class ScanOp(TensorOp):
    """Running totals: each element combined with all before it along `axis`, as `cumsum` does.

    An exclusive scan leaves the element itself out, so it begins with the sum of no elements, 0, or
    their product, 1; `max` and `min` are inclusive only, and NaN from the first NaN on.
    """

    T: ClassVar = VarConstraint("T", ANY_TENSOR)
    name = "pico.scan"
    kind = prop_def(ScanKindAttr)
    x = tensor_operand(T)
    axis = prop_def(IntegerAttr.constr(i64))
    exclusive = opt_prop_def(UnitAttr)
    result = result_def(T)
    assembly_format = "$kind $x `axis` $axis (`exclusive` $exclusive^)? attr-dict `:` type($result)"

    def __init__(self, kind: ScanKind | str, x: Operand, axis: int, *, exclusive: bool = False):
        self._build((x,), self.properties_of(kind, axis, exclusive=exclusive))

    @staticmethod
    def properties_of(
        kind: ScanKind | str, axis: int, *, exclusive: bool = False
    ) -> dict[str, Attribute]:
        """The op's properties."""
        properties: dict[str, Attribute] = {"kind": scan_kind(kind), "axis": int_attr(axis)}
        return {**properties, "exclusive": UnitAttr()} if exclusive else properties

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        kind = kind_of(properties)
        what = f"scan {kind}"
        check_dtype(what, dtype_of(x), NUMBER)
        check_axis(what, int_value(properties["axis"]), len(x.get_shape()))
        if "exclusive" in properties and kind not in (ScanKind.ADD, ScanKind.MUL):
            raise OptionError(
                f"{what} has no value for no elements",
                code="PG114",
                expected="an inclusive scan, or the kind add or mul",
                found="exclusive",
                hint="leave `exclusive` out, and shift the result",
            )
        return x


@irdl_op_definition
class ArgSortOp(TensorOp):
    """The indices that sort x along `axis`: x at result[0] comes first, then x at result[1], ….

    The sort is stable: equal elements stay in their order, whichever way they are sorted. NaN
    counts as greater than all numbers, and as equal to NaN. The indices are int64; for machines
    without it, `element_type` may say int32.
    """

    name = "pico.argsort"
    x = tensor_operand()
    axis = prop_def(IntegerAttr.constr(i64))
    descending = opt_prop_def(UnitAttr)
    element_type = opt_prop_def(AnyAttr())
    assembly_format = (
        "$x `axis` $axis (`descending` $descending^)? (`as` $element_type^)? attr-dict"
        " `:` type($x) `->` type($result)"
    )

    def __init__(self, x: Operand, axis: int, *, descending: bool = False):
        self._build((x,), self.properties_of(axis, descending=descending))

    @staticmethod
    def properties_of(axis: int, *, descending: bool = False) -> dict[str, Attribute]:
        """The op's properties."""
        properties: dict[str, Attribute] = {"axis": int_attr(axis)}
        return {**properties, "descending": UnitAttr()} if descending else properties

    @classmethod
    def infer(cls, operand_types: Sequence[AnyTensor], properties: Properties) -> AnyTensor:
        (x,) = operand_types
        check_dtype("argsort", dtype_of(x), NUMBER)
        check_axis("argsort", int_value(properties["axis"]), len(x.get_shape()))
        index = from_ir(properties.get("element_type", int64.ir))
        if index.name not in ("int32", "int64"):
            raise DTypeError(
                "argsort: the index is int32 or int64",
                code="PG122",
                expected="i32 or i64",
                found=index.ir,
                hint="write `as i32`, or nothing for i64",
            )
        return tensor_type(x.get_shape(), index)
