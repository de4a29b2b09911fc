"""What picograd offers to other people's tests: the function, and the fixture that pytest finds."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import picograd as torch
from picograd.compiler.pipelines import pipeline
from picograd.errors import DeviceError
from picograd.nn import functional as F
from picograd.passes.canonicalize import Canonicalize
from picograd.testing import DevicesDiffer, assert_devices_agree

RNG = np.random.default_rng(8)


def normalized(x: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
    return F.softmax(x * scale, dim=-1).sum(0)


def array(*shape: int) -> torch.Tensor:
    return torch.tensor(RNG.standard_normal(shape).astype(np.float32))


@pytest.mark.gpu
def test_all_devices_agree_on_a_function() -> None:
    outcomes = assert_devices_agree(normalized, array(3, 7))
    assert [outcome.device for outcome in outcomes] == ["reference", "cpu", "gpu"]
    assert all(outcome.elements for outcome in outcomes)


@pytest.mark.parametrize("mode", ["cached", "graph", "compiled"])
def test_modules_and_compiled_functions_are_taken(mode: str) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh())
    for function in (net, torch.compile(net)):
        (outcome,) = assert_devices_agree(function, array(5, 4), devices=["cpu"], mode=mode)
        assert outcome.ok


def test_nothing_that_the_function_changes_is_changed() -> None:
    w = array(4)
    before = w.numpy()
    assert_devices_agree(lambda x: w.add_(x), array(4), devices=["cpu"])
    np.testing.assert_array_equal(w.numpy(), before)


class Broken(Canonicalize):
    """Wrong: makes the results of the last op negative, whatever they are."""

    def apply(self, ctx: object, op: object) -> None:
        from_inside = next(one for one in op.walk() if one.name == "func.return")  # pyright: ignore
        from_inside.operands = [from_inside.prev_op.operands[0]]


def test_a_difference_fails_the_test_and_shows_where() -> None:
    passes = pipeline("cpu").replace("canonicalize", Broken())
    with pytest.raises(DevicesDiffer, match="means something else") as caught:
        assert_devices_agree(lambda x: x.abs().neg(), array(4), devices=["cpu"], passes=passes)
    assert isinstance(caught.value, AssertionError)
    assert [outcome.ok for outcome in caught.value.outcomes] == [False]


def test_an_absent_device_is_an_error() -> None:
    with pytest.raises(DeviceError, match="device called 'tpu'"):
        assert_devices_agree(normalized, array(2, 2), devices=["tpu"])


def test_pytest_finds_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "import picograd as torch\n"
        "def test_mine(assert_devices_agree):\n"
        "    outcomes = assert_devices_agree(lambda x: x.exp(), torch.arange(4.0))\n"
        "    assert {'reference', 'cpu'} <= {outcome.device for outcome in outcomes}\n"
    )
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    found = subprocess.run(
        [sys.executable, *words, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "1 passed" in found.stdout
