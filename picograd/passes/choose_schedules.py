"""Note at each kernel what is chosen of its schedule, in the place of the cost model's decisions.

Before:

```mlir
builtin.module {
  loop.kernel @matmul(%x: memref<64x64xf32>, %w: memref<64x64xf32>, %y: memref<64x64xf32>) {
    loop.parallel (%i, %j) = (0, 0) to (64, 64) {
      %sum = loop.reduce add %k = 0 to 64 : f32 {
        %a = loop.load %x[%i, %k] : memref<64x64xf32>
        %b = loop.load %w[%k, %j] : memref<64x64xf32>
        %p = arith.mulf %a, %b : f32
        loop.yield %p : f32
      }
      loop.store %sum, %y[%i, %j] : f32, memref<64x64xf32>
    }
  }
}
```

Options: choose_schedules{choices="matmul: rows=4 vectors=2 pack=both"}

After:

```mlir
builtin.module {
  loop.kernel @matmul(%x: memref<64x64xf32>, %w: memref<64x64xf32>, %y: memref<64x64xf32>) attributes {schedule = "rows=4 vectors=2 pack=both"} {
    loop.parallel (%i, %j) = (0, 0) to (64, 64) {
      %sum = loop.reduce add %k = 0 to 64 : f32 {
        %a = loop.load %x[%i, %k] : memref<64x64xf32>
        %b = loop.load %w[%k, %j] : memref<64x64xf32>
        %p = arith.mulf %a, %b : f32
        loop.yield %p : f32
      }
      loop.store %sum, %y[%i, %j] : f32, memref<64x64xf32>
    }
  }
}
```

A kernel is named by its symbol, or by the digest of its loops, which is equal for equal kernels of
any program: so can choices be remembered that `picograd tune` has found by measuring. `*` stands
for all kernels that are not named.

Requires: nothing. Digests are those of kernels as they are here: what was found for a kernel after
`merge_axes` is found again right after `merge_axes`.

Does not: change a loop. The passes that follow (`tile_loops`, `stage_operands`, `vectorize_loops`,
`lower_reduce`, `prefetch_rows`, `stream_stores`, `parallelize_loops`) read the note, and do as it
says as far as the kernel allows; sizes that are given to them by name come first. On a GPU the
note means nothing.

Source: the split of an algorithm from its schedule is Halide's (Ragan-Kelley et al., 2013); that
schedules are found by measuring goes back to ATLAS (Whaley and Dongarra, 1998).
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr

from picograd.dialects.loop import KernelOp
from picograd.dialects.structure_digest import body_digest
from picograd.errors import OptionError
from picograd.passes.base import Level, Pass
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import kernels
from picograd.passes.schedule.choices import SCHEDULE, Choices, parse_choices
from picograd.quick_dataclasses import dataclass

ALL = "*"
"""Stands for the kernels that have no choices of their own."""


@dataclass(frozen=True)
class ChooseSchedules(Pass):
    """`choices` lists kernels with what is chosen for them: "matmul: rows=6 pack=both; *: grain=9".

    A kernel is its name, the digest of its loops, or `*`. What may be chosen stands in
    `schedule/choices.py`.
    """

    name: ClassVar[str] = "choose_schedules"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    choices: str = ""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        wanted = parse_table(self.choices)
        if not wanted:
            return
        digests = any(map(_is_digest, wanted))
        for kernel in kernels(op):
            keys = [kernel.sym_name.data, *([digest_of(kernel)] if digests else []), ALL]
            chosen = next((wanted[key] for key in keys if key in wanted), None)
            if chosen is None or not chosen.made:
                continue
            note = StringAttr(str(chosen))
            if kernel.attributes.get(SCHEDULE) != note and applies(_note, kernel):
                _note(kernel, note)


def _note(kernel: KernelOp, note: StringAttr) -> None:
    kernel.attributes[SCHEDULE] = note


def digest_of(kernel: KernelOp) -> str:
    """What stands for a kernel's loops, whatever it and its buffers are called."""
    return body_digest(kernel).hex()


def _is_digest(key: str) -> bool:
    return len(key) == 64 and all(letter in "0123456789abcdef" for letter in key)


def parse_table(text: str) -> Mapping[str, Choices]:
    """The choices by kernel that an option spells. Raises OptionError."""
    table: dict[str, Choices] = {}
    for entry in filter(None, map(str.strip, text.split(";"))):
        kernel, colon, chosen = (part.strip() for part in entry.partition(":"))
        if not colon or not kernel or kernel in table:
            raise OptionError(
                "the choices for kernels cannot be read",
                code="PG703",
                expected="kernels, each once, with a colon behind",
                found=repr(entry),
                hint='write for example "matmul: rows=6 pack=both; *: grain=40"',
            )
        table[kernel] = parse_choices(chosen)
    return table


def spelled(table: Mapping[str, Choices]) -> str:
    """The option that `parse_table` reads."""
    return "; ".join(f"{kernel}: {chosen}" for kernel, chosen in table.items())
