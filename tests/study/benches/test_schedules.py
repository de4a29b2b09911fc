"""The steps of a schedule: which passes they add, and that every step computes the same."""

from dataclasses import replace
from itertools import pairwise

import pytest

from picograd.compiler.pipelines import pipeline
from picograd.study.benches import schedules
from picograd.study.benches.cpu.session import CLOCKS
from picograd.study.benches.schedules import (
    REST,
    SCHEDULES,
    Schedule,
    lists_with_less,
    measure,
    numbered,
    pass_lists,
    steps_of,
)


def _with_number(name: str) -> str:
    return name if "#" in name else f"{name}#1"


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))
def test_steps_add_up_to_the_pipeline(schedule: Schedule) -> None:
    lists = list(pass_lists(schedule).values())
    full = pipeline("cpu")
    assert lists[-1] == full
    for fewer, more in pairwise(lists):
        kept = [str(step) for step in fewer if step.name != "unroll_tiles"]
        rest = iter(map(str, more))
        assert all(any(one == other for other in rest) for one in kept)
        assert fewer != more
    known = numbered(full)
    for step in steps_of(schedule):
        for name in step.adds:
            assert _with_number(name) in known
        if step.name != REST:
            assert step.picture in known
    for name, passes in lists_with_less(schedule).items():
        assert passes != full and set(map(_with_number, schedule.less[name])) <= set(known)
    assert [str(one) for one in lists[0] if one.name == "unroll_tiles"] == ["unroll_tiles{width=1}"]


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "SECONDS_A_TURN", 1e-4)


@pytest.mark.parametrize(
    ("name", "sizes", "clock"),
    [("matmul", (9, 35, 21), CLOCKS[0]), ("softmax", (5, 37), CLOCKS[1])],
)
def test_every_step_is_right_and_measured(name: str, sizes: tuple[int, ...], clock: str) -> None:
    schedule = SCHEDULES[name]
    found = measure(schedule, sizes, 1, clock=clock)
    names = [step.name for step in steps_of(schedule)]
    assert list(found.times) == list(found.share_of_budget) == [*names, *schedule.less]
    assert all(share <= 1 for share in found.share_of_budget.values())
    assert found.is_flops == (name == "matmul")
    for step in names:
        assert found.rate(step) > 0 and found.share_of_limit(step) > 0


def test_a_wrong_step_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    softmax = SCHEDULES["softmax"]
    wrong = replace(softmax, workload="cumsum")
    with pytest.raises(ArithmeticError, match="naive: wrong"):
        measure(wrong, (3, 4), 1)
