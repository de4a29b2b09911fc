"""Make one loop of two that walk memory like one, and one axis of a buffer of two.

Before:

```mlir
builtin.module {
  loop.kernel @exp(%x: memref<4x3xf32>, %b: memref<12xf32>, %y: memref<2x2x3xf32>) {
    loop.parallel (%i, %j, %k) = (0, 0, 0) to (2, 2, 3) {
      %v = loop.load %x[%i * 2 + %j, %k] : memref<4x3xf32>
      %c = loop.load %b[%i * 6 + %j * 3 + %k] : memref<12xf32>
      %s = arith.addf %v, %c : f32
      loop.store %s, %y[%i, %j, %k] : f32, memref<2x2x3xf32>
    }
  }
  loop.kernel @transpose(%x: memref<2x2x3xf32>, %y: memref<3x4xf32>) {
    loop.parallel (%i, %j) = (0, 0) to (3, 4) {
      %v = loop.load %x[%j floordiv 2, %j mod 2, %i] : memref<2x2x3xf32>
      loop.store %v, %y[%i, %j] : f32, memref<3x4xf32>
    }
  }
}
```

After:

```mlir
builtin.module {
  loop.kernel @exp(%x: memref<12xf32>, %b: memref<12xf32>, %y: memref<12xf32>) {
    loop.parallel %i = 0 to 12 {
      %v = loop.load %x[%i] : memref<12xf32>
      %c = loop.load %b[%i] : memref<12xf32>
      %s = arith.addf %v, %c : f32
      loop.store %s, %y[%i] : f32, memref<12xf32>
    }
  }
  loop.kernel @transpose(%x: memref<4x3xf32>, %y: memref<3x4xf32>) {
    loop.parallel (%i, %j) = (0, 0) to (3, 4) {
      %v = loop.load %x[%j, %i] : memref<4x3xf32>
      loop.store %v, %y[%i, %j] : f32, memref<3x4xf32>
    }
  }
}
```

Requires: nothing.

Does not: merge loops that are mapped to threads or lanes, or whose bounds depend on others; merge
axes that are read beyond their ends (`pad`, `clip`). A launch goes on to give the kernel the buffer
with the axes that it had: the memory is the same.

Source: MLIR's collapsing of iteration dimensions (linalg), Halide's `fuse`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.ir import BlockArgument
from xdsl.rewriter import Rewriter

from picograd.dialects.affine import Linear
from picograd.dialects.loop import Dim, LoopOp, memref_type
from picograd.dialects.loop_syntax import memref_shape
from picograd.passes.base import Level, Pass
from picograd.passes.loops.merging import Merging
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import kernels, set_dims, set_expressions
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class MergeAxes(Pass):
    """Make one loop of two that walk memory like one, and one axis of a buffer of two."""

    name: ClassVar[str] = "merge_axes"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in kernels(op):
            merging = Merging(kernel)
            if merging.run() and applies(merge, kernel):
                merge(merging)


def merge(merging: Merging) -> None:
    """Let loops, buffers and expressions of a kernel be what they are to become."""
    gone: list[BlockArgument] = []
    for op, expressions in merging.expressions.items():
        if isinstance(op, LoopOp):
            gone += _shrink(op, merging, expressions)
        else:
            set_expressions(op, expressions)
    for variable in gone:
        variable.block.erase_arg(variable)
    for buffer, shape in merging.shapes.items():
        if shape != memref_shape(buffer.type):
            old = memref_type(buffer)
            type = MemRefType(old.element_type, shape, old.layout, old.memory_space)
            Rewriter.replace_value_with_new_type(buffer, type)


def _shrink(op: LoopOp, merging: Merging, bounds: Sequence[Linear]) -> list[BlockArgument]:
    """Give a loop the dimensions that it has left; the variables that are gone.

    One of two dimensions keeps the variable of the inner one and the name of the outer one.
    """
    kept, numbers = merging.loops[op], iter(bounds)
    dims: list[Dim] = []
    gone: list[BlockArgument] = []
    outer: BlockArgument | None = None
    for dim, variable in zip(op.dims, op.induction_variables, strict=True):
        lower, uppers = next(numbers), tuple(next(numbers) for _ in dim.uppers)
        if variable not in kept:
            outer = outer or variable
            gone.append(variable)
            continue
        name = dim.name
        if outer is not None:
            name = op.names.data[outer.index].data
            variable.name_hint = outer.name_hint
            uppers = (Linear.of(merging.extents[variable]),)
            outer = None
        dims.append(replace(dim, lower=lower, uppers=uppers, name=name))
    set_dims(op, dims)
    return gone
