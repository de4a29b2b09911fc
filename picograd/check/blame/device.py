"""Blaming a device: the passes are right, and what runs is not.

Each kernel runs alone on the device, on the values that the evaluator gives it. Of the first that
differs, the first store that differs is looked for.
"""

from __future__ import annotations

import re
from dataclasses import replace

from xdsl.ir import Operation

from picograd.backends.runtime import device as find_device
from picograd.check.blame.expected import expected
from picograd.check.blame.parts import Part, parts_of
from picograd.check.blame.stores import WrongStore, first_wrong_store, stores_of
from picograd.check.blame.verdict import Blame
from picograd.check.oracle import Case, Failure, examine
from picograd.check.standing import standing
from picograd.compiler.diagnostics import excerpt
from picograd.compiler.executable import compile_module
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.validation.fault import Fault
from picograd.compiler.validation.signature import signature_of
from picograd.dialects.loop import KernelOp, StoreOp
from picograd.errors import PicogradError
from picograd.passes.rewriting.applications import describe
from picograd.semantics.bounds import judge
from picograd.semantics.evaluate import entry_of

_CODE_BEFORE, _CODE_AFTER = 6, 2
"""Lines of generated code that are shown before and after a store."""


def blame_device(case: Case, failure: Failure) -> Blame:
    """What of a device's work is to blame. The case's passes bring its module to loop level."""
    main, *constants = standing(case.module, case.inputs, case.passes, len(case.passes))
    for whole in (*constants, main):  # in the order in which they run
        for part in parts_of(whole.module, whole.inputs):
            found = _failure_of(part, case, failure)
            if found is not None:
                return _blame_kernel(part, found, case.device)
    return Blame(
        failure=failure,
        step=case.device,
        number=0,
        total=0,
        rule=case.device,
        source="",
        op="the kernels together",
        before=_main_of(str(main.module)),
        after="",
        module=main.module,
        inputs=main.inputs,
        on_device=True,
        scope="each kernel is right when it runs alone: look at the memory that they share",
    )


def _failure_of(part: Part, case: Case, failure: Failure) -> Failure | None:
    """What goes wrong when a kernel runs alone, if it is the same as when all do."""
    alone = Case(part.module, part.inputs, Pipeline(()), case.device, case.sanitize)
    found = examine(alone)
    if found is not None:
        return found if found.alike(failure) else None
    if failure.fault != Fault.VALUES:
        return None
    place = find_device(case.device)
    executable = compile_module(part.module, case.device, passes=(), on_disk=False)
    results = executable.run([place.upload(array) for array in part.inputs])
    outputs = [place.download(result) for result in results]
    bounds = expected(part.module, part.inputs, case.device)
    types = signature_of(entry_of(part.module)).results
    excess = judge(bounds, list(types), outputs).first
    if excess is None:
        return None
    return replace(failure, stage=0, detail=str(excess), excess=excess)


def _main_of(text: str) -> str:
    """The function that launches the kernels."""
    start = text.find("func.func")
    return text[text.rfind("\n", 0, start) + 1 :].rstrip("}\n ")


def _blame_kernel(part: Part, failure: Failure, device: str) -> Blame:
    (kernel,) = (op for op in part.module.ops if isinstance(op, KernelOp))
    wrong = first_wrong_store(part, device) if failure.fault == Fault.VALUES else None
    if wrong is None:
        op, scope, shown = kernel, part.label, str(kernel)
    else:
        op, scope, shown = wrong.op, f"{part.label}, {_place(wrong)}", _around(wrong.op)
    return Blame(
        failure=failure,
        step=device,
        number=0,
        total=0,
        rule=f"code for {device}",
        source="",
        op=_computed_by(op),
        before=shown,
        after="",
        module=part.module,
        inputs=part.inputs,
        scope=scope,
        on_device=True,
        code=_code_of(part, device, kernel, wrong),
    )


def _around(op: Operation) -> str:
    """The op and a few lines around it, marked, without the line that says so."""
    return "\n".join(line[2:] for line in excerpt(op).splitlines()[1:])


def _place(wrong: WrongStore) -> str:
    """Which store, in which iteration, and what it should have stored."""
    excess = wrong.excess
    steps = [f"{name} number {n}" for name, n in zip(wrong.loops, excess.index, strict=False)]
    lanes = [f"lane {n}" for n in excess.index[len(wrong.loops) :]]
    where = ", ".join([*steps, *lanes]) or "its only iteration"
    name = wrong.op.memref.name_hint or "?"
    return (
        f"store number {wrong.number + 1}, to %{name}: the first that differs, in {where}: "
        f"expected {excess.expected!r} ± {excess.budget:.3g}, found {excess.found!r}"
    )


def _computed_by(op: Operation) -> str:
    """The op whose value a store stores; a kernel for itself."""
    if not isinstance(op, StoreOp):
        return describe(op)
    owner = op.value.owner
    return describe(owner) if isinstance(owner, Operation) else describe(op)


def _code_of(part: Part, device: str, kernel: KernelOp, wrong: WrongStore | None) -> str:
    """The lines of the generated code around the store; "" where there is none to show."""
    try:
        text = compile_module(part.module, device, passes=(), cached=False).ir("target")
    except PicogradError:
        return ""
    if wrong is None:
        return ""
    lines = text.splitlines()
    name = wrong.op.memref.name_hint
    if device == "cpu":
        start = next((n for n, line in enumerate(lines) if '@"kernel.' in line), 0)
        end = next((n for n in range(start, len(lines)) if lines[n] == "}"), len(lines))
        places = [n for n in range(start, end) if re.search(r"\bstore\b|masked\.store", lines[n])]
        rank = wrong.number
    else:
        assigned = re.compile(rf"^\s*\w+_{re.escape(name or '')}\[.*\] = ")
        places = [n for n, line in enumerate(lines) if assigned.match(line)]
        same = [op for op in stores_of(kernel) if op.memref.name_hint == name]
        rank = same.index(wrong.op)
    if not places:
        return ""
    place = places[min(rank, len(places) - 1)]
    first, last = max(0, place - _CODE_BEFORE), min(len(lines), place + _CODE_AFTER + 1)
    shown = [("> " if n == place else "  ") + lines[n] for n in range(first, last)]
    return "\n".join(shown)
