"""The killer that is made of pytest files: the repository's own tests."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

import picograd
from picograd.check.mutants.killer import Verdict, fault_of, first_line
from picograd.compiler.validation.fault import Fault
from picograd.quick_dataclasses import dataclass

ROOT = Path(picograd.__file__).parents[1]


@dataclass(frozen=True)
class Tests:
    """Tests of a file, or those of its tests that `only` (pytest's -k) selects.

    `asserts` is what a failing assertion of theirs means.
    """

    file: str
    only: str = ""
    asserts: Fault = Fault.VALUES

    @property
    def kind(self) -> str:
        return "pytest"

    def hunt(self) -> Verdict:
        watch = _Watch()
        chosen = ["-k", self.only] if self.only else []
        quiet = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", f"--rootdir={ROOT}"]
        with contextlib.redirect_stdout(io.StringIO()) as output:
            code = pytest.main([*quiet, *chosen, str(ROOT / self.file)], plugins=[watch])
        if watch.error is None:
            if code == pytest.ExitCode.OK:
                return Verdict(watch.ran)
            return Verdict(watch.ran, Fault.CRASH, self.file, output.getvalue()[-400:])
        fault = fault_of(watch.error)
        if isinstance(watch.error, AssertionError | pytest.fail.Exception):
            fault = self.asserts
        return Verdict(watch.ran, fault, watch.name, first_line(watch.error))

    def __str__(self) -> str:
        return f"`{self.file}`" + (f', `-k "{self.only}"`' if self.only else "")


class _Watch:
    """Counts tests, and keeps what the first failing one raised."""

    def __init__(self) -> None:
        self.ran = 0
        self.name = ""
        self.error: BaseException | None = None

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """A test begins."""
        self.ran += 1

    def pytest_exception_interact(
        self, node: pytest.Item | pytest.Collector, call: pytest.CallInfo[object]
    ) -> None:
        """A test has failed, or cannot be loaded."""
        if call.excinfo is not None and self.error is None:
            self.name, self.error = node.name, call.excinfo.value
