"""Looking at a case in another process: what it does to that process is a failure like others."""

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import dataclass
from typing import ClassVar

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from picograd.check.oracle import examine
from picograd.check.reduce.look import Endless, NativeCrash, look_apart
from picograd.check.reduce.reducer import count_ops, reduce
from picograd.compiler.validation.fault import Fault
from tests.check.reduce.wrong_passes import OnTensors, WrongValue, case_of

TEXT = """
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = pico.unary exp %x : tensor<4xf32>
  %b = pico.unary tanh %a : tensor<4xf32>
  %c = pico.binary mul %b, %x : tensor<4xf32>
  %d = pico.unary neg %c : tensor<4xf32>
  func.return %d : tensor<4xf32>
}
"""


@dataclass(frozen=True)
class Kill(OnTensors):
    """Ends the process where it sees a tanh, as wrong native code may."""

    name: ClassVar[str] = "kill"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if "tanh" in str(op):
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Wait(OnTensors):
    """Comes to no end where it sees a tanh."""

    name: ClassVar[str] = "wait"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        WAITING.set()
        while "tanh" in str(op):
            time.sleep(0.01)


WAITING = multiprocessing.get_context("fork").Event()
"""Set when a process waits, for the process that it was copied from to see."""


def test_a_process_that_ends_is_reduced_like_other_crashes() -> None:
    look = look_apart(30.0)
    case = case_of(TEXT, Kill())
    seen = look(case, None)
    assert seen is not None and seen.failure.fault == Fault.CRASH
    assert isinstance(seen.failure.error, NativeCrash) and "SIGKILL" in seen.failure.detail
    assert seen.failure.error.code == "PG904"
    small = reduce(case, seen.failure, look=look)
    assert count_ops(small.module) == 1 and "tanh" in str(small.module)


def test_a_process_that_does_not_end_is_stopped() -> None:
    look = look_apart(0.5)
    seen = look(case_of(TEXT, Wait()), None)
    assert seen is not None and isinstance(seen.failure.error, Endless)
    assert "no end in 0.5 seconds" in seen.failure.detail


def test_an_interrupt_ends_the_child_as_well() -> None:
    def press() -> None:
        # Not while the process forks: what is raised in hooks of a fork is lost.
        if WAITING.wait(50.0):
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGINT)

    WAITING.clear()
    pressing = threading.Thread(target=press)
    # What a shell starts in the background ignores interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        pressing.start()
        with pytest.raises(KeyboardInterrupt):
            seen = look_apart(60.0)(case_of(TEXT, Wait()), None)
            pytest.fail(f"nothing was interrupted: {seen}")
        pressing.join()
    finally:
        signal.signal(signal.SIGINT, before)
    for child in multiprocessing.active_children():
        child.join(10.0)
    assert not multiprocessing.active_children()


def test_other_failures_are_those_that_are_seen_here() -> None:
    look = look_apart(30.0)
    case = case_of(TEXT, WrongValue())
    failure, seen = examine(case), look(case, None)
    assert failure is not None and seen is not None
    assert seen.failure.alike(failure) and seen.failure.excess == failure.excess
    assert seen.family == "product_to_sum on pico.binary mul"
    assert look(case_of(TEXT.replace("mul", "add"), WrongValue()), None) is None
