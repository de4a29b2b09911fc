"""Where ops go: to a device at once, or into a trace.

A `Mode` builds ops over values (buffers or SSA values) and reads and writes the cells that hold
them. Each thread has at most one trace in progress, and its own switch for recording gradients.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from picograd.dialects.dtypes import DType
from picograd.frontend.storage.cells import Cell, Value
from picograd.quick_dataclasses import dataclass
from picograd.semantics.builder import Array, Ops


@dataclass(frozen=True)
class RuntimeValue:
    """A value that Python computes at each run of a compiled function.

    `make` gets the numbers among the arguments of the call (none outside of a trace). Within one
    trace equal keys of one dtype are one input; the key None equals nothing.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    make: Callable[[Sequence[float]], float | Array]
    key: Hashable = None

    def array(self, numbers: Sequence[float]) -> Array:
        """The value for a call with these numbers."""
        return np.asarray(self.make(numbers), self.dtype.numpy)


class Mode(Ops[Value]):
    """A builder of ops that also knows the storage cells of tensors."""

    device: str
    """The name of the device that its values live on."""

    @abstractmethod
    def read(self, cell: Cell) -> Value:
        """What the cell holds now."""

    @abstractmethod
    def write(self, cell: Cell, value: Value) -> None:
        """Let the cell hold another value of the same type, and count the change."""

    @abstractmethod
    def new_cell(self, value: Value) -> Cell:
        """A fresh cell."""

    @abstractmethod
    def runtime(self, number: RuntimeValue) -> Value:
        """A value that Python computes anew whenever the ops run, such as a learning rate."""

    def compose(
        self, key: Hashable, function: Callable[[Ops[Any], Any], Any], operand: Value
    ) -> Value:
        """The result of a function that builds several ops on one operand.

        Eager mode makes one program of them; equal keys mean equal functions.
        """
        return function(self, operand)

    @property
    def scope(self) -> Mode | None:
        """The trace or transformation that this is; None for a device."""
        return self

    def lift(self, tensor: Any) -> Any:
        """The value of a tensor from around this transformation; None for one of its own.

        Only transformations lift: everybody else reads the tensor's cell.
        """
        return None

    @property
    def runs_now(self) -> bool:
        """Whether ops run when they are built, so that values can be looked at."""
        return False

    def revealed(self, value: Value) -> Array | None:
        """The elements of a value; None when it has none that could be looked at."""
        return None

    @property
    def unseen(self) -> str:
        """Why a value here has no elements to look at, as the end of a sentence."""
        return "inside a compiled function, which has no value while traced"

    def random_words(self, words: int) -> int:
        """How many words the generator moves on by for a draw that takes `words` of them."""
        return words

    @abstractmethod
    def here(self) -> str | None:
        """The user's line as ops carry it (`model.py:12`); None where ops carry none."""

    def suggest_name(self, owner: object, value: Value) -> None:
        """Tell that `owner` (a module) computed the value, which may take its name.

        Default: ignored.
        """

    def reads_grad(self, tensor: object) -> None:
        """Tell that the tensor's `.grad` is about to be read. Default: ignored."""

    def writes_grad(self, tensor: object) -> None:
        """Tell that the tensor's `.grad` is about to be set. Default: ignored."""

    def writes_history(self, tensor: object) -> None:
        """Tell that the tensor's gradient history is about to change. Default: ignored."""

    @abstractmethod
    def placed_at(self, at: str | None) -> AbstractContextManager[None]:
        """Let the ops built inside carry this line, as a backward pass does."""


class _Settings(threading.local):
    def __init__(self) -> None:
        self.trace: Mode | None = None
        self.recording = True
        self.plans = True
        """Whether this thread's mode of the ladder, and the work at hand, allow plans."""
        self.planned = True
        """Whether eager operations go through plans: they may, and nothing is traced."""


SETTINGS = _Settings()
"""This thread's trace or transformation in progress, and whether gradients are recorded."""


@contextmanager
def set_recording(recording: bool) -> Generator[None]:
    """Switch the recording of gradients inside the block."""
    before = SETTINGS.recording
    SETTINGS.recording = recording
    try:
        yield
    finally:
        SETTINGS.recording = before


@contextmanager
def set_trace(trace: Mode | None) -> Generator[None]:
    """Send the block's ops into a trace or transformation; to their device when it is None."""
    before = SETTINGS.trace
    SETTINGS.trace = trace
    SETTINGS.planned = trace is None and SETTINGS.plans
    try:
        yield
    finally:
        SETTINGS.trace = before
        SETTINGS.planned = before is None and SETTINGS.plans


def allow_plans(allowed: bool) -> None:
    """Whether eager operations of this thread may go through plans from now on."""
    SETTINGS.plans = allowed
    SETTINGS.planned = SETTINGS.trace is None and allowed


@contextmanager
def op_by_op() -> Generator[None]:
    """Run the block's operations without plans."""
    before = SETTINGS.plans
    allow_plans(False)
    try:
        yield
    finally:
        allow_plans(before)
