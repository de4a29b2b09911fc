"""What tests of kept constants ask for: weights that are laid out on the CPU, and a count of it."""

from collections.abc import Iterator

import pytest

import picograd as torch
from tests.frontend.tracing.weights import Runs, count_runs, set_price


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    return count_runs(monkeypatch)


@pytest.fixture
def on_the_cpu_without_gradients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # No pause of a busy machine makes constants look more costly than a program without.
    set_price(monkeypatch, float("inf"))
    torch.set_default_device("cpu")
    with torch.no_grad():
        yield


@pytest.fixture
def cheap(on_the_cpu_without_gradients: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program without constants costs nothing: one lost run is too many."""
    set_price(monkeypatch, 1e-9)
