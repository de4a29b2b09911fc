"""A module, and the two that it was taken apart into: what they compute is held to be the same."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.hoist_constants import Hoisted
from picograd.compiler.validation.expectation import expect
from picograd.compiler.validation.fault import Fault
from picograd.compiler.validation.signature import signature_of
from picograd.compiler.validation.subject import CANNOT_RUN, Finding, Judgement
from picograd.dialects.literals import Array
from picograd.errors import IndexOutOfRange
from picograd.semantics.accuracy import CPU
from picograd.semantics.bounds import judge
from picograd.semantics.evaluate import entry_of, evaluate


def compare_parts(
    before: ModuleOp, out: Hoisted, module: ModuleOp, inputs: Sequence[Array]
) -> Judgement:
    """How the parts' results on some inputs compare with the whole's.

    The ops are the same, but NumPy's products sum in another order where an operand lies otherwise
    in memory: so results are held to budgets here too.
    """
    function = entry_of(before)
    try:
        expected = expect(function, inputs, CPU)
    except IndexOutOfRange:
        return Judgement()  # which says nothing of the parts
    types = signature_of(function).results
    try:
        kept = evaluate(out.module, [inputs[number] for number in out.reads])
        found = evaluate(module, [*inputs, *kept])
    except CANNOT_RUN as error:
        finding = Finding(Fault.CRASH, "the parts cannot be run", "results", error)
        return Judgement(finding=finding)
    if signature_of(entry_of(module)).results != types:
        message = "the parts give other results"
        results = signature_of(entry_of(module)).results
        return Judgement(finding=Finding(Fault.SIGNATURE, message, types, results))
    report = judge(expected, list(types), found)
    finding = None
    if report.first is not None:
        message = f"result {report.first.output} is another one"
        first = report.first
        finding = Finding(Fault.VALUES, message, first.expected, first.found, first, report.used)
    return Judgement(report.used, report.elements, report.undetermined, finding)
