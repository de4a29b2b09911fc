"""The tensor dialect: pure SSA over ranked, statically shaped tensors. Its ops print as `pico.*`.

Grammar (`%x` is a value, `[…]` a list of integers, `T` a type such as `tensor<2x3xf32>`):

    pico.constant dense<…> : T                  a literal
    pico.iota 8 of i32 : T                      0, 1, 2, …
    pico.random_bits %state to […] : T -> T     Philox 4x32-10
    pico.unary KIND %x : T                      neg abs sign exp log sqrt rsqrt sin cos tanh erf
                                                floor ceil round not round_float16
                                                round_bfloat16
    pico.binary KIND %a, %b : T                 add sub mul div floordiv remainder pow maximum
                                                minimum and or xor shl shr
    pico.compare KIND %a, %b : T -> T           eq ne lt le gt ge
    pico.select %c, %a, %b : T, T               %a where %c is true, else %b
    pico.cast %x to f32 : T -> T
    pico.reduce KIND %x axes […] : T -> T       add mul max min and or
    pico.argreduce KIND %x axis 1 : T -> T      max min
    pico.scan KIND %x axis 1 exclusive : T      add mul max min
    pico.argsort %x axis 1 descending : T -> T
    pico.matmul %a, %b : T, T -> T
    pico.convolution %x, %w strides […] low […] high […] dilations […] groups 1 : T, T -> T
    pico.reshape %x to […] : T -> T             views: they move elements, nothing else
    pico.permute %x by […] : T -> T
    pico.broadcast %x to […] : T -> T
    pico.slice %x from […] to […] step […] : T -> T
    pico.reverse %x axes […] : T
    pico.windows %x axis 1 size 3 stride 1 dilation 1 : T -> T
    pico.pad %x with 0.0 : f32 low […] high […] interior […] : T -> T
    pico.concat %a, %b, … axis 0 : T, T, … -> T
    pico.gather %x at %index axis 0 : T, T -> T
    pico.scatter KIND %x at %index from %updates axis 0 : T, T, T     add set

Every op is pure, has one result, and may carry the discardable attribute `at = "model.py:12"`, the
line of the user's program that made it.

Arguments of `@main` may carry notes, here and at every level below: `pico.name` is what the user
calls one; `pico.donated = N` says that result N may be written over it; `pico.kept` says that it
seldom changes between calls, so that what is computed from such arguments alone can be kept. No
note changes what the function means, and an argument is never both kept and donated.

A function at this level:

    func.func @main(%x: tensor<4x3xf32> {pico.name = "x"}, %w: tensor<3x2xf32> {pico.name = "w"})
        -> tensor<4x2xf32> {
      %h = pico.matmul %x, %w : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
      %y = pico.unary tanh %h : tensor<4x2xf32>
      func.return %y : tensor<4x2xf32>
    }
"""

from __future__ import annotations

from xdsl.ir import Dialect

from picograd.dialects.tensor_base import (
    KIND_ATTRIBUTES,
    ROUNDED_TO,
    ArgReduceKind,
    ArgReduceKindAttr,
    BinaryKind,
    BinaryKindAttr,
    CompareKind,
    CompareKindAttr,
    ReduceKind,
    ReduceKindAttr,
    ScatterKind,
    ScatterKindAttr,
    TensorOp,
    UnaryKind,
    UnaryKindAttr,
    int_array,
    int_attr,
    int_value,
    ints,
    is_view,
)
from picograd.dialects.tensor_elementwise import BinaryOp, CastOp, CompareOp, SelectOp, UnaryOp
from picograd.dialects.tensor_move import (
    BroadcastOp,
    ConcatOp,
    GatherOp,
    PadOp,
    PermuteOp,
    ReshapeOp,
    ReverseOp,
    ScatterOp,
    SliceOp,
)
from picograd.dialects.tensor_order import ArgSortOp, ScanKind, ScanKindAttr, ScanOp
from picograd.dialects.tensor_reduce import ArgReduceOp, MatmulOp, ReduceOp
from picograd.dialects.tensor_sources import ConstantOp, IotaOp, RandomBitsOp
from picograd.dialects.tensor_windows import ConvolutionOp, WindowsOp, window_span

__all__ = [
    "OPS",
    "ROUNDED_TO",
    "ArgReduceKind",
    "ArgReduceKindAttr",
    "ArgReduceOp",
    "ArgSortOp",
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
    "ConvolutionOp",
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
    "ScanKind",
    "ScanKindAttr",
    "ScanOp",
    "ScatterKind",
    "ScatterKindAttr",
    "ScatterOp",
    "SelectOp",
    "SliceOp",
    "TensorOp",
    "UnaryKind",
    "UnaryKindAttr",
    "UnaryOp",
    "WindowsOp",
    "int_array",
    "int_attr",
    "int_value",
    "ints",
    "is_view",
    "moves_elements",
    "window_span",
]

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
    ScanOp,
    ArgSortOp,
    MatmulOp,
    ConvolutionOp,
    ReshapeOp,
    PermuteOp,
    BroadcastOp,
    SliceOp,
    ReverseOp,
    WindowsOp,
    PadOp,
    ConcatOp,
    GatherOp,
    ScatterOp,
)

Pico = Dialect("pico", list(OPS), [*KIND_ATTRIBUTES, ScanKindAttr])


def moves_elements(op: TensorOp) -> bool:
    """Whether the result holds elements of the operands as they are (and constants), whatever their
    dtype: nothing is computed, nothing rounded.
    """
    if isinstance(op, ScatterOp):
        return op.kind.data == ScatterKind.SET
    return op.IS_VIEW or isinstance(op, ConstantOp | SelectOp | PadOp | ConcatOp | GatherOp)
