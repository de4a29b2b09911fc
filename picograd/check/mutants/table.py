"""All mutants, by what they are mutants of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from picograd.check.mutants.mutant import Mutant
from picograd.check.mutants.of_back_ends import OF_BACK_ENDS
from picograd.check.mutants.of_compiler import OF_COMPILER
from picograd.check.mutants.of_kernels import OF_KERNELS
from picograd.check.mutants.of_loops import OF_LOOPS
from picograd.check.mutants.of_parts import OF_PARTS
from picograd.check.mutants.of_schedules import OF_SCHEDULES
from picograd.check.mutants.of_semantics import OF_SEMANTICS
from picograd.check.mutants.of_tensors import OF_TENSORS

FAMILIES: Mapping[str, Sequence[Mutant]] = {
    "Passes over tensors": OF_TENSORS,
    "Kernels and memory": OF_KERNELS,
    "Lowering to loops": OF_LOOPS,
    "Schedules of loops": OF_SCHEDULES,
    "Parts of loops, launches and programs": OF_PARTS,
    "Evaluators, error bounds, gradients": OF_SEMANTICS,
    "Back ends": OF_BACK_ENDS,
    "Driver and caches": OF_COMPILER,
}
MUTANTS: Mapping[str, Mutant] = {
    mutant.name: mutant for family in FAMILIES.values() for mutant in family
}
