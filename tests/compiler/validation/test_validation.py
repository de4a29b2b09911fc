"""Validation in use: what is compiled is validated once, reports tell, large modules have twins."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import picograd
from picograd import nn
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import clear_cache, compile_module
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation import validation
from picograd.compiler.validation.error import ValidationError
from picograd.compiler.validation.validation import VARIABLE, is_large
from tests.compiler.validation.spoiling import Spoil

TEXT = """
func.func @main(%x: tensor<NxMxf32>, %w: tensor<MxKxf32>) -> tensor<NxKxf32> {
  %h = pico.matmul %x, %w : tensor<NxMxf32>, tensor<MxKxf32> -> tensor<NxKxf32>
  %y = pico.unary tanh %h : tensor<NxKxf32>
  func.return %y : tensor<NxKxf32>
}
"""


def text(n: int, m: int, k: int) -> str:
    sizes = {"N": n, "M": m, "K": k}
    return "".join(
        str(sizes[c]) if c in sizes and following in ("x", "xx") else c
        for c, following in zip(TEXT, (*TEXT[1:], " "), strict=True)
    )


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    clear_cache()


def test_a_module_is_validated_once() -> None:
    module = parse_module(text(3, 4, 2))
    plain = compile_module(module, "cpu")
    assert plain.report.validation is None
    assert plain.report.checks == ()
    checked = compile_module(module, "cpu", check=True)
    assert checked is not plain
    assert [check.step for check in checked.report.checks] == list(map(str, pipeline("cpu")))
    # It is remembered, and serves those who do not ask for it as well.
    assert compile_module(module, "cpu", check=True) is checked
    assert compile_module(module, "cpu") is checked


def test_the_environment_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module = parse_module(text(3, 4, 2))
    monkeypatch.setenv(VARIABLE, "0")
    assert compile_module(module, "cpu").report.validation is None
    monkeypatch.setenv(VARIABLE, "1")
    checked = compile_module(module, "cpu")
    assert checked.report.validation is not None
    clear_cache()
    assert compile_module(module, "cpu", check=False).report.validation is None


def test_the_environment_may_name_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(ValidationError) as caught:
        compile_module(parse_module(text(3, 4, 2)), "cpu", passes=[Spoil(0)])
    (file,) = tmp_path.iterdir()
    assert str(file) in caught.value.hint


def test_eager_operations_are_validated_too(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Seen(validation.ValidationRun):
        def start(self) -> None:
            seen.append(self)
            super().start()

    monkeypatch.setattr("picograd.compiler.validation.validation.ValidationRun", Seen)
    monkeypatch.setenv(VARIABLE, "1")
    x = picograd.tensor([[0.5, -1.25, 2.0]], device="cpu")
    (x.exp() + x).tolist()
    assert seen


def test_the_report_shows_the_fraction_for_each_pass() -> None:
    report = compile_module(parse_module(text(3, 4, 2)), "cpu", check=True).report
    lines = str(report).splitlines()
    shown = [line for line in lines if "of its budget" in line or line.endswith("unchanged")]
    assert len(shown) == len(report.passes)
    assert any(line.startswith("validated in") for line in lines)
    assert report.validation is not None
    assert 0 < report.validation.used <= 1


def test_compiled_functions_and_modules_are_validated_at_every_version() -> None:
    compiled = picograd.compile(
        nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)), device="cpu", check=True
    )
    for rows in (3, 4):
        compiled(picograd.randn(rows, 6))
        found = compiled.report.validation
        assert found is not None
        assert found.used <= 1
        assert not found.twin

    @picograd.compile(device="cpu", check=True)
    def doubled(x: picograd.Tensor) -> picograd.Tensor:
        return x + x

    assert doubled(picograd.ones(3)).tolist() == [2, 2, 2]
    assert doubled.report.checks


def test_a_wrong_pass_is_one_error() -> None:
    passes = pipeline("cpu").after("canonicalize", Spoil(0))
    compiled = picograd.compile(lambda x: x.exp(), device="cpu", check=True, passes=passes)
    with pytest.raises(ValidationError, match=r"pass spoil changes what @main does"):
        compiled(picograd.ones(3))
    # Without being asked it goes unseen: that is what validation is for.
    silent = picograd.compile(lambda x: x.exp(), device="cpu", passes=passes)
    found = silent(picograd.ones(3)).numpy()
    assert np.all(found > np.e * (1 + 5e-5))


def test_a_large_module_is_validated_on_its_twin() -> None:
    module = parse_module(text(256, 250, 300))
    assert is_large(module)
    report = compile_module(module, "cpu", check=True).report
    assert report.validation is not None
    assert report.validation.twin.startswith("@main: (tensor<")
    assert "256" not in report.validation.twin
    assert "twin" in str(report)
    assert len(report.checks) == len(report.passes)
    passes = pipeline("cpu").after("canonicalize", Spoil(0))
    with pytest.raises(ValidationError, match="smaller twin"):
        compile_module(module, "cpu", check=True, passes=passes)


def test_a_dump_tells_how_the_passes_were_validated(tmp_path: Path) -> None:
    module = parse_module(text(5, 7, 3))
    executable = compile_module(module, "cpu", dump=tmp_path / "checked", check=True)
    index = (tmp_path / "checked" / "index.md").read_text("utf-8")
    assert executable.report.validation is not None
    assert str(executable.report.validation) in index
    compile_module(module, "cpu", dump=tmp_path / "plain")
    assert "validated" not in (tmp_path / "plain" / "index.md").read_text("utf-8")
