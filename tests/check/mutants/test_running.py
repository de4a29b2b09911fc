"""How runs are judged, and how they come back from another process."""

from dataclasses import replace

import pytest

from picograd.check.mutants.__main__ import main
from picograd.check.mutants.killer import Verdict, fault_of
from picograd.check.mutants.mutant import Mutant
from picograd.check.mutants.running import LIMIT, Run, by_killer, run_all, run_apart, run_here
from picograd.check.mutants.table import MUTANTS
from picograd.compiler.validation.fault import Fault
from picograd.errors import PassError, VerificationError

SLICES = MUTANTS["slice_stride_lost"]
DIED = Verdict(3, Fault.VALUES, "canonicalize", "wrong")


def test_a_mutant_dies_as_expected_or_it_is_a_problem() -> None:
    assert Run(SLICES, DIED, 1.0).problem == ""
    assert "survived 9 cases" in Run(SLICES, Verdict(9), 1.0).problem
    assert "CRASH, not VALUES" in Run(SLICES, replace(DIED, fault=Fault.CRASH), 1.0).problem
    assert "blamed on dce" in Run(SLICES, replace(DIED, culprit="dce"), 1.0).problem
    assert "processor time" in Run(SLICES, DIED, LIMIT + 1).problem


def test_a_control_must_find_nothing() -> None:
    assert Run(SLICES, Verdict(9), 1.0, control=True).problem == ""
    assert "where nothing is wrong" in Run(SLICES, DIED, 1.0, control=True).problem


def test_a_run_here_and_in_another_process_say_the_same() -> None:
    here, apart = run_here(SLICES), run_apart(SLICES)
    assert here.problem == apart.problem == ""
    assert here.verdict == apart.verdict
    assert run_here(SLICES, control=True).problem == ""


def test_a_process_that_fails_is_a_crash() -> None:
    run = run_apart(replace(SLICES, name="nowhere"))
    assert run.verdict.fault == Fault.CRASH
    assert "the process ended with 2" in run.verdict.detail


def test_each_killer_is_its_own_control_once() -> None:
    other = replace(SLICES, name="another")
    assert by_killer([SLICES, other]) == [SLICES]
    seen: list[tuple[str, bool]] = []

    def run(mutant: Mutant, *, control: bool) -> Run:
        seen.append((mutant.name, control))
        return Run(mutant, Verdict(1), 0.0, control)

    assert len(list(run_all([SLICES, other], control=True, jobs=1, run=run))) == 3
    assert seen == [(SLICES.name, False), ("another", False), (SLICES.name, True)]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (AssertionError("no"), Fault.VALUES),
        (VerificationError("no", hint="h"), Fault.INVALID),
        (PassError("no", hint="h"), Fault.INVALID),
        (KeyError("no"), Fault.CRASH),
    ],
)
def test_exceptions_are_faults(error: BaseException, fault: Fault) -> None:
    assert fault_of(error) == fault


def test_the_command_runs_one_and_knows_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--no-control", SLICES.name]) == 0
    assert "1 of 1 mutants died as expected" in capsys.readouterr().out
    assert main(["--list"]) == 0
    assert SLICES.wrong in capsys.readouterr().out
    assert main(["slices"]) == 2
    assert "--list" in capsys.readouterr().err
