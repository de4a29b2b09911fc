"""Copy the part of an operand that a loop body reads into a local buffer with its own layout.

Before:

```mlir
builtin.module {
  loop.kernel @columns(%w: memref<3x4xf32>, %y: memref<4xf32>) {
    loop.parallel %j = 0 to 4 {
      %sum = loop.reduce add %k = 0 to 3 : f32 {
        %v = loop.load %w[%k, %j] : memref<3x4xf32>
        loop.yield %v : f32
      }
      loop.store %sum, %y[%j] : f32, memref<4xf32>
    }
  }
}
```

Options: stage_operands{operand="w" layout="j=2 k=1"}

After:

```mlir
builtin.module {
  loop.kernel @columns(%w: memref<3x4xf32>, %y: memref<4xf32>) {
    %w_packed = loop.alloc : memref<2x3x2xf32, "packed">
    loop.parallel (%w_k, %w_j) = (0, 0) to (3, 4) {
      %0 = loop.load %w[%w_k, %w_j] : memref<3x4xf32>
      loop.store %0, %w_packed[%w_j floordiv 2, %w_k, %w_j mod 2] : f32, memref<2x3x2xf32, "packed">
    }
    loop.parallel %j = 0 to 4 {
      %sum = loop.reduce add %k = 0 to 3 : f32 {
        %v = loop.load %w_packed[%j floordiv 2, %k, %j mod 2] : memref<2x3x2xf32, "packed">
        loop.yield %v : f32
      }
      loop.store %sum, %y[%j] : f32, memref<4xf32>
    }
  }
}
```

Packing for a CPU's caches and staging in a GPU's workgroup memory are this one rewrite. The copy is
a parallel loop, to be tiled and vectorized like any other; padding is resolved while copying.

Requires: a load whose place is affine, of a buffer that the loop body does not write, and whose
copied part surely lies in bounds. Without options, the facts of `target` say what pays.

Does not: tile the copy, or keep a copy across several runs of the loop around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from picograd.dialects.affine import Leaf, Linear, LinearLike, floordiv, mod
from picograd.dialects.loop import (
    SPACES,
    AllocOp,
    Dim,
    KernelOp,
    LoadOp,
    LoopOp,
    ParallelOp,
    StoreOp,
    YieldOp,
    memref_type,
)
from picograd.errors import OptionError, PassError
from picograd.passes.base import Level, Pass
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import (
    check_names,
    copy_hint,
    inner_first,
    insert_before,
    kernels,
    parse_sizes,
    replace_op,
)
from picograd.passes.schedule.choose_staging import Staging, staged_loads
from picograd.passes.schedule.staged_places import obstacle, staged_dims
from picograd.quick_dataclasses import dataclass
from picograd.targets import lookup


@dataclass(frozen=True)
class StageOperands(Pass):
    """`operand` names the buffer, `at` the loop in whose body it is copied (the kernel's if empty).

    `layout` lists the loop variables of the place that is read, in the order of the copy's axes; a
    variable with a block size above 1 becomes two axes, the block's number and, last, the place in
    the block. `space` is the memory space of the copy.
    """

    name: ClassVar[str] = "stage_operands"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True

    operand: str = ""
    at: str = ""
    layout: str = ""
    space: str = "packed"
    target: str = "cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.space not in SPACES:
            raise OptionError(
                "stage_operands cannot copy into this memory space",
                code="PG703",
                expected=", ".join(SPACES),
                found=repr(self.space),
                hint="pass one of these as space",
            )
        layout = parse_sizes("layout", self.layout)
        check_names("stage_operands", [*layout, *([self.at] if self.at else [])], op)
        if not self.operand:
            for kernel in kernels(op):
                # A copy may put an end to the reason for another: ask again after each.
                while choices := staged_loads(kernel, lookup(self.target)):
                    choice = next((c for c in choices if obstacle(c) is None), None)
                    if choice is None or not applies(stage, choice.load):
                        break
                    stage(choice)
            return
        found = [self.stage_named(kernel, layout) for kernel in kernels(op)]
        if not any(found):
            raise OptionError(
                f"stage_operands finds no load of {self.operand!r} inside {self.at or 'a loop'!r}",
                code="PG708",
                expected="the name of a buffer that the loop's body reads",
                found=repr(self.operand),
                hint="the IR before this pass shows the names of its buffers",
            )

    def stage_named(self, kernel: KernelOp, layout: Mapping[str, int]) -> bool:
        """Stage every load of the named operand; whether there was one."""
        count = 0
        for load in inner_first(kernel, LoadOp):
            if load.memref.name_hint != self.operand:
                continue
            chain = loops_between(load, self.at)
            if not chain:
                continue
            choice = Staging(load, tuple(chain), layout, self.space)
            reason = obstacle(choice)
            if reason is not None:
                raise PassError(
                    f"stage_operands cannot copy {self.operand!r}: {reason}",
                    code="PG709",
                    expected="an operand that the body only reads, at affine places in bounds",
                    found=str(load).strip(),
                    hint="choose another loop for `at`, or list other variables in `layout`",
                )
            if applies(stage, load):
                stage(choice)
            count += 1
        return count > 0


def loops_between(load: LoadOp, at: str) -> list[Operation]:
    """The operations around a load that lie inside the loop called `at`, outermost first."""
    chain: list[Operation] = []
    op = load.parent_op()
    while op is not None and not isinstance(op, KernelOp):
        if at and isinstance(op, LoopOp) and any(name.data == at for name in op.names):
            return chain
        chain.insert(0, op)
        op = op.parent_op()
    return [] if at else chain


def stage(choice: Staging) -> None:
    """Copy what a load reads, in front of the outermost loop around it, and read the copy."""
    load, layout = choice.load, choice.layout
    dims = staged_dims(choice)
    facts = LoopFacts()
    extents = {name: facts.extent(dims[name]) or 0 for name in layout}
    operand = load.memref.name_hint or "operand"
    element = memref_type(load.memref).element_type
    memory = AllocOp(_copy_shape(layout, extents), element, choice.space)
    memory.memref.name_hint = f"{operand}_packed" if choice.space == "packed" else f"{operand}_tile"
    # Along the last dimension a copy writes side by side: inside of blocks, if there are any.
    order = sorted(layout, key=lambda name: layout[name] > 1)
    copy = ParallelOp(
        [Dim(dims[name].lower, dims[name].uppers, 1, f"{operand}_{name}") for name in order]
    )
    variables = dict(zip(order, copy.body.block.args, strict=True))
    renamed: dict[Leaf, LinearLike] = {dims[name].variable: variables[name] for name in layout}
    value = LoadOp(
        load.memref,
        [index.substitute(renamed) for index in load.indices],
        element,
        pad=load.pad is not None,
    )
    copied = {name: Linear.of(variables[name]) - dims[name].lower for name in layout}
    store = StoreOp(value.result, memory.memref, copy_place(layout, copied))
    copy.body.block.add_ops([value, store, YieldOp()])
    insert_before(choice.around[0], [memory, copy])
    offsets = {name: Linear.of(dims[name].variable) - dims[name].lower for name in layout}
    new = LoadOp(memory.memref, copy_place(layout, offsets))
    new.attributes |= load.attributes
    copy_hint(new.result, load.result)
    replace_op(load, [new], [new.result])


def _copy_shape(layout: Mapping[str, int], extents: Mapping[str, int]) -> list[int]:
    """The shape of a copy: numbers of blocks, extents of unblocked axes, block sizes."""
    blocked = [name for name, block in layout.items() if block > 1]
    plain = [name for name, block in layout.items() if block == 1]
    return [
        *(-(-extents[name] // layout[name]) for name in blocked),
        *(extents[name] for name in plain),
        *(layout[name] for name in blocked),
    ]


def copy_place(layout: Mapping[str, int], offsets: Mapping[str, Linear]) -> Sequence[Linear]:
    """The place of an element in a copy, given its offset along each variable."""
    blocked = [name for name, block in layout.items() if block > 1]
    plain = [name for name, block in layout.items() if block == 1]
    return [
        *(floordiv(offsets[name], layout[name]) for name in blocked),
        *(offsets[name] for name in plain),
        *(mod(offsets[name], layout[name]) for name in blocked),
    ]
