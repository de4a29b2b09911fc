"""A module, and the two that it was taken apart into: what they compute is the same, bit by bit."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.hoist_constants import Hoisted
from picograd.compiler.validation.error import in_one_line
from picograd.compiler.validation.fault import Fault
from picograd.compiler.validation.subject import CANNOT_RUN, Finding
from picograd.dialects.literals import Array
from picograd.errors import PicogradError
from picograd.semantics.evaluate import evaluate


def compare_parts(
    before: ModuleOp, out: Hoisted, module: ModuleOp, inputs: Sequence[Array]
) -> tuple[int, Finding | None]:
    """How many elements were compared on some inputs, and the first difference.

    The same ops compute the same, so no budget is needed: nothing may differ.
    """
    try:
        expected = evaluate(before, inputs)
    except PicogradError:
        return 0, None  # an index out of range, which says nothing of the parts
    try:
        kept = evaluate(out.module, [inputs[number] for number in out.reads])
        found = evaluate(module, [*inputs, *kept])
    except CANNOT_RUN as error:
        return 0, Finding(Fault.CRASH, "the parts cannot be run", "results", error)
    elements = sum(array.size for array in expected)
    if len(found) != len(expected):
        message = "there are more results than before, or fewer"
        return elements, Finding(Fault.SIGNATURE, message, len(expected), len(found))
    for number, (one, other) in enumerate(zip(expected, found, strict=True)):
        if one.dtype != other.dtype or one.shape != other.shape or one.tobytes() != other.tobytes():
            message = f"result {number} is another one"
            return elements, Finding(Fault.VALUES, message, in_one_line(one), in_one_line(other))
    return elements, None
