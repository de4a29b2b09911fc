"""Turn each kernel's tensor ops into loops over its buffers, starting from what it stores.

Before:

```mlir
builtin.module {
  func.func @main(%x: memref<4x3xf32>, %b: memref<3xf32>, %out0: memref<4xf32> {buffer.output}) {
    buffer.kernel "row_sum" reads(%a = %x : memref<4x3xf32>, %c = %b : memref<3xf32>) writes(%y = %out0 : memref<4xf32>) {
      %0 = buffer.read %a : memref<4x3xf32> -> tensor<4x3xf32>
      %1 = buffer.read %c : memref<3xf32> -> tensor<3xf32>
      %2 = pico.broadcast %1 to [4, 3] : tensor<3xf32> -> tensor<4x3xf32>
      %3 = pico.binary add %0, %2 : tensor<4x3xf32>
      %sum = pico.reduce add %3 axes [1] : tensor<4x3xf32> -> tensor<4xf32>
      buffer.write %sum, %y : tensor<4xf32>, memref<4xf32>
    }
    func.return
  }
}
```

After:

```mlir
builtin.module {
  loop.kernel @row_sum(%a: memref<4x3xf32>, %c: memref<3xf32>, %y: memref<4xf32>) {
    loop.parallel %i = 0 to 4 {
      %sum = loop.reduce add %j = 0 to 3 : f32 {
        %0 = loop.load %a[%i, %j] : memref<4x3xf32>
        %1 = loop.load %c[%j] : memref<3xf32>
        %2 = arith.addf %0, %1 : f32
        loop.yield %2 : f32
      }
      loop.store %sum, %y[%i] : f32, memref<4xf32>
    }
  }
  func.func @main(%x: memref<4x3xf32>, %b: memref<3xf32>, %out0: memref<4xf32> {buffer.output}) {
    loop.launch @row_sum(%x, %b, %out0) : memref<4x3xf32>, memref<3xf32>, memref<4xf32>
    func.return
  }
}
```

Requires: nothing. Intermediates may be placed in the arena or not yet.

Does not: tile, vectorize, map or reorder anything for speed; that is what the passes over loops do.
The one choice made here is which values get a buffer inside a kernel (`lowering/placement.py`):
those that several loops read and that are costly to compute again.
"""  # noqa: E501

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects import buffer, loop, tensor
from picograd.dialects.literals import Literal, splat_value
from picograd.passes.base import Level, Pass
from picograd.passes.lowering.kernel import lower_kernel
from picograd.passes.rewriting.structure import Key, structural_key
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class LowerBuffersToLoops(Pass):
    """Buffer level to loop level."""

    name = "lower_buffers_to_loops"
    level_in: ClassVar[Level] = Level.BUFFER
    level_out: ClassVar[Level] = Level.LOOP

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = _Kernels(op)
        for function in [inner for inner in op.ops if isinstance(inner, FuncOp)]:
            for inner in list(function.walk()):
                if isinstance(inner, buffer.KernelOp):
                    kernels.launch(_outline_constants(inner))


def _outline_constants(kernel: buffer.KernelOp) -> buffer.KernelOp:
    """The kernel with each constant of several different elements read from a buffer.

    Loops compute an element from its index, and a table has no formula.
    """
    tables = [
        op
        for op in kernel.block.ops
        if isinstance(op, tensor.ConstantOp)
        and op.value.data.data
        and splat_value(op.value) is None
    ]
    if not tables:
        return kernel
    reads: list[SSAValue] = list(kernel.reads)
    arguments: dict[Literal, SSAValue] = {}
    for table in tables:
        if table.value not in arguments:
            constant = buffer.ConstantOp(table.value)
            constant.result.name_hint = table.result.name_hint
            Rewriter.insert_op(constant, InsertPoint.before(kernel))
            argument = kernel.block.insert_arg(constant.result.type, len(reads))
            argument.name_hint = table.result.name_hint
            arguments[table.value] = argument
            reads.append(constant.result)
        Rewriter.replace_op(table, buffer.ReadOp(arguments[table.value]))
    new = buffer.KernelOp(
        kernel.label,
        reads,
        kernel.writes,
        kernel.detach_region(kernel.body),
        kernel.absorbed_names,
        updates=kernel.updates,
        guarded=kernel.guarded is not None,
    )
    new.attributes |= kernel.attributes
    Rewriter.replace_op(kernel, new)
    return new


class _Kernels:
    """The loop-level kernels of a module: equal kernels are lowered once and share a symbol."""

    def __init__(self, module: ModuleOp) -> None:
        self.module = module
        self.known: dict[Key, loop.KernelOp] = {}
        self.names = {
            op.sym_name.data for op in module.ops if isinstance(op, FuncOp | loop.KernelOp)
        }

    def launch(self, kernel: buffer.KernelOp) -> None:
        """Replace a buffer-level kernel by a launch of its loop-level form."""
        key = structural_key(kernel, without=frozenset({"label", "absorbed"}))
        found = self.known.get(key)
        if found is None:
            found = lower_kernel(kernel, self._free_name(kernel.label.data))
            found.attributes |= kernel.attributes
            self.known[key] = found
            if found.body.block.ops:
                first = next(op for op in self.module.ops if isinstance(op, FuncOp))
                Rewriter.insert_op(found, InsertPoint.before(first))
        if not found.body.block.ops:
            # All that it writes is of size zero.
            Rewriter.erase_op(kernel)
            return
        launch = loop.LaunchOp(found.sym_name.data, list(kernel.operands))
        Rewriter.replace_op(kernel, launch, [])

    def _free_name(self, label: str) -> str:
        base = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in label)
        base = base if base and not base[0].isdigit() else f"kernel_{base}"
        name, number = base, 1
        while name in self.names:
            number += 1
            name = f"{base}_{number}"
        self.names.add(name)
        return name
