"""Mutants of what cuts work into parts and joins it: loops, reductions, launches, programs."""

from dataclasses import replace

from picograd.check.mutants.killers import NO_DOUBLES, SMALL_CPU, Modules, Orders, Validation
from picograd.check.mutants.mutant import Mutant
from picograd.check.mutants.pytest_files import Tests
from picograd.compiler.validation.fault import Fault
from picograd.dialects.dtypes import float32

_LOOPS = "picograd.passes.loops"
_LOWERED = "outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops"
_SPLIT = Validation(
    f"{_LOWERED},split_loops{{least=1}}", Modules(60, ("pad",), NO_DOUBLES, (7, 5, 8, 3, 13))
)

_PACKED = Validation(
    f"pack_constants{{columns=2}},{_LOWERED}",
    Modules(60, ("weights", "weights", "binary"), (float32,), (3, 5, 4), most_ops=6),
)
_SQUARE = replace(_PACKED, modules=replace(_PACKED.modules, sizes=(3,)))


def _towards(step: str, *kinds: str, count: int = 150, **others: tuple[int, ...]) -> Orders:
    sizes = others.get("sizes", (7, 5, 8, 3, 13))
    return Orders(step, Modules(count, kinds, NO_DOUBLES, sizes), SMALL_CPU)


_CHANGED = "tests/frontend/tracing/test_changed_weights.py"
_STALE = "picograd.frontend.tracing.kept_constants:KeptConstants.of"

OF_PARTS = (
    Mutant(
        "merged_with_other_bounds",
        f"{_LOOPS}.shared_loops:Nest.pairs",
        "launches whose loops have other bounds are merged",
        "if self.shape.extent(ours[axis]) == other.shape.extent(theirs[axis])",
        "if self.shape.extent(ours[axis]) > 1",
        # Random programs seldom read a part of what they computed, from its beginning.
        Tests("tests/passes/test_merge_launches.py", "end_elsewhere"),
        Fault.INVALID,
    ),
    Mutant(
        "merged_past_a_reader",
        f"{_LOOPS}.launch_groups:_Search._collide",
        "a launch that reads what a group writes may run before the group",
        "self._writes(one) & self._touches(other) or self._writes(other) & self._touches(one)",
        "self._writes(one) & self._writes(other)",
        _towards("merge_launches", "matmul", "reduce", "binary"),
        Fault.VALUES,
        "merge_launches",
    ),
    Mutant(
        "private_though_read_elsewhere",
        f"{_LOOPS}.merged_kernels:_is_private",
        "a buffer that another launch reads becomes one part long",
        "and all(use.operation in launches for use in value.uses)",
        "and any(use.operation in launches for use in value.uses)",
        _towards("merge_launches", "matmul", "reduce", "binary"),
        Fault.VALUES,
        "merge_launches",
    ),
    Mutant(
        "memory_by_another_name",
        f"{_LOOPS}.shared_loops:Memories.of",
        "a result that lies in an argument is taken for memory of its own",
        "return self._holders.get(value.index, value.index)",
        "return value.index",
        Tests("tests/passes/test_merge_launches.py", "lie_in_an_argument", asserts=Fault.RULE),
        Fault.RULE,
    ),
    Mutant(
        "border_one_early",
        f"{_LOOPS}.index_borders:border",
        "a loop is split one iteration before its comparison changes",
        "return high",
        "return low",
        _SPLIT,
        Fault.VALUES,
        "split_loops",
    ),
    Mutant(
        "remainder_dropped_at_the_end",
        "picograd.passes.split_loops:_shorter",
        "a remainder is left out where the index reaches the divisor",
        "high < atom.by",
        "high <= atom.by",
        _SPLIT,
        Fault.VALUES,
        "split_loops",
    ),
    Mutant(
        "condition_decided_the_other_way",
        "picograd.passes.split_loops:_simplify",
        "the other condition decides where the known one does, and the other way round",
        "decides = truth != isinstance(op, arith.AndIOp)",
        "decides = truth == isinstance(op, arith.AndIOp)",
        _SPLIT,
        Fault.VALUES,
        "split_loops",
    ),
    Mutant(
        "rest_of_columns_overrun",
        "picograd.passes.split_reduce:_stage",
        "the last chunk of each column is as long as the others",
        "part = _part(whole, number * rows, rest or rows)",
        "part = _part(whole, number * rows, rows)",
        _towards("split_reduce", "reduce", "binary", "broadcast"),
        Fault.MEMORY,
        "split_reduce",
    ),
    Mutant(
        "initial_value_of_columns_lost",
        "picograd.passes.split_reduce:split_nest",
        "a reduction that begins with a value begins anew once it is cut",
        "root = reduction_of_parts(reduction, dim, memrefs, reduction.inits, places)",
        "root = reduction_of_parts(reduction, dim, memrefs, (), places)",
        Tests("tests/passes/test_split_reduce.py", "few_rows or rows_that_are_added"),
        Fault.INVALID,
    ),
    Mutant(
        "computed_again_after_a_store",
        "picograd.passes.schedule.reduce_chunks:_is_first",
        "what stands before a reduction is computed twice though memory was written",
        "return all(isinstance(op, LoadOp) or (is_pure(op) and not op.regions) for op in before)",
        "return all(isinstance(op, LoadOp) or not op.regions for op in before)",
        Tests("tests/passes/test_split_reduce.py", "after_a_store"),
        Fault.VALUES,
    ),
    Mutant(
        "zeros_in_front_of_a_weight",
        "picograd.passes.pack_constants:_laid_out",
        "the zeros that fill a weight's last panel stand before its first column",
        "PadOp(value, [*zeros, 0], [*zeros, missing])",
        "PadOp(value, [*zeros, missing], [*zeros, 0])",
        _PACKED,
        Fault.VALUES,
        "pack_constants",
    ),
    Mutant(
        "panels_of_another_weight",
        "picograd.passes.pack_constants:_pack",
        "products of several weights read the panels of the first",
        "value = unpacked[weight, panel]",
        "value = next(iter(unpacked.values()))",
        _SQUARE,
        Fault.INVALID,
        "pack_constants",
    ),
    Mutant(
        "constants_of_other_arguments",
        "picograd.compiler.hoist_constants:_module_of",
        "constants are computed of the first arguments, not of those that decide them",
        "tuple(argument.index for argument in found.reads)",
        "tuple(range(len(found.reads)))",
        _SQUARE,
        Fault.VALUES,
        "hoist_constants",
    ),
    Mutant(
        "constants_handed_over_backwards",
        "picograd.compiler.hoist_constants:_module_of",
        "constants are returned in another order than they are taken",
        "ReturnOp(*[copies[value] for value in found.values])",
        "ReturnOp(*[copies[value] for value in reversed(found.values)])",
        _SQUARE,
        Fault.CRASH,
        "hoist_constants",
    ),
    Mutant(
        "written_weight_not_seen",
        _STALE,
        "panels of a weight stay when it is written in place",
        "cell.version != version",
        "cell.version < version",
        Tests(_CHANGED, "a_changed_weight_is_seen"),
        Fault.VALUES,
    ),
    Mutant(
        "replaced_weight_not_seen",
        _STALE,
        "panels of a weight stay when another one takes its place with the same version",
        "or cell.era != era",
        "or cell.era < era",
        Tests(_CHANGED),
        Fault.VALUES,
    ),
    Mutant(
        "shared_weight_not_seen",
        _STALE,
        "panels of a weight stay while a NumPy array shares its memory",
        "or cell.__class__ is not Cell",
        "or cell.__class__ is None",
        Tests(_CHANGED),
        Fault.VALUES,
    ),
    Mutant(
        "only_the_first_weight",
        _STALE,
        "of several weights only the first is looked at",
        "in memo[0]:",
        "in memo[0][:1]:",
        Tests(_CHANGED),
        Fault.VALUES,
    ),
    Mutant(
        "settled_weights_not_laid_out",
        _STALE,
        "weights that changed before every call, and do no longer, are never laid out again",
        "if memo[1] or self._same < SETTLED:",
        "if memo[1] or self._same >= 0:",
        Tests(_CHANGED, "no_constants", asserts=Fault.RULE),
        Fault.RULE,
    ),
)
