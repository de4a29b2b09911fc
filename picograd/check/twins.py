"""The twin of a case: the same program, passes and device, so small that it is quickly examined.

    for small in twins(case):
        failure = examine(small.case)

Blame and reduction examine a case ten times and more. Of a large module each time takes minutes, so
they look at its twin first (`compiler.validation.twin`: dimensions and tiles are shrunk together),
and at the module itself only where nothing goes wrong there, or something else does.
"""

from collections.abc import Iterator
from dataclasses import replace

from picograd.check.oracle import Case, Failure, rest_from
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.validation.fault import Fault
from picograd.compiler.validation.resize import first_elements
from picograd.compiler.validation.signature import signature_of
from picograd.compiler.validation.single_nans import sets_of_inputs
from picograd.compiler.validation.twin import twin
from picograd.compiler.validation.validation import is_large
from picograd.errors import PicogradError
from picograd.passes.base import level_of
from picograd.quick_dataclasses import dataclass
from picograd.semantics.counters import count
from picograd.semantics.evaluate import entry_of

_WORTH = 0.5
"""A twin that asks for more than this share of the module's work is not looked at."""


@dataclass(frozen=True)
class OnTwin:
    """A case on the twin of a large module."""

    case: Case
    original: Case
    """The case on the module itself, with the same passes at their full size."""

    def __str__(self) -> str:
        return str(signature_of(entry_of(self.case.module)))

    def may_stand_for(self, failure: Failure) -> bool:
        """Whether what goes wrong on the twin may go wrong in the module, as passes alone tell.

        A pass that crashes on the one must crash on the other; nothing is evaluated for that.
        """
        if failure.fault is Fault.INVALID:
            return True  # found by the verifier, or not before something is evaluated
        passes = self.original.passes
        try:
            run_pipeline(self.original.module.clone(), passes[: failure.stage + 1], facts=None)
        except PicogradError:
            return failure.fault is Fault.CRASH and failure.stage < len(passes)
        return failure.fault is not Fault.CRASH or failure.stage == len(passes)


def twins(case: Case) -> Iterator[OnTwin]:
    """The case on its module's twin: on its inputs, cut, then on others that are drawn.

    None for a module that is small itself, or that has no twin to speak of. The passes that the
    device needs beyond those of the case are among the twin's, to be shrunk with the others.
    """
    if not is_large(case.module):
        return
    level = case.passes[-1].level_out if case.passes else level_of(case.module)
    rest = () if case.device == "reference" else rest_from(level, case.device)
    passes = Pipeline((*case.passes, *rest))
    small = twin(case.module, passes)
    if count(small.module).operations > _WORTH * count(case.module).operations:
        return
    types = signature_of(entry_of(small.module)).inputs
    cut = [first_elements(a, type.get_shape()) for a, type in zip(case.inputs, types, strict=True)]
    for inputs in (cut, *sets_of_inputs(small.module, 0)):
        shrunk = replace(case, module=small.module, inputs=tuple(inputs), passes=small.passes)
        yield OnTwin(shrunk, replace(case, passes=passes))
