"""Turns between processes, what the times tell, and what becomes of a process that is lost."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from picograd.study.benches.cpu import contenders
from picograd.study.benches.cpu.contenders import CONTENDERS, PEERS, PICOGRAD, chosen, environment
from picograd.study.benches.cpu.conversation import Conversation, LostError
from picograd.study.benches.cpu.turns import Reading, Times, quartiles, ratio, take_turns


class Clock:
    """A contender whose calls take the seconds that it is told to."""

    def __init__(self, seconds: float, log: list[str], name: str, dies_after: int = 99) -> None:
        self.seconds, self.log, self.name, self.left = seconds, log, name, dies_after

    def __call__(self, calls: int) -> Reading:
        self.left -= 1
        if self.left < 0:
            raise LostError("gone")
        self.log.append(self.name)
        return Reading(calls * self.seconds, 2 * calls * self.seconds, calls)


def test_turns_alternate_and_fill_their_time() -> None:
    log: list[str] = []
    timers = {"a": Clock(0.003, log, "a"), "b": Clock(0.02, log, "b")}
    found = take_turns(timers, 3, turn=0.02, patience=9.0)
    assert "".join(log[-6:]) == "abbaab"
    assert found["b"].calls == 1 and 7 <= found["a"].calls <= 30
    assert found["a"].median == pytest.approx(0.003) and len(found["a"].taken) == 3
    assert found["a"].processors == pytest.approx(2) and found["a"].faults_a_call == 1
    assert ratio(found["b"], found["a"]) == pytest.approx(20 / 3)


def test_the_slow_sit_out_and_the_lost_are_told() -> None:
    log: list[str] = []
    timers = {
        "fast": Clock(0.01, log, "f"),
        "slow": Clock(5.0, log, "s"),
        "slowish": Clock(0.7, log, "t"),
        "lost": Clock(0.02, log, "l", dies_after=2),
        "never": Clock(0.02, log, "n", dies_after=0),
    }
    found = take_turns(timers, 4, turn=0.02, patience=1.0)
    assert [len(one.taken) for one in found.values()] == [4, 1, 2, 1, 0]
    assert found["lost"].lost == found["never"].lost == "gone"
    assert ratio(found["slow"], found["fast"]) == pytest.approx(500)
    assert ratio(found["never"], found["fast"]) is None


def test_ratios_are_of_the_same_round() -> None:
    ours, theirs = Times(seconds=[1.0, 10.0, 1.0]), Times(seconds=[2.0, 20.0, None])
    assert ratio(theirs, ours) == 2
    assert quartiles([3.0]) == (3.0, 3.0)


def test_contenders_that_cannot_take_part_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "find_spec", lambda name: None if name == "jax" else name)
    monkeypatch.setattr(contenders.shutil, "which", lambda name: None)
    present, absent = chosen(PEERS)
    assert present[0] is PICOGRAD and {"torch", "numpy"} <= {one.name for one in present}
    assert absent["jax"] == "jax is not installed"
    assert "clang" in absent["tinygrad"] and "C++" in absent["torch.compile"]


def test_threads_and_tunables_are_told_by_the_environment() -> None:
    plain, tuned = CONTENDERS["torch"]
    assert environment(plain, 3)["OMP_NUM_THREADS"] == "3"
    assert "GLIBC_TUNABLES" in tuned.environment and "GLIBC_TUNABLES" not in plain.environment


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Conversation]:
    with Conversation("numpy", environment(PICOGRAD, 1), tmp_path / "log", 60.0) as talk:
        yield talk


def test_a_worker_outlives_errors_but_not_its_end(talk: Conversation) -> None:
    with pytest.raises(LostError, match="KeyError"):
        talk.ask("time", 60.0, name="nobody", calls=1)
    with pytest.raises(LostError, match="FileNotFoundError"):
        talk.ask("prepare", 60.0, name="a", workload="chain", sizes=[3], operands=["/none.npy"])
    assert not talk.lost and talk.ask("drop", 60.0, name="a") == {}
    os.kill(talk.process_id, signal.SIGKILL)
    with pytest.raises(LostError, match="signal 9"):
        talk.ask("drop", 60.0, name="a")
    with pytest.raises(LostError, match="ended"):
        talk.ask("drop", 60.0, name="a")


def test_a_worker_that_is_silent_is_ended(talk: Conversation) -> None:
    os.kill(talk.process_id, signal.SIGSTOP)
    with pytest.raises(LostError, match="no answer"):
        talk.ask("drop", 0.1, name="a")
    assert talk.lost


def test_a_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(LostError, match="KeyError"):
        Conversation("nobody's", environment(PICOGRAD, 1), tmp_path / "log", 60.0)
