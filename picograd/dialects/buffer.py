"""The buffer level: the same kernels, with explicit reads and writes of memory.

Grammar (`M` is a memref type with static sizes in row-major order):

    %b = buffer.alloc : M                           an intermediate, before planning
    %m = buffer.arena : memref<BYTESxi8>            memory of all intermediates, after planning
    %b = buffer.place %m at OFFSET : memref<BYTESxi8> to M
    %c = buffer.constant dense<…> : M               a large constant
    buffer.kernel "label" reads(%a = %x : M, …) writes(%y = %o : M, …) absorbs ["name", …] {
      %0 = buffer.read %a : M -> T                  a whole buffer as a tensor
      pico ops
      buffer.write %1, %y : T, M
    }

A kernel first reads, then computes, then writes: no two of its operands overlap in memory, and it
writes every element of what it lists under `writes`. Between those two lists may stand
`updates(%a = %x : M, …)`: buffers that are read first and written after, in place. A kernel marked
`guarded`, after its label, does nothing once an index read from a tensor has been out of range: so
that an error leaves alone what the caller keeps. `@main` returns nothing; its results are the
trailing arguments marked `buffer.output`. One that is also marked `buffer.stored_in = N` has no
memory of its own: its elements are in argument number N, which the kernels update.

    func.func @main(%x: memref<4x3xf32> {pico.name = "x"}, %w: memref<3x2xf32> {pico.name = "w"},
                    %out0: memref<4x2xf32> {buffer.output, pico.name = "y"}) {
      %m = buffer.arena : memref<256xi8>
      %h = buffer.place %m at 0 : memref<256xi8> to memref<4x2xf32>
      buffer.kernel "matmul" reads(%a = %x : memref<4x3xf32>, %b = %w : memref<3x2xf32>)
          writes(%o = %h : memref<4x2xf32>) {
        %ta = buffer.read %a : memref<4x3xf32> -> tensor<4x3xf32>
        %tb = buffer.read %b : memref<3x2xf32> -> tensor<3x2xf32>
        %t = pico.matmul %ta, %tb : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
        buffer.write %t, %o : tensor<4x2xf32>, memref<4x2xf32>
      }
      buffer.kernel "tanh" reads(%a = %h : memref<4x2xf32>) writes(%o = %out0 : memref<4x2xf32>) {
        %ta = buffer.read %a : memref<4x2xf32> -> tensor<4x2xf32>
        %t = pico.unary tanh %ta : tensor<4x2xf32>
        buffer.write %t, %o : tensor<4x2xf32>, memref<4x2xf32>
      }
      func.return
    }
"""

from __future__ import annotations

from xdsl.dialects.builtin import (
    IntegerAttr,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, Dialect

from picograd.dialects.argument_notes import DONATED, KEPT, NAME, kept_arguments
from picograd.dialects.buffer_kernel import KernelOp, ReadOp, WriteOp
from picograd.dialects.buffer_memory import AllocOp, ArenaOp, ConstantOp, PlaceOp

__all__ = [
    "DONATED",
    "KEPT",
    "NAME",
    "OUTPUT",
    "STORED_IN",
    "AllocOp",
    "ArenaOp",
    "Buffer",
    "ConstantOp",
    "KernelOp",
    "PlaceOp",
    "ReadOp",
    "WriteOp",
    "kept_arguments",
    "outputs_of",
    "stored_in",
]

OUTPUT = "buffer.output"
"""The unit attribute of an argument of `@main` that is a result."""

STORED_IN = "buffer.stored_in"
"""The attribute of a result that is stored in another argument, whose number it is."""


def outputs_of(function: FuncOp) -> tuple[BlockArgument, ...]:
    """The arguments of a function that are marked `buffer.output`: its results, in order."""
    if function.arg_attrs is None:
        return ()
    marks = [OUTPUT in attributes.data for attributes in function.arg_attrs]
    return tuple(arg for arg, mark in zip(function.args, marks, strict=True) if mark)


def inputs_of(function: FuncOp) -> tuple[BlockArgument, ...]:
    """The arguments of a function that are no results of it, at any level, in order."""
    outputs = outputs_of(function)
    return tuple(argument for argument in function.args if argument not in outputs)


def stored_in(function: FuncOp) -> dict[int, int]:
    """The arguments of a function that hold results, by the number of the result's argument."""
    found: dict[int, int] = {}
    for number, attributes in enumerate(function.arg_attrs or ()):
        place = attributes.data.get(STORED_IN)
        if isinstance(place, IntegerAttr):
            found[number] = place.value.data
    return found


Buffer = Dialect("buffer", [AllocOp, ArenaOp, PlaceOp, ConstantOp, ReadOp, WriteOp, KernelOp], [])
