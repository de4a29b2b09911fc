"""The search: which pass, which application of it; or which kernel, which store of it.

What LLVM's `-opt-bisect-limit` and debug counters let a person do by hand: transformations ask
whether they may go on, and the number at which they must stop is found by bisection.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace

from xdsl.dialects.builtin import ModuleOp

from picograd.check.blame.device import blame_device
from picograd.check.blame.difference import difference
from picograd.check.blame.parts import Part, parts_inside, parts_of
from picograd.check.blame.prefix import counting
from picograd.check.blame.verdict import Blame
from picograd.check.oracle import Case, Failure, examine, rest
from picograd.check.standing import standing
from picograd.check.twins import twins
from picograd.compiler.driver import run_pipeline
from picograd.compiler.hoist_constants import NAME_OF_STEP, hoist_constants
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.validation.fault import Fault
from picograd.errors import PicogradError
from picograd.passes import Level, Pass, level_of
from picograd.passes.rewriting.applications import Application, Applications
from picograd.quick_dataclasses import dataclass


def blame(case: Case, failure: Failure | None = None) -> Blame | None:
    """Who is to blame for what goes wrong in a case; None when nothing does.

    `failure` is what an examination of the case has found, if there was one. The passes that a
    device needs beyond those of the case are looked at as well. A large module is looked at in its
    twin, as long as the same goes wrong there. Raises PipelineError for passes in an order that
    their declarations forbid.
    """
    for small in twins(case):
        found = examine(small.case)
        if found is None or (failure is not None and not found.alike(failure)):
            continue
        if small.may_stand_for(found):
            return replace(_blame(small.case, found), twin=str(small))
    failure = failure or examine(case)
    return None if failure is None else _blame(case, failure)


def _blame(case: Case, failure: Failure) -> Blame:
    if failure.culprit == NAME_OF_STEP:
        return _blame_hoisting(case, failure)
    if failure.stage == len(case.passes):
        case = _with_rest(case)
        failure = examine(case) or replace(failure, stage=len(case.passes))
        if failure.stage == len(case.passes):
            return blame_device(case, failure)
    return _blame_pass(case, failure)


def _with_rest(case: Case) -> Case:
    """The case with the passes that the device runs after those that were asked for."""
    left = standing(case.module, case.inputs, case.passes, len(case.passes))[0].module
    return replace(case, passes=Pipeline((*case.passes, *rest(left, case.device))))


def _blame_hoisting(case: Case, failure: Failure) -> Blame:
    """What is taken out of a module, by no pass, means something else."""
    head = case.passes[: failure.stage]
    (whole,) = standing(case.module, case.inputs, head, failure.stage)
    parts = standing(case.module, case.inputs, case.passes, failure.stage)
    return Blame(
        failure=failure,
        step=NAME_OF_STEP,
        number=0,
        total=0,
        rule=NAME_OF_STEP,
        source=_source_of(hoist_constants),
        op="what kept arguments alone decide",
        before=str(whole.module),
        after="\n".join(str(part.module) for part in parts),
        module=whole.module,
        inputs=whole.inputs,
        scope="what is run in every call, then what computes its last arguments",
    )


@dataclass(frozen=True)
class _Trial:
    """A pass on the module that it is wrong about: `module` stands before the pass."""

    case: Case
    failure: Failure
    step: Pass
    module: ModuleOp

    def run(self, limit: int | None) -> tuple[Failure | None, Applications]:
        """What goes wrong when the pass makes so many rewrites."""
        applications = Applications(limit)
        steps = list(self.case.passes)
        steps[self.failure.stage] = counting(self.step, applications)
        return examine(replace(self.case, passes=Pipeline(steps))), applications

    def failure_at(self, limit: int) -> Failure | None:
        """The failure that is looked for, if so many rewrites bring it about; None if not."""
        found, _ = self.run(limit)
        return found if found is not None and found.alike(self.failure) else None

    def text_at(self, limit: int | None) -> str:
        """The module after so many rewrites of the pass; "" where it crashes."""
        module = self.module.clone()
        try:
            run_pipeline(module, [counting(self.step, Applications(limit))], facts=None)
        except PicogradError:
            if self.failure.fault == Fault.CRASH:
                return ""
        return str(module)


def _blame_pass(case: Case, failure: Failure) -> Blame:
    trial = _trial(case, failure)
    _, whole = trial.run(None)
    first = trial.failure_at(0)
    if first is not None:
        return _blame_part(trial) or _as_a_whole(trial, first, whole)
    number, found = _shortest(trial, whole.count)
    if found is None:
        # Everything that was counted is right: the fault lies in what comes after the last one.
        if failure.fault != Fault.CRASH:
            return _as_a_whole(trial, failure, whole)
        found, application = failure, whole.last
    else:
        application = trial.run(number)[1].last
    if application is None:
        return _as_a_whole(trial, failure, whole)
    return _one_rewrite(trial, found, application, max(number, whole.count))


def _trial(case: Case, failure: Failure) -> _Trial:
    """The failing pass alone, on the module before it, where that is enough; else with all."""
    upto = replace(case, passes=Pipeline(case.passes[: failure.stage + 1]), device="reference")
    step = case.passes[failure.stage]
    stands = standing(case.module, case.inputs, case.passes, failure.stage)
    part = stands[-1 if failure.of_constants else 0]
    alone = Case(part.module, part.inputs, Pipeline((step,)))
    found = examine(alone)
    if found is not None and found.alike(failure):
        return _Trial(alone, found, step, part.module)
    return _Trial(upto, failure, step, part.module)


def _shortest(trial: _Trial, total: int) -> tuple[int, Failure | None]:
    """A number of rewrites that fails, though one less does not; and how it fails.

    None for the failure where all that are counted do not bring it about; then one more does.
    """
    found = trial.failure_at(total)
    if found is None:
        return total + 1, None
    right, wrong = 0, total
    while wrong - right > 1:
        middle = (right + wrong) // 2
        failure = trial.failure_at(middle)
        if failure is None:
            right = middle
        else:
            wrong, found = middle, failure
    return wrong, found


def _one_rewrite(trial: _Trial, failure: Failure, application: Application, total: int) -> Blame:
    number = application.number
    before, after = trial.text_at(number - 1), trial.text_at(number)
    shown = difference(before, after) if after else (_around(trial, failure, before), "")
    return Blame(
        failure=failure,
        step=str(trial.step),
        number=number,
        total=total,
        rule=application.name,
        source=application.source,
        op=application.op,
        before=shown[0],
        after=shown[1],
        module=trial.module,
        inputs=trial.case.inputs,
    )


_LINES_OF_IR = 14


def _around(trial: _Trial, failure: Failure, before: str) -> str:
    """Where a crash happened: what its error shows of the IR, else how the module begins."""
    where = str(getattr(failure.error, "where", "") or "")
    lines = textwrap.dedent(where.removeprefix("in the IR:\n") or before).splitlines()
    more = [f"… {len(lines) - _LINES_OF_IR} more lines"] if len(lines) > _LINES_OF_IR else []
    return "\n".join([*lines[:_LINES_OF_IR], *more])


def _as_a_whole(trial: _Trial, failure: Failure, applications: Applications) -> Blame:
    """The pass, of which no single rewrite could be told."""
    before, after = str(trial.module), trial.text_at(None)
    shown = difference(before, after) if after else (_around(trial, failure, before), "")
    scope = "the pass as a whole: its steps are not counted"
    if applications.count:
        scope = f"the pass beside its {applications.count} counted steps"
    return Blame(
        failure=failure,
        step=str(trial.step),
        number=0,
        total=applications.count,
        rule=trial.step.name,
        source=_source_of(type(trial.step)),
        op=f"modules of {level_of(trial.module)} level",
        before=shown[0],
        after=shown[1],
        module=trial.module,
        inputs=trial.case.inputs,
        scope=scope,
    )


def _source_of(rule: Callable[..., object]) -> str:
    """Where a pass is written."""
    return Application(0, rule, "").source


_DOWN_TO: Mapping[Level, str] = {
    Level.KERNEL: "outline_kernels",
    Level.BUFFER: "outline_kernels,lower_kernels_to_buffers",
}
"""What makes a kernel of a tensor op, at the levels where kernels hold such ops."""


def _blame_part(trial: _Trial) -> Blame | None:
    """The first op or kernel that the pass spoils even when nothing else is in the module.

    Of a kernel, the first op in it that it spoils even when nothing else is in the kernel.
    """
    for part in parts_of(trial.module, trial.case.inputs):
        found = _failure_of(trial, part)
        if found is None:
            continue
        down = _DOWN_TO.get(level_of(part.module))
        for inner in parts_inside(part, as_passes(down)) if down is not None else ():
            deeper = _failure_of(trial, inner)
            if deeper is not None:
                return _spoiled(trial, inner, deeper)
        return _spoiled(trial, part, found)
    return None


def _failure_of(trial: _Trial, part: Part) -> Failure | None:
    """What the pass does wrong to a part, if it is the same as it does to the whole."""
    found = examine(Case(part.module, part.inputs, Pipeline((trial.step,))))
    return found if found is not None and found.alike(trial.failure) else None


def _spoiled(trial: _Trial, part: Part, failure: Failure) -> Blame:
    case = Case(part.module, part.inputs, Pipeline((trial.step,)))
    before, after = str(part.module), _Trial(case, failure, trial.step, part.module).text_at(None)
    if after and not trial.step.is_lowering():
        before, after = difference(before, after)
    return Blame(
        failure=failure,
        step=str(trial.step),
        number=0,
        total=0,
        rule=trial.step.name,
        source=_source_of(type(trial.step)),
        op=part.op,
        before=_cut(before),
        after=_cut(after),
        module=part.module,
        inputs=part.inputs,
        scope=f"{part.label}, alone in a module, on what it is given there",
    )


_LINES_OF_A_PART = 48


def _cut(text: str) -> str:
    lines = text.splitlines()
    if len(lines) <= _LINES_OF_A_PART:
        return text
    return "\n".join([*lines[:_LINES_OF_A_PART], f"… {len(lines) - _LINES_OF_A_PART} more lines"])
