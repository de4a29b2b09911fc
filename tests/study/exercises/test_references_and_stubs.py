"""Each reference solves its exercise; each stub is a good start, and no solution."""

import runpy

import pytest

from picograd.backends.runtime import device as find_device
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.passes import Pass
from picograd.semantics.accuracy import ACCURACY
from picograd.semantics.bounds import compare
from picograd.study.exercises import EXERCISES, Exercise
from picograd.study.grader.grade import NO_GAIN, SOLVED, grade
from picograd.study.grader.report import report


def stub_of(exercise: Exercise) -> type[Pass]:
    """The pass in an exercise's stub, which is called like the one in the reference."""
    names = runpy.run_path(str(exercise.folder / "stub.py"))
    return names[type(exercise.reference).__name__]


def test_exercises_are_numbered_and_named() -> None:
    assert [exercise.number for exercise in EXERCISES] == [1, 2, 3, 4]
    for exercise in EXERCISES:
        assert exercise.reference.name == exercise.name == exercise.folder.name
        assert stub_of(exercise).name == exercise.name
        assert stub_of(exercise).level_in == exercise.reference.level_in
        assert len(exercise.hints) >= 3
        assert all(len(hint.splitlines()) > 1 for hint in exercise.hints)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)
def test_the_reference_solves_the_exercise(exercise: Exercise) -> None:
    found = grade(exercise, exercise.reference)
    assert found.reason == SOLVED, report(exercise, found)
    assert found.programs >= 40
    assert all(gain.share == 1 for gain in found.gains.values())
    assert all(gain.reference < 0.9 * gain.nothing for gain in found.gains.values())
    assert "solved" in report(exercise, found)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)
def test_the_stub_gains_nothing(exercise: Exercise) -> None:
    found = grade(exercise, stub_of(exercise)())
    assert found.reason == NO_GAIN
    text = report(exercise, found)
    assert "It gains nothing" in text
    assert len(text.splitlines()) < 12


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)
def test_the_example_of_the_stub_is_what_the_reference_does(exercise: Exercise) -> None:
    docs = exercise.docs
    module = parse_module(docs.before)
    run_pipeline(module, [exercise.reference], facts=None)
    assert str(module) == str(parse_module(docs.after))


def test_programs_are_the_same_at_every_run() -> None:
    for exercise in EXERCISES:
        first, again = exercise.programs(), exercise.programs()
        assert [str(one.module) for one in first] == [str(one.module) for one in again]


PLACES = {
    "simplify_algebra": "canonicalize",
    "swap_linear_relu": "outline_kernels",
    "relu_in_place": "lower_kernels_to_buffers",
    "place_buffers": "lower_kernels_to_buffers",
}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)
def test_the_reference_runs_in_the_real_pipeline(exercise: Exercise) -> None:
    passes = (
        pipeline("cpu").without("reuse_in_place").after(PLACES[exercise.name], exercise.reference)
    )
    place = find_device("cpu")
    for program in exercise.programs()[::9]:
        executable = compile_module(program.module, "cpu", passes=passes)
        outputs = executable.run([place.upload(array) for array in program.inputs])
        found = [place.download(output) for output in outputs]
        report = compare(program.module, program.inputs, found, ACCURACY["cpu"])
        assert not report.excesses, f"{report}\n{program.module}"
