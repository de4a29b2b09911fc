"""Join kernels where that saves memory traffic and launches, and one loop can compute them.

Before:

```mlir
builtin.module {
  func.func @main(%x: tensor<4x3xf32>, %w: tensor<3x2xf32>) -> tensor<4x2xf32> {
    %h = kernel.fused "matmul" (%a = %x : tensor<4x3xf32>, %b = %w : tensor<3x2xf32>) -> (tensor<4x2xf32>) {
      %p = pico.matmul %a, %b : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
      kernel.yield %p : tensor<4x2xf32>
    }
    %y = kernel.fused "tanh" (%c = %h : tensor<4x2xf32>) -> (tensor<4x2xf32>) {
      %t = pico.unary tanh %c : tensor<4x2xf32>
      kernel.yield %t : tensor<4x2xf32>
    }
    func.return %y : tensor<4x2xf32>
  }
}
```

After:

```mlir
builtin.module {
  func.func @main(%x: tensor<4x3xf32>, %w: tensor<3x2xf32>) -> tensor<4x2xf32> {
    %y = kernel.fused "matmul_tanh" (%x_1 = %x : tensor<4x3xf32>, %w_1 = %w : tensor<3x2xf32>) -> (tensor<4x2xf32>) absorbs ["p"] {
      %p = pico.matmul %x_1, %w_1 : tensor<4x3xf32>, tensor<3x2xf32> -> tensor<4x2xf32>
      %t = pico.unary tanh %p : tensor<4x2xf32>
      kernel.yield %t : tensor<4x2xf32>
    }
    func.return %y : tensor<4x2xf32>
  }
}
```

Requires: nothing.

Does not: compute a matmul, a convolution or a reduction twice, or anything that costs more than it
saves; put arithmetic on the operands of a matmul or convolution (each element would be computed
many times over), or one of these and another, or a reduction, into one kernel; or fuse a scatter. A kernel that binds more buffers
than the target has is left to the backend, which names the limit.

Source: the greedy fusion of XLA and of TVM's Relay (Chen et al., OSDI 2018), extended to rows.
"""  # noqa: E501

from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from picograd.passes.base import Level, Pass
from picograd.passes.dce import erase_dead
from picograd.passes.fusion.decide import Limits, decide
from picograd.passes.fusion.graph import Graph
from picograd.passes.fusion.rebuild import rebuild
from picograd.passes.rewriting.applications import applies, as_one_step
from picograd.quick_dataclasses import dataclass
from picograd.targets import lookup


@dataclass(frozen=True)
class Fuse(Pass):
    """Join kernels where that saves memory traffic and launches.

    `max_buffers` bounds the buffers that a kernel binds (0: the target's limit), `max_ops` its ops.
    Where more MiB than `keep` are alive together, no kernel is moved to before that place if more
    would lie there then.
    Without `epilogue` nothing is computed after a reduction or matmul in its own kernel; without
    `siblings` kernels are joined only where one reads the other's result.
    """

    name: ClassVar[str] = "fuse"
    level_in: ClassVar[Level] = Level.KERNEL
    level_out: ClassVar[Level] = Level.KERNEL

    target: str = "cpu"
    max_buffers: int = 0
    max_ops: int = 256
    epilogue: bool = True
    siblings: bool = True
    keep: int = 64

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        limits = Limits(
            buffers=self.max_buffers or lookup(self.target).storage_buffers,
            ops=self.max_ops,
            epilogue=self.epilogue,
            siblings=self.siblings,
            apart=lookup(self.target).kind == "gpu",
            keep=self.keep << 20,
        )
        for function in op.ops:
            if isinstance(function, FuncOp) and not function.is_declaration:
                erase_dead(function)
                # Kernels are put together anew even where none are joined: the first step.
                if applies(rebuild, function):
                    graph = Graph(function)
                    decide(graph, limits)
                    with as_one_step():
                        rebuild(graph)
