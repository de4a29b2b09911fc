"""Every row of the table against PyTorch: dtypes and shapes strictly, values, gradients, and what
it thinks of mistakes. Needs PyTorch; `make venv` installs its CPU build where it can be had.
"""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

import picograd
from picograd.check.functions import FUNCTIONS
from picograd.check.functions.expected import expect, samples_of
from picograd.check.functions.judging import disagreements, report
from picograd.check.functions.running import call_wrongly, run_with

pytestmark = [pytest.mark.pytorch, pytest.mark.filterwarnings("ignore")]
ROWS = {row.name: row for row in FUNCTIONS}


@pytest.fixture(autouse=True)
def on_the_reference() -> Iterator[None]:
    picograd.set_default_device("reference")
    yield
    picograd.set_default_device(None)


@pytest.fixture
def torch() -> Any:
    return importlib.import_module("torch")


@pytest.mark.parametrize("name", ROWS)
def test_agrees_with_pytorch(name: str, torch: Any) -> None:
    wrong: list[str] = []
    for sample in samples_of(ROWS[name]):
        if sample.case.differs:
            continue
        ours, theirs = run_with(picograd, sample), run_with(torch, sample)
        wrong += disagreements(expect(sample), ours, theirs)
    assert not wrong, report(wrong)


@pytest.mark.parametrize("name", ROWS)
def test_pytorch_refuses_the_same(name: str, torch: Any) -> None:
    row = ROWS[name]
    for error in row.errors:
        if not error.differs:
            with pytest.raises(error.raises):
                call_wrongly(torch, row, error)
                print(f"PyTorch takes {row.name}, {error.label!r}")
