"""Plans are for the CPU; what is traced and made for them can be counted."""

from typing import Any

import pytest

import picograd as torch
from picograd.frontend.plans.program import PlanProgram
from picograd.frontend.plans.tracing import Recipe


@pytest.fixture(autouse=True)
def on_the_cpu(reference_by_default: None) -> None:
    torch.set_default_device("cpu")


class Counted:
    """Counts how often methods are traced, and programs made."""

    def __init__(self) -> None:
        self.traced = 0
        self.made = 0


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    count, forward, init = Counted(), Recipe.forward, PlanProgram.__init__

    def counted_forward(recipe: Recipe) -> Any:
        count.traced += 1
        return forward(recipe)

    def counted_init(program: PlanProgram, traced: Any) -> None:
        count.made += 1
        init(program, traced)

    monkeypatch.setattr(Recipe, "forward", counted_forward)
    monkeypatch.setattr(PlanProgram, "__init__", counted_init)
    return count
