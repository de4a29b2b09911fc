"""Judging a learner's pass: does it keep the meaning, and does it gain what the reference gains?"""

import traceback
from collections.abc import Mapping
from dataclasses import field

from picograd.check.meaning import Counterexample, counterexample
from picograd.compiler.validation.error import inputs_in_lines
from picograd.compiler.validation.fault import Fault
from picograd.errors import PicogradError
from picograd.passes import Pass
from picograd.quick_dataclasses import dataclass
from picograd.semantics.evaluate import entry_of
from picograd.study.exercises import Exercise

NOT_LOADED = "it could not be loaded"
ENDLESS = "it does not come to an end"
NO_GAIN = "it gains nothing"
LITTLE_GAIN = "it gains too little"
SOLVED = "solved"


@dataclass(frozen=True)
class Gain:
    """One counter, over all programs that are measured."""

    nothing: int
    """Of the programs as they are."""
    yours: int
    reference: int

    @property
    def share(self) -> float:
        """What part of the reference's gain there is."""
        return (self.nothing - self.yours) / (self.nothing - self.reference)


@dataclass(frozen=True)
class Grade:
    """A verdict. `detail` explains it; a counterexample and gains where it came to them."""

    reason: str
    detail: str = ""
    place: str = ""
    """The learner's line that raised, or at which time ran out."""
    before: str = ""
    after: str = ""
    inputs: tuple[str, ...] = ()
    programs: int = 0
    gains: Mapping[str, Gain] = field(default_factory=dict[str, Gain])

    @property
    def solved(self) -> bool:
        return self.reason == SOLVED


def grade(exercise: Exercise, step: Pass, file: str = "") -> Grade:
    """Judge a pass. `file` is where it stands, to point at a line of it that raises."""
    programs = exercise.programs()
    for program in programs:
        found = counterexample(step, program, exercise.rule)
        if found is not None:
            return _spoiled(found, file)
    nothing, reference = exercise.cost(None), exercise.cost(exercise.reference)
    try:
        yours = exercise.cost(step)
    except PicogradError as error:
        return Grade(Fault.CRASH, str(error), place_in(error, file))
    gains = {
        name: Gain(getattr(nothing, name), getattr(yours, name), getattr(reference, name))
        for name in exercise.measures
    }
    least = min(gains, key=lambda name: gains[name].share)
    share = gains[least].share
    words = least.replace("_", " ")
    if share <= 0:
        reason, detail = NO_GAIN, f"{words}: as many as without it, or more"
    elif share < exercise.least:
        reason = LITTLE_GAIN
        detail = (
            f"{words}: {share:.0%} of what the reference saves, and {exercise.least:.0%} is due"
        )
    else:
        reason, detail = SOLVED, ""
    return Grade(reason, detail, programs=len(programs), gains=gains)


def _spoiled(found: Counterexample, file: str) -> Grade:
    return Grade(
        found.fault,
        found.detail,
        place_in(found.error, file),
        str(found.before),
        str(found.after) if found.after is not None else "",
        tuple(inputs_in_lines(entry_of(found.program.module), found.program.inputs)),
    )


def place_in(error: BaseException | None, file: str) -> str:
    """The last line of a file that an error, or what caused it, came through."""
    while error is not None:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        if frames:
            return f"{file}:{frames[-1].lineno}\n    {frames[-1].line}"
        error = error.__cause__
    return ""
