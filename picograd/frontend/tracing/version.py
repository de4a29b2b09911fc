"""One traced and compiled version of a function, and when it may be used."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

from picograd.backends.runtime import Buffer
from picograd.compiler.executable import Executable
from picograd.dialects.dtypes import AnyTensor
from picograd.errors import PicogradError, TraceError
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.eager import eager
from picograd.frontend.modes.ladder import Rung
from picograd.frontend.problems import located
from picograd.frontend.storage.cells import MOVES, Cell
from picograd.frontend.tracing.arguments import Call
from picograd.frontend.tracing.donation import owner_of_inputs
from picograd.frontend.tracing.kept_constants import KeptConstants
from picograd.frontend.tracing.results import Effects
from picograd.frontend.tracing.sources import Inputs, number_dtypes
from picograd.frontend.tracing.trace import Trace, grad_type
from picograd.frontend.tracing.watch import Guards, Watcher
from picograd.quick_dataclasses import dataclass

Entry: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]
"""How a program is called by those who know that the inputs are right."""

_LARGE_GRADIENT = 1 << 20
"""Bytes of a gradient that are not worth having twice."""


class Key(NamedTuple):
    """What distinguishes calls before any guard is asked."""

    arguments: Hashable
    recording: bool
    """Whether gradients are recorded."""
    rung: Rung


@dataclass(frozen=True)
class Making:
    """How a version came about."""

    reason: str
    when: datetime
    seconds: float
    """Of tracing and compiling."""
    dump: str | Path | None
    """The folder with the IR after every pass, if one was asked for."""


class Version:
    """One traced and compiled version of a function, and what must hold for it to be used."""

    def __init__(
        self,
        key: Key,
        executable: Executable,
        trace: Trace,
        effects: Effects,
        watcher: Watcher,
        call: Call,
        making: Making,
        compile_plain: Callable[[], Executable],
    ) -> None:
        """`compile_plain` makes a program like `executable`, but one that takes no constants."""
        self.key = key
        self.making = making
        self.executable = executable
        self._effects = effects
        self._numbers = number_dtypes(trace.sources)
        self._enter = executable.entry(self._numbers)
        self._inputs = Inputs(trace.sources, pass_numbers=self._enter is not None)
        self.constants: KeptConstants | None = None
        """What is kept between calls, where something is."""
        if executable.constants is not None:
            price = executable.report.compile_seconds
            self.constants = KeptConstants(executable.constants, trace.sources, price)
        self._compile_plain = compile_plain
        self._plain: tuple[Executable, Entry | None] | None = None
        """What runs while weights change before every call."""
        self._mode = eager(executable.device.name)
        donated = tuple(executable.donated.values())
        self._own = owner_of_inputs(donated) if donated else None
        self._stale = effects.replaced_gradients(_LARGE_GRADIENT)
        self._guards = Guards(watcher.guards, executable.device)
        self._cells = [(cell, cell.type, cell.device) for cell in self._inputs.cells]
        self._moves = -1
        """How many moves there were when all of these were looked at and found unchanged."""
        self._captured = frozenset(self._inputs.cells)
        self._storages = [(tensor, tensor.cell, tensor.views) for tensor in watcher.tensors]
        self._grads: list[tuple[TensorCore, AnyTensor | None]] = list(trace.grads_read.items())
        # Updates in place are guarded; memory that replaces a tensor's must be seen to be right.
        self._waits = executable.program.fails_late and effects.replaces(executable.donated)
        self._changed = {trace.argument_cells.get(cell, cell) for cell in trace.mutated}
        self._kept = (call.kept, watcher)  # objects whose identity the key or a guard uses

    def mismatch(self) -> str | None:
        """Why this version does not fit a call with its key; None when it does."""
        guard = self._guards.broken()
        if guard is not None:
            return str(guard)
        moves = MOVES.count
        if moves != self._moves:
            moved = self._moved()
            if moved is not None:
                return moved
            self._moves = moves
        for tensor, type in self._grads:
            present = tensor.grad_slot
            found = None if present is None else grad_type(present)
            if found is not type and found != type:
                return f"the gradient of `{tensor.cell.name}` is now {found}"
        return None

    def fits(self) -> bool:
        """Whether it fits a call with arguments like those that it was made for."""
        if MOVES.count == self._moves and not self._grads and self._guards.same_objects():
            return True
        return self.mismatch() is None

    def _moved(self) -> str | None:
        """Which captured tensor shows other storage, or storage of another type."""
        for tensor, cell, views in self._storages:
            if tensor.cell is not cell or tensor.views != views:
                return f"`{cell.name or 'a captured tensor'}` shows other storage now"
        for cell, type, device in self._cells:
            if cell.type != type or cell.device != device:
                return f"`{cell.name or 'a captured tensor'}` is now a {cell.type} on {cell.device}"
        return None

    def direct(self, count: int) -> Callable[[Sequence[Cell]], object] | None:
        """As `run`, for the storages of all `count` arguments, which are tensors.

        None where a call needs more than these, or leaves more behind than a result.
        """
        enter, make = self._enter, self._effects.maker
        if enter is None or make is None or self._waits or self.constants is not None:
            return None
        if self._inputs.arguments != list(range(count)):
            return None

        def run(cells: Sequence[Cell]) -> object:
            try:
                buffers = enter([cell.value for cell in cells])
            except PicogradError as error:
                located(error)
                raise
            return make(buffers)

        return run

    def run(self, call: Call) -> object:
        """Run the compiled code, replay the effects, and return the function's result."""
        if self._changed:
            self._check_aliases(call)
        mode = self._mode
        inputs = self._inputs.fetch(call, mode)
        if self._own is not None:
            self._own(inputs, mode)
        # Nobody reads a gradient that is to be set anew, but its memory may hold the new one.
        for tensor in self._stale:
            tensor.grad_slot = None
        executable, enter = self.executable, self._enter
        kept: Sequence[Buffer] = ()
        try:
            if self.constants is not None:
                found = self.constants.of(inputs)
                if found is not None:
                    kept = found
                else:
                    executable, enter = self._plain or self._without_constants()
                    if executable is self.executable:
                        kept = self.constants.of(inputs) or ()
            if enter is not None:  # the guards have seen to the types
                buffers = enter([*inputs, *kept] if kept else inputs)
            else:
                buffers = executable.run(cast(list[Buffer], inputs), kept)
            if self._waits:
                executable.device.synchronize()
        except PicogradError as error:
            located(error)
            raise
        return self._effects.replay(call, buffers, mode)

    def _without_constants(self) -> tuple[Executable, Entry | None]:
        """A program that takes no constants, and its entry.

        It is the same as before where one without constants would write over other inputs, of
        which the caller is to make sure that nobody else holds them.
        """
        own, plain = self.executable, self._compile_plain()
        enter = plain.entry(self._numbers)
        same = plain.constants is None and plain.donated == own.donated
        if not same or (enter is None) != (self._enter is None):
            assert self.constants is not None
            self.constants.insist()
            plain, enter = own, self._enter
        self._plain = plain, enter
        return self._plain

    def _check_aliases(self, call: Call) -> None:
        """Raise TraceError if storage that changes is reached in two ways."""
        for index, tensor in enumerate(call.tensors):
            cell = tensor.cell
            if cell in self._captured and (index in self._changed or cell in self._changed):
                raise located(
                    TraceError(
                        "a tensor that the function changes is an argument and captured as well",
                        code="PG504",
                        expected="one way to reach it",
                        found=f"an argument of type {cell.type}, also held by a variable",
                        hint="only pass it, or only close over it",
                    )
                )
