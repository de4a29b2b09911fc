"""The passes of docs/examples and their model; what is wrong with each, their guide shows."""

from pathlib import Path

import pytest

import picograd
from picograd.check.oracle import Case, examine
from picograd.check.reduce.reducer import count_ops
from picograd.cli.dump import default_device, find_target
from picograd.cli.own_passes import load_passes
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pass_list import as_passes
from picograd.compiler.validation.fault import Fault
from picograd.compiler.validation.inputs import draw_inputs

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def test_the_model_is_what_tracing_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)  # the lines of the user's program are named relative to it
    with default_device("reference"):
        _, function, examples = find_target("model.py:score")
        traced = picograd.compile(function, device="reference").trace(*examples)
    text = (EXAMPLES / "model.mlir").read_text(encoding="utf-8")
    assert str(traced.module) + "\n" == text
    assert count_ops(traced.module) == 54


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("pull_negations", Fault.VALUES),
        ("merge_reductions", Fault.INVALID),
        ("merge_views", Fault.CRASH),
        ("split_reductions", None),
    ],
)
def test_the_wrong_passes_are_wrong_and_the_right_one_is_right(
    name: str, fault: Fault | None
) -> None:
    known = load_passes([str(EXAMPLES / f"{name}.py")])
    module = parse_module((EXAMPLES / "model.mlir").read_text(encoding="utf-8"))
    passes = as_passes(f"cse,{name}", known)
    for inputs in draw_inputs(module, 0):
        failure = examine(Case(module, tuple(inputs), passes))
        assert (failure.fault if failure else None) == fault, str(failure)
