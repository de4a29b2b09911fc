"""Code for another processor than the host: made and looked at here, run elsewhere."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from picograd.backends.llvm.codegen import assembly, processor_of
from picograd.backends.llvm.emit import emit
from picograd.backends.llvm.inspect_assembly import BlockFacts, inner_loops
from picograd.quick_dataclasses import dataclass
from picograd.targets import lookup


@dataclass(frozen=True)
class CrossCompiled:
    """What the CPU's back end makes of a module for a processor."""

    target: str
    text: str
    """LLVM IR."""
    assembly: str

    @property
    def loops(self) -> list[BlockFacts]:
        """The innermost loops, most multiply-adds first."""
        return inner_loops(self.assembly)


def cross_compile(module: ModuleOp, target: str) -> CrossCompiled:
    """LLVM IR and assembly of a module of loop level for a target such as "neoverse-v2".

    The passes should have been aimed at the same target (`Pipeline.aimed_at`). Raises OptionError
    for an unknown target, CompileError for what a CPU cannot run.
    """
    machine = lookup(target)
    text = emit(module, vector_bits=machine.vector_bits, comment="").text
    return CrossCompiled(target, text, assembly(text, processor_of(machine)))
