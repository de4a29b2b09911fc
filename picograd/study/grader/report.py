"""A verdict in one screen."""

from collections.abc import Iterator

from picograd.study.exercises import EXERCISES, Exercise
from picograd.study.grader.grade import Grade

_MOST_LINES = 16
"""Lines of a module that are shown."""

_MOST_CHARACTERS = 160
"""Characters of a line that are shown: a table of numbers may have thousands."""


def report(exercise: Exercise, found: Grade) -> str:
    """What a learner reads after a check."""
    title = f"Exercise {exercise.number}, {exercise.title}"
    if found.solved:
        lines = [f"{title}: solved.", f"  right on {found.programs} programs"]
        lines += _gains(found)
        lines.append(f"  the reference, to compare: picograd exercise solution {exercise.number}")
        if exercise.number < len(EXERCISES):
            lines.append(f"  the next one: picograd exercise start {exercise.number + 1}")
        return "\n".join(lines)
    lines = [f"{title}: not yet. {found.reason[:1].upper()}{found.reason[1:]}."]
    lines += [f"  {line}" for line in found.detail.splitlines()]
    if found.place:
        lines += ["  at " + found.place.replace("\n", "\n  ")]
    if found.inputs:
        lines += ["", "  with", *(f"    {text}" for text in found.inputs)]
    if found.before:
        lines += ["", *_module("before", found.before)]
    if found.after and found.after != found.before:
        lines += ["", *_module("after", found.after)]
    if found.gains:
        lines += [f"  right on {found.programs} programs", *_gains(found)]
    lines += ["", f"  a hint: picograd exercise hint {exercise.number}"]
    return "\n".join(lines)


def _gains(found: Grade) -> Iterator[str]:
    yield f"  {'':16}{'nothing done':>14}{'yours':>12}{'reference':>12}{'gain':>8}"
    for name, gain in found.gains.items():
        numbers = f"{gain.nothing:>14,}{gain.yours:>12,}{gain.reference:>12,}{gain.share:>8.0%}"
        yield f"  {name.replace('_', ' '):16}{numbers}"


def _module(title: str, text: str) -> Iterator[str]:
    lines = text.splitlines()
    yield f"  {title}:"
    for line in lines[:_MOST_LINES]:
        yield f"    {line[:_MOST_CHARACTERS]}" + ("…" if len(line) > _MOST_CHARACTERS else "")
    if len(lines) > _MOST_LINES:
        yield f"    … {len(lines) - _MOST_LINES} more lines"
