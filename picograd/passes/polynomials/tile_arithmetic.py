"""The arithmetic of these formulas as operations on elements and tiles of the loop level."""

from __future__ import annotations

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import Float32Type, FloatAttr, IntegerAttr, IntegerType, f32, i16, i32
from xdsl.ir import Attribute, Operation, SSAValue

from picograd.dialects.loop import (
    CONVERSIONS,
    BroadcastOp,
    CompareOp,
    ConvertOp,
    ScaleOp,
    SelectOp,
    tile_shape,
    tile_type,
)
from picograd.passes.polynomials.elementary import Arithmetic

# Adding 1.5 * 2**23 pushes the fraction of a small float out of its mantissa: what is left in the
# lowest bits is the nearest integer. (Upstream's conversions take elements only, not tiles.)
_MAGIC = 12582912.0
_MAGIC_BITS = 0x4B400000


class TileArithmetic(Arithmetic[SSAValue]):
    """Makes operations on values of one shape, in order, in the list `ops`.

    `strict` says that the target computes float operations as they are written: rounded to
    nearest one by one. Without it (WGSL lets drivers regroup sums and split fused operations)
    forms are chosen that do not depend on it. `fused` says that it has fused multiply-add,
    `scales` that one instruction multiplies by powers of two.
    """

    def __init__(
        self, like: Attribute, *, strict: bool, fused: bool = True, scales: bool = False
    ) -> None:
        """`like` is the float32 type, element or tile, of the values to come."""
        self.ops: list[Operation] = []
        self._shape = tile_shape(like)
        self._float = like
        self._integer = tile_type(i32, self._shape)
        self._strict = strict
        self._fused = fused
        self._scales = scales
        self._constants: dict[tuple[str, bool], SSAValue] = {}

    def _put(self, op: Operation) -> SSAValue:
        self.ops.append(op)
        return op.results[0]

    def _constant(self, value: FloatAttr | IntegerAttr) -> SSAValue:
        key = (str(value), isinstance(value, FloatAttr))
        if key not in self._constants:
            element = self._put(arith.ConstantOp(value))
            if self._shape:
                axes = range(len(self._shape))
                element = self._put(BroadcastOp(element, tuple(axes), self._shape))
            self._constants[key] = element
        return self._constants[key]

    def number(self, value: float) -> SSAValue:
        return self._constant(FloatAttr(value, f32))

    def integer(self, value: int) -> SSAValue:
        return self._constant(IntegerAttr(value, i32))

    def add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(arith.AddfOp(a, b))

    def sub(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(arith.SubfOp(a, b))

    def mul(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(arith.MulfOp(a, b))

    def div(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(arith.DivfOp(a, b))

    def neg(self, a: SSAValue) -> SSAValue:
        return self._put(arith.NegfOp(a))

    def fma(self, a: SSAValue, b: SSAValue, c: SSAValue) -> SSAValue:
        if self._fused:
            return self._put(math.FmaOp(a, b, c))
        return self.add(self.mul(a, b), c)

    def compare(self, predicate: str, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(CompareOp(predicate, a, b))

    def select(self, condition: SSAValue, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(SelectOp(condition, a, b))

    def bits(self, a: SSAValue) -> SSAValue:
        return self._put(arith.BitcastOp(a, self._integer))

    def from_bits(self, a: SSAValue) -> SSAValue:
        return self._put(arith.BitcastOp(a, self._float))

    def to_float(self, a: SSAValue) -> SSAValue:
        return self.sub(self.from_bits(self.int_add(a, self.integer(_MAGIC_BITS))), self._magic)

    def int_add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(arith.AddiOp(a, b))

    def int_sub(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(arith.SubiOp(a, b))

    def int_mul(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(arith.MuliOp(a, b))

    def int_and(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(arith.AndIOp(a, b))

    def int_or(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(arith.OrIOp(a, b))

    def shift_left(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(arith.ShLIOp(a, b))

    def shift_right(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(arith.ShRUIOp(a, b))

    def shift_right_signed(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._put(arith.ShRSIOp(a, b))

    def narrow_bits(self, a: SSAValue, type: Attribute) -> SSAValue:
        """The lowest 16 bits of an int32 as a 16-bit float type."""
        low = self._convert("trunci", a, i16)
        return self._put(arith.BitcastOp(low, tile_type(type, self._shape)))

    def wide_bits(self, a: SSAValue) -> SSAValue:
        """The bits of a 16-bit float as an int32 from 0 to 65535."""
        return self._convert(
            "extui", self._put(arith.BitcastOp(a, tile_type(i16, self._shape))), i32
        )

    def _convert(self, kind: str, a: SSAValue, type: IntegerType | Float32Type) -> SSAValue:
        if self._shape:
            return self._put(ConvertOp(kind, a, type))
        return self._put(CONVERSIONS[kind].create(operands=[a], result_types=[type]))

    def floor(self, a: SSAValue) -> SSAValue:
        return self._put(math.FloorOp(a))

    def nearest(self, a: SSAValue, factor: float, more: int = 0) -> tuple[SSAValue, SSAValue]:
        magic = self.number(_MAGIC + more)
        if self._strict:
            shifted = self.fma(a, self.number(factor), magic)
            return self.sub(shifted, magic), self.bits(shifted)
        # a driver may take (x + magic) - magic for x
        nearest = self.floor(self.fma(a, self.number(factor), self.number(0.5)))
        return nearest, self.bits(self.add(nearest, magic))

    @property
    def scales(self) -> bool:
        return self._scales

    def scale(self, a: SSAValue, n: SSAValue) -> SSAValue:
        return self._put(ScaleOp(a, n))

    def nearest_exactly(self, a: SSAValue, factor: float) -> tuple[SSAValue, SSAValue]:
        shifted = self.fma(a, self.number(factor), self._magic)
        whole = self.int_sub(self.bits(shifted), self.integer(_MAGIC_BITS))
        return self._convert("sitofp", whole, f32), whole

    @property
    def _magic(self) -> SSAValue:
        return self.number(_MAGIC)

    def product_error(self, a: SSAValue, b: SSAValue, product: SSAValue) -> SSAValue:
        if self._strict and self._fused:
            return self.fma(a, b, self._put(arith.NegfOp(product)))
        # Dekker: halves of 12 bits, whose products are exact
        (a_high, a_low), (b_high, b_low) = self._halves(a), self._halves(b)
        error = self.sub(self.mul(a_high, b_high), product)
        error = self.add(error, self.mul(a_high, b_low))
        error = self.add(error, self.mul(a_low, b_high))
        return self.add(error, self.mul(a_low, b_low))

    def _halves(self, a: SSAValue) -> tuple[SSAValue, SSAValue]:
        high = self.from_bits(self.int_and(self.bits(a), self.integer(-(2**12))))
        return high, self.sub(a, high)
