"""Mutants of what decides about kernels and memory: fusion, in-place updates, the arena."""

from picograd.check.mutants.killers import Modules, Validation
from picograd.check.mutants.mutant import Mutant
from picograd.check.mutants.pytest_files import Tests
from picograd.compiler.validation.fault import Fault

_PASSES = "picograd.passes"
_FUSED = "outline_kernels,fuse"
_IN_MEMORY = "outline_kernels,lower_kernels_to_buffers"
_CHAINS = ("unary", "binary", "reduce", "broadcast", "permute")

OF_KERNELS = (
    Mutant(
        "one_buffer_too_many",
        f"{_PASSES}.fusion.decide:_Judgement.repeated",
        "kernels are fused until they bind a buffer more than the device has",
        "body.buffers() > most",
        "body.buffers() > most + 1",
        Tests("tests/passes/test_fuse.py", "buffers", asserts=Fault.RULE),
        Fault.RULE,
    ),
    Mutant(
        "second_use_dropped",
        f"{_PASSES}.fusion.graph:Graph._is_needed",
        "a fused kernel does not hand out a value that two other kernels read",
        "if holder not in groups and kernel not in holder.members:",
        "if len(self._readers_of[kernel][number]) < 2 and holder not in groups:",
        Validation(_FUSED, Modules(80, _CHAINS)),
        Fault.CRASH,
        "fuse",
    ),
    Mutant(
        "overwritten_before_its_last_reader",
        f"{_PASSES}.reuse_in_place:_Function._is_spent",
        "a buffer is overwritten although the next kernel still reads it",
        "return last == self.place[kernel]",
        "return last <= self.place[kernel] + 1",
        Validation(f"{_IN_MEMORY},reuse_in_place", Modules(80, _CHAINS)),
        Fault.VALUES,
        "reuse_in_place",
    ),
    Mutant(
        "alias_ignored",
        f"{_PASSES}.loops.in_place:updates_in_place",
        "a kernel updates a buffer in place although it reads other elements than it writes",
        "for op in accesses if isinstance(op, LoadOp | StoreOp)}",
        "for op in accesses if isinstance(op, StoreOp)}",
        Validation("cpu", Modules(120, ("permute", "reverse", "binary")), device="cpu"),
        Fault.VALUES,
        "cpu",
    ),
    Mutant(
        "any_donation",
        f"{_PASSES}.reuse_in_place:_Function._may_hold",
        "a donated argument takes up any result of its type, not the one it was given for",
        "return self.donated[value] is target and not later",
        "return not later",
        Validation(f"{_IN_MEMORY},reuse_in_place", Modules(150, _CHAINS, sizes=(3,))),
        Fault.CRASH,
        "reuse_in_place",
    ),
    Mutant(
        "lifetimes_that_touch",
        f"{_PASSES}.plan_buffers:_overlap",
        "a buffer may lie where one lies that is read by the kernel that writes it",
        "return a.first <= b.last and b.first <= a.last",
        "return a.first < b.last and b.first < a.last",
        Validation(f"{_IN_MEMORY},plan_buffers", Modules(100, _CHAINS)),
        Fault.INVALID,
        "plan_buffers",
    ),
    Mutant(
        "lifetimes_without_a_beginning",
        f"{_PASSES}.plan_buffers:_lifetimes",
        "a buffer lives from the first kernel that reads it, not the one that writes it",
        "{value.owner for value in op.operands}",
        "{value.owner for value in op.reads}",
        Validation(f"{_IN_MEMORY},plan_buffers", Modules(100, _CHAINS)),
        Fault.INVALID,
        "plan_buffers",
    ),
    Mutant(
        "gaps_too_small",
        f"{_PASSES}.plan_buffers:_best_fit",
        "a buffer is put into a gap that is too small for it",
        "if gap >= item.size and",
        "if gap and",
        Validation(
            f"{_IN_MEMORY},plan_buffers", Modules(200, _CHAINS, sizes=(9, 3, 5, 7), most_ops=30)
        ),
        Fault.INVALID,
        "plan_buffers",
    ),
)
