"""Grading in a process of its own, with a limit on its time and on its memory.

A learner's pass may run forever, or make ops until memory is full. The child stops itself when its
time is over and leaves its stack behind, from which the parent reads at which line it was.
"""

import argparse
import faulthandler
import json
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from picograd.cli.files import UsageError
from picograd.cli.own_passes import load_passes
from picograd.errors import PicogradError
from picograd.study.exercises import EXERCISES, Exercise
from picograd.study.grader.grade import ENDLESS, NOT_LOADED, Gain, Grade, grade, place_in

SECONDS = 120
"""How long all programs together may take."""

_MEMORY = 8 * 2**30
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


def grade_file(exercise: Exercise, file: Path, seconds: float = SECONDS) -> Grade:
    """Judge the pass in a file, in a child process."""
    path = file.resolve()
    with TemporaryDirectory() as folder:
        result, stack = Path(folder) / "grade.json", Path(folder) / "stack.txt"
        words = [str(exercise.number), str(path), str(result), str(stack), str(seconds)]
        done = subprocess.run(
            [sys.executable, "-m", "picograd.cli.grading", *words],
            check=False,
            capture_output=True,
            text=True,
        )
        if result.is_file():
            return _read(result)
        left = stack.read_text(encoding="utf-8") if stack.is_file() else ""
        if left:
            return Grade(ENDLESS, f"stopped after {seconds:g} seconds", _line_of(left, path))
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Grade(NOT_LOADED, f"the process ended with status {done.returncode}: {last}")


def _read(file: Path) -> Grade:
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    data["inputs"] = tuple(data["inputs"])
    data["gains"] = {name: Gain(**numbers) for name, numbers in data["gains"].items()}
    return Grade(**data)


def _line_of(stack: str, path: Path) -> str:
    """The innermost line of the file in a stack, which lists the innermost frame first."""
    for frame in _FRAME.finditer(stack):
        if frame["file"] == str(path):
            number = int(frame["line"])
            lines = path.read_text(encoding="utf-8").splitlines()
            text = lines[number - 1].strip() if number <= len(lines) else ""
            return f"{path}:{number}\n    {text}"
    return ""


def child(words: Sequence[str]) -> int:
    """What the child process runs."""
    parser = argparse.ArgumentParser()
    for name in ("number", "file", "result", "stack", "seconds"):
        parser.add_argument(name)
    given = parser.parse_args(words)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    with Path(given.stack).open("w", encoding="utf-8") as stack:
        faulthandler.dump_traceback_later(float(given.seconds), exit=True, file=stack)
        found = _graded(EXERCISES[int(given.number) - 1], given.file)
        faulthandler.cancel_dump_traceback_later()
    Path(given.result).write_text(json.dumps(asdict(found)), encoding="utf-8")
    return 0


def _graded(exercise: Exercise, file: str) -> Grade:
    try:
        known = load_passes([file])
        if exercise.name not in known:
            raise UsageError(
                f"{Path(file).name} defines no pass called {exercise.name}",
                code="PG711",
                expected=f'a pass with name = "{exercise.name}"',
                found="passes of other names",
                hint="keep the name that the class had at the start",
            )
        step = known[exercise.name]()
    except PicogradError as error:
        return Grade(NOT_LOADED, str(error))
    except (SystemExit, TypeError) as error:
        return Grade(NOT_LOADED, f"{type(error).__name__}: {error}", place_in(error, file))
    return grade(exercise, step, file)


if __name__ == "__main__":
    raise SystemExit(child(sys.argv[1:]))
