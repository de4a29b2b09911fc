"""Timing: who is called when, and that one thread means one."""

import os
import time

import pytest

from picograd.study.benches.measure import ONE_THREAD, interleave, on_one_thread


def test_contenders_take_turns_in_alternating_order() -> None:
    calls: list[str] = []

    def contender(name: str) -> object:
        calls.append(name)
        time.sleep(0.021)
        return name

    result = interleave({"a": lambda: contender("a"), "b": lambda: contender("b")}, rounds=2)
    # Two calls of each to warm up and to find out how many fill a turn: here one.
    assert "".join(calls) == "aabb" + "ab" + "ba"
    assert list(result) == ["a", "b"]
    assert all(seconds > 0 for seconds in result.values())


def test_a_process_that_is_on_one_thread_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    assert on_one_thread(["--help"]) is None


def test_otherwise_the_command_runs_in_a_process_that_is(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ONE_THREAD:
        monkeypatch.delenv(name, raising=False)
    assert on_one_thread(["--help"]) == 0
    assert "usage: picograd" in capfd.readouterr().out
    assert not set(ONE_THREAD) & set(os.environ)
