"""Mutants of the passes that schedule loops."""

from dataclasses import replace

from picograd.check.mutants.killers import (
    NO_DOUBLES,
    SMALL_CPU,
    Modules,
    Orders,
    Validation,
)
from picograd.check.mutants.mutant import Mutant
from picograd.check.mutants.pytest_files import Tests
from picograd.compiler.validation.fault import Fault
from picograd.dialects.dtypes import float32

_PASSES = "picograd.passes"
_ODD = (7, 5, 9, 11, 13)
_LOOPS = ("matmul", "reduce", "broadcast", "binary", "permute")
_ROWS = Modules(60, ("rows", "rows", "smooth"), (float32,), (100, 67, 81))


_MODULES = Modules(150, _LOOPS, NO_DOUBLES, (7, 5, 8, 3, 13))
_FEWER = replace(_MODULES, count=60)
# Sums that wait between their blocks are those of products, most of the time.
_PRODUCTS = replace(_MODULES, kinds=("matmul", "matmul", "reduce"), count=60, seed=7)
# Windows reach behind the edges of what they read: copies of it are mostly filled with zeros.
_WINDOWS = replace(_MODULES, kinds=("pooling", "convolution"), count=60)


def _towards(step: str, machine: str = SMALL_CPU, modules: Modules = _MODULES) -> Orders:
    return Orders(step, modules, machine)


OF_SCHEDULES = (
    Mutant(
        "tail_overrun",
        f"{_PASSES}.tile_loops:_Tiler.build",
        "the last tile of a loop runs to its full size, past the end",
        "fits = self.exact or (dim.is_constant and (dim.extent or 0) % size == 0)",
        "fits = True",
        _towards("tile_loops"),
        Fault.MEMORY,
        "tile_loops",
    ),
    Mutant(
        "exact_tail_forgotten",
        f"{_PASSES}.schedule.tile_parts:_two_parts",
        "a tail of one iteration gets no loop",
        "if left:",
        "if left > 1:",
        _towards("tile_loops"),
        Fault.VALUES,
        "tile_loops",
    ),
    Mutant(
        "running_totals_a_step_short",
        f"{_PASSES}.tiles.scans:_totals",
        "the last step of the running totals within a tile is left out",
        "while distance < lanes:",
        "while 2 * distance < lanes:",
        Validation("cpu", Modules(40, ("scan", "binary"), (float32,), (100, 67, 81))),
        Fault.VALUES,
        "vectorize_loops",
    ),
    Mutant(
        "tail_of_a_vector",
        f"{_PASSES}.tiles.reductions:_tiled_as_far_as",
        "the last element of a reduction is lost when one is left over",
        "if extent % size:",
        "if extent % size > 1:",
        _towards("vectorize_loops"),
        Fault.VALUES,
        "vectorize_loops",
    ),
    Mutant(
        "initial_value_lost",
        f"{_PASSES}.tiles.reductions:tile_reduction",
        "a reduction in tiles forgets the value that it starts from",
        "for part in [*parts[1:], *start]:",
        "for part in parts[1:]:",
        _towards("vectorize_loops", modules=_PRODUCTS),
        Fault.VALUES,
        "vectorize_loops",
    ),
    Mutant(
        "wrong_lane",
        f"{_PASSES}.tiles.places:Places._moved",
        "every piece of a tile is read and written where the first one lies",
        "position = (*lead, offset)",
        "position = (*lead, 0)",
        _towards("unroll_tiles", modules=_FEWER),
        Fault.VALUES,
        "unroll_tiles",
    ),
    Mutant(
        "last_square_forgotten",
        f"{_PASSES}.tiles.squares:_split",
        "a tile that is copied square by square, transposed, lacks its last squares",
        "ForOp(constant_dim(name, shape[axis], width))",
        "ForOp(constant_dim(name, shape[axis] - width, width))",
        # Random modules are too small for tiles of several squares.
        Tests("tests/passes/tiles/test_squares.py"),
        Fault.INVALID,
    ),
    Mutant(
        "odd_piece_dropped",
        f"{_PASSES}.tiles.unroller:_combine_pairs",
        "combining pieces in pairs drops the one without a partner",
        "[op.results[0] for op in combined] + values[len(combined) * 2 :]",
        "[op.results[0] for op in combined]",
        _towards("unroll_tiles", modules=replace(_FEWER, kinds=("reduce", "rows"), seed=1)),
        Fault.VALUES,
        "unroll_tiles",
    ),
    Mutant(
        "merged_by_any_stride",
        f"{_PASSES}.loops.merging:Merging._fits",
        "two loops are made one where the outer one's stride is not the inner one's extent",
        "return expression.coefficient(outer) == n * expression.coefficient(inner) and all(",
        "return expression.coefficient(outer) >= n * expression.coefficient(inner) and all(",
        _towards("merge_axes"),
        Fault.VALUES,
        "merge_axes",
    ),
    Mutant(
        "rest_of_chunks_dropped",
        f"{_PASSES}.split_reduce:split",
        "what is left over when a reduction is cut into chunks is not reduced",
        "last = _part(reduction, Linear.of(chunks * rows), rest)",
        "last = _part(reduction, Linear.of(chunks * rows), rest - 1)",
        _towards("split_reduce"),
        Fault.VALUES,
        "split_reduce",
    ),
    Mutant(
        "running_total_forgotten",
        f"{_PASSES}.hoist_reduce:_start",
        "each block of a hoisted reduction starts anew",
        "start = IfOp(first, types,",
        "start = IfOp(Linear.of(0), types,",
        _towards("hoist_reduce"),
        Fault.VALUES,
        "hoist_reduce",
    ),
    Mutant(
        "staged_without_zeros",
        f"{_PASSES}.stage_operands:stage",
        "a copy of an operand reads behind its end instead of filling up with zeros",
        "pad=load.pad is not None,",
        "pad=False,",
        _towards("stage_operands", "gpu", _WINDOWS),
        Fault.MEMORY,
        "stage_operands",
    ),
    Mutant(
        "staged_elsewhere",
        f"{_PASSES}.stage_operands:copy_place",
        "a copy in blocks is written and read at two elements of a block in one place",
        "*(mod(offsets[name], layout[name]) for name in blocked),",
        "*(mod(offsets[name], layout[name] - 1) for name in blocked),",
        _towards("stage_operands"),
        Fault.VALUES,
        "stage_operands",
    ),
    Mutant(
        "partial_sum_lost",
        f"{_PASSES}.tree_reduce:_level",
        "one level of a tree of sums leaves out its last part",
        "Dim(thread, (Linear.of(below),), width",
        "Dim(thread, (Linear.of(below - 1),), width",
        _towards("tree_reduce", "gpu", _ROWS),
        Fault.VALUES,
        "tree_reduce",
    ),
    Mutant(
        "barrier_forgotten",
        f"{_PASSES}.insert_barriers:Touched.conflicts",
        "no barrier stands between a store and the load of another thread",
        "self.written & (later.read | later.written) or self.read & later.written",
        "self.read & later.written",
        Validation("gpu", _ROWS, device="gpu", sanitize=True),
        Fault.MEMORY,
        "gpu",
    ),
    Mutant(
        "chunks_that_overlap",
        f"{_PASSES}.parallelize_loops:_split",
        "two threads compute the same iteration, and store to the same place",
        "uppers = (start + old.step * group, *old.uppers)",
        "uppers = (start + old.step * (group + 1), *old.uppers)",
        Orders("parallelize_loops", _FEWER, SMALL_CPU, sanitize=True),
        Fault.MEMORY,
        "parallelize_loops",
    ),
    Mutant(
        "chunks_with_a_gap",
        f"{_PASSES}.parallelize_loops:_split",
        "each thread's chunk ends one iteration early",
        "uppers = (start + old.step * group, *old.uppers)",
        "uppers = (start + old.step * (group - 1), *old.uppers)",
        _towards("parallelize_loops"),
        Fault.VALUES,
        "parallelize_loops",
    ),
    Mutant(
        "rounded_up_unguarded",
        f"{_PASSES}.round_up_loops:round_up",
        "stores of a rounded-up loop are not clipped",
        "if isinstance(op, LoadOp | StoreOp) and not _inside(op, facts):",
        "if isinstance(op, LoadOp) and not _inside(op, facts):",
        _towards("round_up_loops", "gpu"),
        Fault.MEMORY,
        "round_up_loops",
    ),
    Mutant(
        "maximum_from_zero",
        f"{_PASSES}.lower_reduce:_start",
        "every reduction starts from the identity of a sum",
        "constant = identity(op.kind.data, type)",
        "constant = identity(ReduceKind.ADD, type)",
        Validation("cpu", Modules(40, ("reduce", "rows"), (float32,), _ODD)),
        Fault.VALUES,
        "lower_reduce",
    ),
    Mutant(
        "exp_reduced_coarsely",
        f"{_PASSES}.polynomials.elementary:_reduced_exp",
        "the range reduction of exp uses ln 2 with too few digits",
        "m.number(-_LOG2_LOW), r)",
        "m.number(-_LOG2_LOW * 0.99), r)",
        Validation("cpu", Modules(40, ("smooth",), (float32,))),
        Fault.VALUES,
        "expand_math",
    ),
    Mutant(
        "coefficient_cut_off",
        f"{_PASSES}.polynomials.elementary:log",
        "the polynomial of log lacks its last term",
        "polynomial(m, f, _LOG)",
        "polynomial(m, f, (*_LOG[:-1], 0.3333))",
        Validation("cpu", Modules(60, ("unary",), (float32,))),
        Fault.VALUES,
        "expand_math",
    ),
    Mutant(
        "nan_clamped",
        f"{_PASSES}.polynomials.elementary:at_most",
        "a NaN is clamped like a large number",
        'm.select(m.compare("gt", x, limit), limit, x)',
        'm.select(m.compare("le", x, limit), x, limit)',
        Validation("cpu", Modules(60, ("unary", "smooth"), (float32,))),
        Fault.VALUES,
        "expand_math",
    ),
)
