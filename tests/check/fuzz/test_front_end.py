"""Programs of the front end: the same for the same number, right everywhere, told when wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from picograd.check.fuzz import front_end
from picograd.check.fuzz.examiner import Examiner, Plan
from picograd.check.fuzz.front_end import FRONT_END, FrontEndProgram, complaints, draw_front_end
from picograd.check.fuzz.routes import Scope
from picograd.check.fuzz.shorten import FrontEndFailure, fail, settle_front_end, shorten
from picograd.cli.main import main
from picograd.passes import PASSES

SEED = 3


@pytest.mark.parametrize("device", ["reference", "cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_programs_are_right(device: str) -> None:
    examiner = Examiner(Plan(SEED, Scope((device,), PASSES), (FRONT_END,)))
    for number in range(3):
        counts, failures = examiner.examine(number)
        assert not failures, failures
        assert counts.tables["themes"] == {FRONT_END: 1}


def test_programs_are_repeatable_and_varied() -> None:
    programs = [draw_front_end(SEED, number) for number in range(6)]
    assert [draw_front_end(SEED, n).text for n in range(6)] == [p.text for p in programs]
    assert len({program.text for program in programs}) > 4
    assert any("backward" in program.text for program in programs)
    assert any("_(" in program.text or "= " in program.text for program in programs)


def test_a_line_that_crashes_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_end, "_VALUES", ("[].pop()",))
    examiner = Examiner(Plan(SEED, Scope(("cpu",), PASSES), (FRONT_END,)))
    failures = [failure for n in range(4) for failure in examiner.examine(n)[1]]
    assert failures
    for failure in failures:
        assert isinstance(failure, FrontEndFailure)
        finding = failure.finding()
        assert "IndexError" in finding.headline
        assert "[].pop()" in finding.replay
        short = shorten(failure, 60.0).program
        (line,) = short.lines
        assert line.endswith("[].pop()")


def test_only_what_a_difference_needs_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = tuple(np.random.default_rng(n).normal(size=(3, 4)).astype(np.float32) for n in (0, 1))
    lines = (
        "x1 *= 0.5",
        "v1 = x0[1:]",
        "v1.mul_(2.0)",
        "v2 = torch.tanh(x1)",
        "p = v2.detach().clone().requires_grad_()",
        "loss = (p * x1).sum()",
        "loss.backward()",
        "g = p.grad",
    )
    program = FrontEndProgram(2, lines, ("x0", "x1", "v1", "v2", "g"), inputs)
    assert fail(program, "cpu", "it") is None
    real, bound = front_end.run, 1.5 * np.abs(inputs[0][1:]).max()

    def doubling_is_wrong(function: Any, inputs: Any, device: str) -> Any:
        arrays = real(function, inputs, device)
        if device == "cpu" and np.abs(arrays[0][1:]).max() > bound:
            arrays[0] = arrays[-len(inputs)] = arrays[0] + 1
        return arrays

    monkeypatch.setattr(front_end, "run", doubling_is_wrong)
    failure = fail(program, "cpu", "it")
    assert failure is not None
    short = shorten(failure, 60.0)
    assert short.kind == failure.kind
    assert set(short.program.lines) == {"v1 = x0[1:]", "v1.mul_(2.0)"}
    assert short.program.returned == ("x0",)
    assert len(short.program.inputs) == 1
    assert "mul_(2.0)" in settle_front_end(failure, (), 60.0).replay
    assert "tanh" in settle_front_end(failure, (failure.kind,), 60.0).replay


def test_a_difference_is_told() -> None:
    inputs = (np.array([0.25, -1.5], np.float32),)
    traced = [True]

    def function(x):
        return x.clone(), x * (1.0 if traced and traced.pop() else 2.0)

    found = complaints(function, inputs, "cpu")
    assert found[0].startswith("eager on cpu")


def test_a_file_repeats_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = (np.array([0.25, -1.5], np.float32),)
    program = FrontEndProgram(1, ("x0[1:] += 1.0",), ("x0",), inputs)
    script = tmp_path / "case.py"
    script.write_text(program.script("cpu", "Nothing."), encoding="utf-8")
    assert main(["fuzz", "--replay", str(script)]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    wrong = program.script("cpu", "Much.").replace("FOUND =", "FOUND = ['it'] or")
    script.write_text(wrong, encoding="utf-8")
    assert main(["fuzz", "--replay", str(script)]) == 1
    assert "it" in capsys.readouterr().out
