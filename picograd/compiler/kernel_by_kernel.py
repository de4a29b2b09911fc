"""The end of a pipeline kernel by kernel: LLVM compiles one while passes still work on the next.

    passes of all kernels   | k0 passes, k0 text | k1 passes, k1 text | … | main
    LLVM, in a thread       |                    | k0                 | k1 …

A pass says with `alone` that it treats each kernel by itself. Those that end a pipeline are run on
one kernel after another, in modules of their own, and each is handed to the device at once. LLVM
holds no lock of Python's, so where a second processor is free, compiling takes as long as the
passes do. What comes out is what the passes would make of all kernels together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsl.dialects.builtin import ModuleOp

from picograd.backends.runtime import Compiling
from picograd.compiler.alone import apart, kernels_of, treats_kernels_alone
from picograd.compiler.driver import count_ops, run_pipeline
from picograd.compiler.records import PassRecord
from picograd.dialects import new_context
from picograd.passes.base import Pass


def split(steps: Sequence[Pass]) -> tuple[Sequence[Pass], Sequence[Pass]]:
    """What runs on the whole module, and what then runs on each kernel alone."""
    end = len(steps)
    while end and treats_kernels_alone(steps[end - 1]):
        end -= 1
    return steps[:end], steps[end:]


def run_kernel_by_kernel(
    module: ModuleOp,
    steps: Sequence[Pass],
    compiling: Compiling,
    *,
    facts: frozenset[str] | None,
    verify: bool,
) -> tuple[PassRecord, ...]:
    """Run passes that treat kernels alone, in place, and hand each kernel over when it is done.

    The records tell of all kernels together. Raises what `run_pipeline` and the device raise.
    """
    context = new_context()
    others = count_ops(module)
    found: list[tuple[PassRecord, ...]] = []
    for kernel in kernels_of(module):
        with apart(kernel) as part:
            found.append(run_pipeline(part, steps, context=context, verify=verify, facts=facts))
            made = kernels_of(part)
        for one in made:
            compiling.kernel(one)
    others -= sum(records[0].ops_before for records in found)
    return tuple(_together(records, others) for records in zip(*found, strict=True))


def _together(records: Sequence[PassRecord], others: int) -> PassRecord:
    """What a pass did to all kernels; there are `others` ops in the module beside them."""
    return replace(
        records[0],
        seconds=sum(record.seconds for record in records),
        verify_seconds=sum(record.verify_seconds for record in records),
        ops_before=others + sum(record.ops_before for record in records),
        ops_after=others + sum(record.ops_after for record in records),
    )
