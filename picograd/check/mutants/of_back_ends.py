"""Mutants of the emitters: LLVM IR and WGSL."""

from picograd.check.mutants.killers import (
    NO_DOUBLES,
    Differential,
    Modules,
    Orders,
    Validation,
)
from picograd.check.mutants.mutant import Mutant
from picograd.check.mutants.pytest_files import Tests
from picograd.compiler.validation.fault import Fault
from picograd.dialects.dtypes import float32, int32

_LLVM = "picograd.backends.llvm"
_WGSL = "picograd.backends.wgsl"
_ODD = (7, 5, 9, 11, 13)
_ELEMENTWISE = ("unary", "binary", "compare", "select", "cast")

OF_BACK_ENDS = (
    Mutant(
        "ordered_inequality",
        f"{_LLVM}.emit_elements:_compare",
        "a NaN is not unequal to itself: `one` in the place of `une`",
        "fcmp {_ORDERED[predicate]}",
        "fcmp {_ORDERED[predicate].replace('une', 'one')}",
        Differential("cpu", Modules(150, ("unary", "binary", "compare", "select"), (float32,))),
        Fault.VALUES,
        "cpu",
    ),
    Mutant(
        "unsigned_comparison",
        f"{_LLVM}.emit_elements:_compare",
        "negative integers compare as large ones",
        'table = _UNSIGNED if scalar == "i1" else _SIGNED',
        "table = _UNSIGNED",
        Differential("cpu", Modules(60, ("compare", "select", "binary"), (int32,))),
        Fault.VALUES,
        "cpu",
    ),
    Mutant(
        "relu_of_nan",
        f"{_LLVM}.emit_elements:_extreme",
        "the maximum of NaN and a constant is the constant",
        "fcmp {'ogt' if larger else 'olt'} {type} {b}, {a}",
        "fcmp {'ugt' if larger else 'ult'} {type} {b}, {a}",
        Validation("cpu", Modules(60, ("smooth", "unary"), (float32,)), device="cpu"),
        Fault.VALUES,
        "cpu",
    ),
    Mutant(
        "mask_forgotten",
        f"{_LLVM}.emit_memory:_mask",
        "vectors of which some lanes lie outside are stored whole",
        "result = None if lanes == wide else types.first_lanes(lanes)",
        "result = None",
        Validation("cpu", Modules(60, _ELEMENTWISE, (float32,), _ODD), device="cpu", sanitize=True),
        Fault.MEMORY,
        "cpu",
    ),
    Mutant(
        "backwards_read_forwards",
        f"{_LLVM}.emit_strided:strided_load",
        "lanes that run backwards are read in the order of memory",
        "[:: 1 if stride > 0 else -1]",
        "[::1]",
        Differential("cpu", Modules(60, ("reverse", "unary"), (float32,), (100, 67, 81))),
        Fault.VALUES,
        "cpu",
    ),
    Mutant(
        "unused_lanes_count",
        f"{_LLVM}.emit_tiles:_fold",
        "the unused lanes of a vector take part in a sum",
        "if lanes != types.width(lanes):",
        "if not lanes:",
        Differential("cpu", Modules(60, ("reduce", "rows", "matmul"), (float32,), _ODD)),
        Fault.VALUES,
        "cpu",
    ),
    Mutant(
        "index_never_fails",
        f"{_LLVM}.emit_memory:_checked_index",
        "an index out of range is replaced by 0 and not reported",
        "br i1 {inside}, label %{go_on}, label %{fail}",
        "br i1 true, label %{go_on}, label %{fail}",
        Tests("tests/compiler/test_executable.py", "index_out_of_range and cpu", Fault.RULE),
        Fault.RULE,
    ),
    Mutant(
        "wgsl_stores_bools_inverted",
        f"{_WGSL}.memory:MemoryWriter.store",
        "true is stored as 0",
        "select(0u, 1u, {value})",
        "select(1u, 0u, {value})",
        Differential("gpu", Modules(40, _ELEMENTWISE, NO_DOUBLES)),
        Fault.VALUES,
        "gpu",
    ),
    Mutant(
        "wgsl_stores_out_of_bounds",
        f"{_WGSL}.memory:MemoryWriter.store",
        "a clipped store is not clipped",
        "[self._inside(op)] if op.clip is not None else []",
        "[]",
        Orders(
            "round_up_loops",
            Modules(40, ("matmul", "reduce", "binary"), (float32,), (7, 5, 13)),
            "gpu",
            "gpu",
        ),
        Fault.VALUES,
        "gpu",
    ),
    Mutant(
        "wgsl_without_barriers",
        f"{_WGSL}.emit:_DispatchEmitter._barrier",
        "a barrier does not make the threads of a workgroup wait for each other",
        'self.writer.line("workgroupBarrier();")',
        "pass",
        Differential("gpu", Modules(30, ("rows", "smooth"), (float32,), (100, 67, 81))),
        Fault.VALUES,
        "gpu",
    ),
    Mutant(
        "wgsl_inequality",
        f"{_WGSL}.elements:_loop_compare",
        "less-or-equal where less is meant",
        "{left} {_COMPARE[predicate]} {right}",
        "{left} {_COMPARE[predicate].ljust(2, '=')} {right}",
        Differential("gpu", Modules(60, ("compare", "cast"), (int32,))),
        Fault.VALUES,
        "gpu",
    ),
    Mutant(
        "wgsl_integers_cut_off",
        f"{_WGSL}.storage:pack",
        "64-bit integers lose their upper half on the way to the GPU without a word",
        "if least < bounds.min or greatest > bounds.max:",
        "if least > greatest:",
        Tests("tests/backends/wgsl/test_storage.py", asserts=Fault.RULE),
        Fault.RULE,
    ),
)
