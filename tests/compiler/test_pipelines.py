"""The pipelines keep the order that the passes declare."""

import pytest

from picograd.compiler.pipelines import pipeline
from picograd.passes import PASSES, Level


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_levels_follow_each_other_and_requirements_are_met(device: str) -> None:
    level, facts = Level.TENSOR, set[str]()
    for step in pipeline(device):
        assert step.level_in == level, step.name
        assert step.requires <= facts, step.name
        level = step.level_out
        facts |= step.establishes
    assert level == Level.LOOP


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_passes_are_registered_and_know_their_target(device: str) -> None:
    for step in pipeline(device):
        assert PASSES[step.name] is type(step)
        target = getattr(step, "target", device)
        assert target == device, step.name


def test_the_reference_runs_tensors_as_they_are() -> None:
    assert pipeline("reference") == ()
