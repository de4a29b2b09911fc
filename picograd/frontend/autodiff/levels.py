"""Levels: modes inside of modes, one for each function transformation in progress.

A transformation runs the user's function once, with tensors whose values are *lifted*: each stands
for a value of the mode around it, and for something more, such as its tangent. A `Level` is the
mode that these values live in. An op on them becomes one or more ops in the mode around: the
device, a trace, or another level. That is all that nesting takes, and why transformations compose
in any order.

The mode around has a tape of its own, so gradients flow through a transformed function as through
any other ops.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from xdsl.ir import Attribute

from picograd.dialects.dtypes import AnyTensor
from picograd.dialects.tensor import TensorOp
from picograd.errors import DeviceError, PicogradError, TraceError
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.modes.eager import current
from picograd.frontend.modes.mode import SETTINGS, Mode, RuntimeValue, set_recording, set_trace
from picograd.frontend.problems import located
from picograd.frontend.storage.cells import Cell, Lifted, Value
from picograd.semantics.builder import Array


class Level(Mode):
    """A transformation in progress, made when its function is about to be called.

    What the function computes under `no_grad` is recorded nowhere; a `no_grad` around the
    transformation stops the recording around it, and not within.
    """

    what: ClassVar[str]
    """The transformation's name, for messages."""

    def __init__(self, device: str) -> None:
        self.parent = Tape(current(device))
        self.device = self.parent.mode.device
        self._recording = SETTINGS.recording
        self._arguments: set[Cell] = set()

    # What a transformation defines

    @abstractmethod
    def lifted(self, outer: Var) -> Lifted:
        """A value from around as a constant of this level."""

    @abstractmethod
    def lowered(self, value: Value) -> Var:
        """What a value of this level mainly stands for around it."""

    @abstractmethod
    def apply(
        self,
        op: type[TensorOp],
        operands: Sequence[Value],
        properties: Mapping[str, Attribute],
        name_hint: str | None,
    ) -> Lifted:
        """Build the op, on lifted values, by ops on `parent`."""

    # The mode

    @property
    def around(self) -> Mode:
        """The mode that the transformation was called in."""
        return self.parent.mode

    @contextmanager
    def running(self) -> Generator[None]:
        """Send the ops of the block into this level, and record gradients in it."""
        with set_trace(self), set_recording(True):
            yield

    @contextmanager
    def outside(self) -> Generator[None]:
        """Let the switch for gradients stand as the mode around sees it."""
        before = SETTINGS.recording
        SETTINGS.recording = before and self._recording
        try:
            yield
        finally:
            SETTINGS.recording = before

    def emit(
        self,
        op: type[TensorOp],
        operands: Sequence[Value],
        properties: Mapping[str, Attribute] = {},
        name_hint: str | None = None,
    ) -> Value:
        try:
            with self.outside():
                return self.apply(op, operands, properties, name_hint)
        except PicogradError as error:
            located(error)
            raise

    def constant(self, array: Array) -> Value:
        return self.lifted(self.parent.constant(array))

    def type_of(self, value: Value) -> AnyTensor:
        assert isinstance(value, Lifted)
        return value.type

    def runtime(self, number: RuntimeValue) -> Value:
        return self.lifted(Var(self.around.runtime(number)))

    def lift(self, tensor: Any) -> Var | None:
        if tensor.cell.trace is self:
            return None
        if tensor.device != self.device:
            raise located(
                DeviceError(
                    f"a function under {self.what} runs on one device",
                    code="PG302",
                    expected=f"tensors on {self.device!r}",
                    found=f"a tensor on {tensor.device!r}",
                    hint=f"move it with .to({self.device!r}) before the call",
                )
            )
        with set_trace(self.around.scope), self.outside():
            return Var(self.lifted(tensor.read()))

    # Storage

    def new_cell(self, value: Value) -> Cell:
        return Cell(value, self.type_of(value), self.device, self)

    def argument_cell(self, value: Lifted) -> Cell:
        """Storage for an argument, which the function may read but not change."""
        cell = self.new_cell(value)
        self._arguments.add(cell)
        return cell

    def read(self, cell: Cell) -> Value:
        self._check_own(cell)
        return cell.value

    def write(self, cell: Cell, value: Value) -> None:
        self._check_own(cell)
        if cell in self._arguments:
            self._refuse_change(cell, "an argument")
        cell.value = value
        cell.version += 1

    def writes_grad(self, tensor: object) -> None:
        cell = getattr(tensor, "cell", None)
        assert isinstance(cell, Cell)
        self._check_own(cell)

    def _check_own(self, cell: Cell) -> None:
        if cell.trace is not self:
            self._refuse_change(cell, "a captured tensor")

    def _refuse_change(self, cell: Cell, role: str) -> None:
        raise located(
            TraceError(
                f"{role} is changed in place by a function under {self.what}",
                code="PG505",
                expected="a function that changes only tensors it made itself",
                found=f"a change of {cell.name or role} ({cell.type})",
                hint="change a .clone(), and return it; pass what the function changes as an "
                "argument, and modules through torch.func.functional_call",
            )
        )

    # What only the mode around knows

    @property
    def runs_now(self) -> bool:
        return self.around.runs_now

    def revealed(self, value: Value) -> Array | None:
        return self.around.revealed(self.lowered(value).value)

    @property
    def unseen(self) -> str:
        return self.around.unseen

    def random_words(self, words: int) -> int:
        return self.around.random_words(words)

    def here(self) -> str | None:
        return self.around.here()

    def placed_at(self, at: str | None) -> AbstractContextManager[None]:
        return self.around.placed_at(at)

    def suggest_name(self, owner: object, value: Value) -> None:
        self.around.suggest_name(owner, self.lowered(value).value)

    # Nesting

    def is_around_or_beside(self, mode: Mode | None) -> bool:
        """Whether the mode around this level is also around `mode`, or is `mode` itself."""
        return self.around.scope in _inwards(mode)


def _inwards(mode: Mode | None) -> list[Mode | None]:
    """A mode and all that are around it, the device (None) included when nothing traces."""
    modes = [mode]
    while isinstance(mode, Level):
        mode = mode.around.scope
        modes.append(mode)
    return modes


def carried(var: Var, home: Level, mode: Mode | None) -> Var:
    """A value of the level `home`, which may have ended, for use in a mode within its surroundings.

    `home.is_around_or_beside(mode)` holds.
    """
    outer = home.lowered(var.value)
    between = _inwards(mode)
    for level in reversed(between[: between.index(home.around.scope)]):
        assert isinstance(level, Level)
        outer = Var(level.lifted(outer))
    return outer


@dataclass(frozen=True, slots=True, eq=False)
class Held(Lifted):
    """A value from around, and nothing more."""

    var: Var
    held_type: AnyTensor

    @property
    def type(self) -> AnyTensor:
        return self.held_type


class GradientLevel(Level):
    """Reverse mode: the ops are those of the function itself, and the tape in this level sees them.

    The level has a tape of its own because a function may be differentiated within one that is
    being differentiated: what the inner one sees as a constant is none to the outer one.
    """

    what: ClassVar[str] = "grad"

    def lifted(self, outer: Var) -> Held:
        return Held(outer, self.parent.type_of(outer))

    def lowered(self, value: Value) -> Var:
        assert isinstance(value, Held)
        return value.var

    def apply(
        self,
        op: type[TensorOp],
        operands: Sequence[Value],
        properties: Mapping[str, Attribute],
        name_hint: str | None,
    ) -> Held:
        outer = [self.lowered(operand) for operand in operands]
        return self.lifted(self.parent.emit(op, outer, properties, name_hint))
