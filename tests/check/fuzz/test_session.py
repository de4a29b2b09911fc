"""Whole runs, in processes of their own: faults are found, kept once, and survived."""

import json
from pathlib import Path

import pytest

from picograd.check.fuzz.findings import Finding, Findings
from picograd.cli.main import main

WRONG = '''
import os
from dataclasses import dataclass
from typing import ClassVar
from xdsl.dialects.func import ReturnOp
from picograd.dialects.tensor import UnaryOp
from picograd.dialects.dtypes import dtype_of, type_of
from picograd.passes import Level, Pass


@dataclass(frozen=True)
class Wrong(Pass):
    """Does to the function's first result, if it is of float32, what its option says."""

    name = "wrong"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR
    how: str = "negate"

    def apply(self, ctx, op):
        for end in [o for o in op.walk() if isinstance(o, ReturnOp)]:
            value = end.operands[0]
            if dtype_of(type_of(value)).name != "float32":
                continue
            if self.how == "abort":
                os.abort()
            if self.how == "hang":
                while True:
                    pass
            if self.how == "raise":
                raise KeyError("what")
            negated = UnaryOp("neg", value)
            end.parent_block().insert_op_before(negated, end)
            end.operands[0] = negated.result
'''


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.py"
    path.write_text(WRONG, encoding="utf-8")
    return path


def fuzz(folder: Path, *words: str) -> int:
    out = ["-o", str(folder / "found"), "--json", str(folder / "counts.json"), "--jobs", "1"]
    return main(["fuzz", "--seed", "5", "--devices", "reference", *out, *words])


def test_a_wrong_pass_is_found_made_small_and_repeated_from_its_file(
    wrong: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load = ["--load", str(wrong)]
    assert fuzz(tmp_path, *load, "--passes", "wrong", "--themes", "views", "--cases", "4") == 1
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts["programs"] == 4
    assert counts["counts"]["passes"]["wrong"] == 4
    assert sum(counts["counts"]["failures"].values()) > 0
    file, *others = (Path(name) for name in counts["failures"].values())
    assert {file, *others} == set((tmp_path / "found").iterdir())
    text = file.read_text("utf-8")
    assert "// failure: VALUES in wrong" in text
    assert text.count(" = pico.") <= 2, text
    printed = capsys.readouterr()
    assert "FOUND VALUES in wrong" in printed.out
    assert f"picograd fuzz --replay {file}" in printed.err
    assert main(["fuzz", "--replay", str(file)]) == 1, "the file tells what to load"
    assert "VALUES in wrong" in capsys.readouterr().out
    wrong.write_text(WRONG.replace("= negated.result", "= value"), encoding="utf-8")
    assert main(["fuzz", "--replay", str(file)]) == 0
    assert "nothing is wrong" in capsys.readouterr().out


@pytest.mark.parametrize(("how", "says"), [("abort", "SIGABRT"), ("hang", "it hangs")])
def test_a_case_that_ends_or_holds_its_process_is_kept_and_the_run_goes_on(
    how: str, says: str, wrong: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["--load", str(wrong), "--passes", f"wrong{{how={how}}}", "--themes", "views"]
    assert fuzz(tmp_path, *wanted, "--cases", "2", "--case-seconds", "3") == 1
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts["programs"] == 2
    (kind,) = counts["failures"]
    assert kind.startswith("CRASH in wrong")
    assert says in kind
    text = next((tmp_path / "found").iterdir()).read_text("utf-8")
    assert f'// failure: CRASH in wrong{{how="{how}"}}' in text
    assert "wrong.py" in text, "where it was, from the log of the process"
    if how == "abort":
        assert "made small" in text
        assert text.count(" = pico.") <= 1, text


def test_an_exception_is_a_failure_of_where_it_arose(wrong: Path, tmp_path: Path) -> None:
    wanted = ["--load", str(wrong), "--passes", "wrong{how=raise}", "--themes", "views"]
    assert fuzz(tmp_path, *wanted, "--cases", "1") == 1
    (kind,) = json.loads((tmp_path / "counts.json").read_text())["failures"]
    assert kind == "CRASH in wrong: KeyError in apply of wrong.py"


def test_a_run_in_which_nothing_is_wrong_ends_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fuzz(tmp_path, "--cases", "3", "--themes", "scalars") == 0
    printed = capsys.readouterr().out
    assert "fuzz: seed 5, devices reference" in printed
    assert "named" not in printed, "no pass was"
    assert not (tmp_path / "found").exists()
    assert main(["fuzz", "--seed", "5", "--only", "2", "--devices", "reference"]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--devices", "tpu"], "tpu"),
        (["--devices", ","], "none"),
        (["--themes", "weather"], "weather"),
        (["--passes", "no_such_pass"], "no_such_pass"),
        (["--minutes", "0"], "--minutes"),
        (["--cases", "-1"], "--cases"),
        (["--jobs", "0"], "--jobs"),
        (["--replay", "/no/such/file"], "cannot read"),
    ],
)
def test_mistakes_are_explained(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fuzz", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "help:" in error


def test_a_family_is_saved_once_and_no_file_is_overwritten(tmp_path: Path) -> None:
    for _ in range(2):
        findings = Findings(tmp_path)
        first = findings.add(Finding("VALUES in a", "VALUES in a: r on o", "", "", "text"))
        assert findings.add(Finding("VALUES in a", "VALUES in a: r on o", "", "", "text")) is None
        assert findings.add(Finding("VALUES in a", "VALUES in a: q on o", "", "", "text"))
        assert first is not None
        assert first.read_text() == "text"
        assert findings.counted.total() == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "values-in-a-q-on-o-2.mlir",
        "values-in-a-q-on-o.mlir",
        "values-in-a-r-on-o-2.mlir",
        "values-in-a-r-on-o.mlir",
    ]


def test_after_enough_of_a_kind_nobody_looks_into_it(tmp_path: Path) -> None:
    findings = Findings(tmp_path)
    for number in range(12):
        findings.add(Finding("VALUES in a", f"VALUES in a: {number}", "", "", ""))
    assert "VALUES in a" in findings.known
    assert findings.add(Finding("VALUES in a", "VALUES in a", "", "", "")) is None
