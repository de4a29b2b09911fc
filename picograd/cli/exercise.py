"""`picograd exercise`: passes to write, hints, and a grader that shows where a pass fails."""

import argparse
import json
import time
from pathlib import Path

from picograd.cli.commands import Commands, show_examples
from picograd.cli.files import UsageError
from picograd.cli.grading import SECONDS, grade_file
from picograd.compiler.spelling import nearest
from picograd.study.exercises import EXERCISES, Exercise
from picograd.study.grader.report import report

DEFAULT_FOLDER = "exercises"
STATE = "progress.json"
POLL_SECONDS = 0.5


def add_parser(commands: Commands) -> None:
    """Add `exercise` to the command."""
    parser = commands.add_parser(
        "exercise",
        help="write a pass as an exercise, and have it judged",
        description="Exercises in writing passes. Each begins with a file that says what to do; "
        "the check runs the pass on generated programs, compares what they compute, and counts "
        "what they cost.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for name, run, help_text in (
        ("list", run_list, "what there is, and how far you are"),
        ("start", run_start, "write the file that an exercise begins with"),
        ("check", run_check, "judge your pass"),
        ("hint", run_hint, "one hint more at each call"),
        ("solution", run_solution, "show the reference"),
    ):
        one = actions.add_parser(name, help=help_text, description=help_text)
        if name != "list":
            one.add_argument("exercise", metavar="N", help="the exercise's number, or its name")
        one.add_argument(
            "--dir",
            type=Path,
            default=Path(DEFAULT_FOLDER),
            help="where your files are (%(default)s)",
        )
        one.set_defaults(run=run)
    check = actions.choices["check"]
    check.add_argument("--watch", action="store_true", help="check again whenever the file changes")
    check.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help="stop a pass that runs longer (%(default)s)",
    )
    actions.choices["solution"].add_argument(
        "--yes", action="store_true", help="yes, I want to see it"
    )
    show_examples(
        parser,
        "exercise list",
        "exercise start 1          writes exercises/1-simplify_algebra/simplify_algebra.py",
        "exercise check 1 --watch  judges it whenever you save",
        "exercise hint 1",
        "exercise solution 1 --yes",
    )


def find_exercise(text: str) -> Exercise:
    """The exercise of a number or a name. Raises UsageError for another text."""
    for exercise in EXERCISES:
        if text in (str(exercise.number), exercise.name):
            return exercise
    names = [exercise.name for exercise in EXERCISES]
    raise UsageError(
        f"there is no exercise {text!r}",
        code="PG818",
        expected=f"1 to {len(EXERCISES)}, or one of: {', '.join(names)}",
        found=repr(text),
        hint=nearest(text, names) or "`picograd exercise list` shows them",
    )


def folder_of(exercise: Exercise, arguments: argparse.Namespace) -> Path:
    """Where a learner's files of an exercise are."""
    return arguments.dir / f"{exercise.number}-{exercise.name}"


def file_of(exercise: Exercise, arguments: argparse.Namespace) -> Path:
    """The learner's file. Raises UsageError where the exercise has not been started."""
    file = folder_of(exercise, arguments) / f"{exercise.name}.py"
    if not file.is_file():
        raise UsageError(
            f"exercise {exercise.number} has not been started here",
            code="PG818",
            expected=str(file),
            found="no such file",
            hint=f"picograd exercise start {exercise.number}"
            + (f" --dir {arguments.dir}" if arguments.dir != Path(DEFAULT_FOLDER) else ""),
        )
    return file


def run_list(arguments: argparse.Namespace) -> int:
    """`picograd exercise list`."""
    for exercise in EXERCISES:
        folder = folder_of(exercise, arguments)
        state = _read_state(folder)
        if state.get("solved"):
            status = "solved"
        elif folder.is_dir():
            seen = state.get("hints", 0)
            status = f"started, {seen} of {len(exercise.hints)} hints seen"
        else:
            status = ""
        level = exercise.reference.level_in
        print(f"{exercise.number}  {exercise.title}  ({level} level)")
        print(f"   {exercise.name}" + (f": {status}" if status else ""))
    return 0


def run_start(arguments: argparse.Namespace) -> int:
    """`picograd exercise start N`."""
    exercise = find_exercise(arguments.exercise)
    folder = folder_of(exercise, arguments)
    file = folder / f"{exercise.name}.py"
    if file.exists():
        raise UsageError(
            f"exercise {exercise.number} has been started: {file}",
            code="PG818",
            expected="a folder without it",
            found="your file, which is not overwritten",
            hint="go on with it, or start in another place with --dir",
        )
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(exercise.stub, encoding="utf-8")
    _write_state(folder, {"hints": 0, "solved": False})
    print(f"{file}  says what to do, and is where you do it")
    print(f"picograd exercise check {exercise.number}  judges it")
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    """`picograd exercise check N`: 0 where it is solved, else 1."""
    exercise = find_exercise(arguments.exercise)
    file = file_of(exercise, arguments)
    while True:
        stamp = file.stat().st_mtime_ns
        found = grade_file(exercise, file, arguments.seconds)
        if found.solved:
            folder = folder_of(exercise, arguments)
            _write_state(folder, {**_read_state(folder), "solved": True})
        print(report(exercise, found), flush=True)
        if not arguments.watch or found.solved:
            return 0 if found.solved else 1
        print(f"\n… waiting for {file} to change (Ctrl-C ends)", flush=True)
        wait_for_change(file, stamp)


def wait_for_change(file: Path, stamp: int) -> None:
    """Return as soon as a file has another time stamp; some editors remove it for a moment."""
    while not file.exists() or file.stat().st_mtime_ns == stamp:
        time.sleep(POLL_SECONDS)


def run_hint(arguments: argparse.Namespace) -> int:
    """`picograd exercise hint N`: the hints seen so far by their titles, and the next one whole."""
    exercise = find_exercise(arguments.exercise)
    file_of(exercise, arguments)
    folder = folder_of(exercise, arguments)
    state = _read_state(folder)
    hints = exercise.hints
    seen = min(state.get("hints", 0) + 1, len(hints))
    for number, hint in enumerate(hints[:seen], 1):
        print(f"{number}. {hint if number == seen else hint.partition(chr(10))[0]}")
    left = len(hints) - seen
    print(f"\n{left} more" if left else "\nThat was the last one.")
    _write_state(folder, {**state, "hints": seen})
    return 0


def run_solution(arguments: argparse.Namespace) -> int:
    """`picograd exercise solution N`: the reference, for those who say that they want it."""
    exercise = find_exercise(arguments.exercise)
    if not arguments.yes and not _read_state(folder_of(exercise, arguments)).get("solved"):
        print(f"Exercise {exercise.number} is not solved yet. To see the reference all the same:")
        print(f"picograd exercise solution {exercise.number} --yes")
        return 1
    print(exercise.solution, end="")
    return 0


def _read_state(folder: Path) -> dict[str, int]:
    """How far a learner is; nothing where there is no such file."""
    try:
        state: dict[str, int] = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UsageError(
            f"cannot read {folder / STATE}",
            code="PG818",
            expected="what `picograd exercise` wrote there",
            found=str(error),
            hint="remove the file; it only remembers which hints you have seen",
        ) from error
    return state


def _write_state(folder: Path, state: dict[str, int]) -> None:
    (folder / STATE).write_text(json.dumps(state) + "\n", encoding="utf-8")
