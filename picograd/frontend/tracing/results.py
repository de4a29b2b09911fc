"""What a compiled function returns and changes, described once and replayed at every call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Container, Sequence
from typing import TypeAlias, cast

from xdsl.ir import SSAValue

from picograd.backends.runtime import Buffer
from picograd.dialects.dtypes import AnyTensor, nbytes_of
from picograd.frontend.autodiff.tape import BarrierNode, LeafNode, Var
from picograd.frontend.core import TensorCore
from picograd.frontend.fresh import fresh_tensors
from picograd.frontend.modes.device_names import Device, device_named
from picograd.frontend.modes.eager import EagerMode
from picograd.frontend.modes.mode import set_recording
from picograd.frontend.shown import History
from picograd.frontend.storage.cells import Cell
from picograd.frontend.storage.views import View
from picograd.frontend.tracing.arguments import Call, map_leaves
from picograd.frontend.tracing.donation import renew
from picograd.frontend.tracing.sources import FromArgument, FromCell, Source
from picograd.frontend.tracing.trace import Trace
from picograd.quick_dataclasses import dataclass

Fresh: TypeAlias = Callable[[Buffer], TensorCore]
"""Makes a tensor of a buffer, on storage of its own."""


class _Run:
    """One run of the compiled code: its arguments, and what it computed."""

    __slots__ = ("buffers", "call", "fresh", "mode")

    def __init__(self, call: Call, buffers: Sequence[Buffer], mode: EagerMode) -> None:
        self.call = call
        self.buffers = buffers
        self.mode = mode
        self.fresh: dict[int, Cell] = {}
        """Storage made for outputs in this run, which several results may show."""


class Description(ABC):
    """Where a part of the result, or a `.grad`, comes from."""

    @abstractmethod
    def build(self, run: _Run) -> object:
        """What it is in this run."""


@dataclass(frozen=True)
class Produced(Description):
    """A result: a tensor over fresh storage."""

    output: int
    views: tuple[View, ...]
    gradient: str
    """"leaf" for a tensor made with requires_grad, "barrier" for one computed from such, or ""."""
    grad: Description | None = None
    """What the tensor's own `.grad` is."""

    def build(self, run: _Run) -> TensorCore:
        output, fresh = self.output, run.fresh
        cell = fresh.get(output)
        if cell is None:
            buffer = run.buffers[output]
            cell = fresh[output] = Cell(buffer, buffer.type, run.mode.device)
        result = TensorCore.result_class(cell, self.views, History(), 0)
        if self.gradient:
            _track(result, self.gradient)
        if self.grad is not None:
            made = self.grad.build(run)
            assert isinstance(made, TensorCore)
            result.grad_slot = made
        return result


@dataclass(frozen=True)
class Passed(Description):
    """A result that shows storage of an argument."""

    argument: int
    views: tuple[View, ...]

    def build(self, run: _Run) -> TensorCore:
        tensor = run.call.tensors[self.argument]
        if self.views == tensor.views:
            return tensor
        return TensorCore.result_class(tensor.cell, self.views)


@dataclass(frozen=True)
class Kept(Description):
    """A result, or `.grad`, that is the same Python object at every call."""

    value: object

    def build(self, run: _Run) -> object:
        return self.value


class Effects:
    """Collects what a trace returns and changed; `replay` makes it so with the buffers of a run."""

    def __init__(self, trace: Trace) -> None:
        self.outputs: list[SSAValue] = []
        self._trace = trace
        self._fresh: dict[Cell, int] = {}
        self._cells: list[tuple[Cell, int]] = []
        self._arguments: list[tuple[int, int]] = []
        self._kept_grads: list[tuple[TensorCore, int]] = []
        self._grads: list[tuple[TensorCore, Description]] = []
        self._own_grads: list[tuple[TensorCore, int, Fresh]] = []
        """Those of them that are tensors of their own, which nothing else shows."""
        self._other_grads: list[tuple[TensorCore, Description]] = []
        self._shown: Counter[int] = Counter()
        """How many descriptions show an output."""
        self.result: object = None
        self._build: Callable[[_Run], object] = _nothing
        self._plain: Callable[[Sequence[Buffer]], object] | None = None
        """What makes the result of the outputs alone, where that is all it takes."""
        self._changes = False
        """Whether there is more than a result."""

    def collect(self, result: object, device: str) -> None:
        """Describe the result of the traced function, then its effects."""
        self.result = map_leaves(result, lambda leaf, path: self._describe(leaf))
        self._build = _builder(self.result)
        trace = self._trace
        for cell in trace.mutated:
            value = trace.held(cell)
            assert value is not None
            output = self._output(value)
            if cell in trace.argument_cells:
                self._arguments.append((trace.argument_cells[cell], output))
            elif cell in trace.grad_cells:
                self._kept_grads.append((trace.grad_cells[cell], output))
            else:
                self._cells.append((cell, output))
        for tensor in trace.grads:
            present = tensor.grad_slot
            if present is None or present.cell not in trace.grad_cells:
                self._grads.append((tensor, self._describe(present)))
        for tensor, grad in self._grads:
            fresh = self._fresh_part(grad, device)
            if fresh is not None and grad == Produced(fresh[0], (), ""):
                self._own_grads.append((tensor, *fresh))
            else:
                self._other_grads.append((tensor, grad))
        self._changes = any((self._cells, self._arguments, self._kept_grads, self._grads))
        self._plain = self._plain_result(device)

    def _fresh_part(self, part: object, device: str) -> tuple[int, Fresh] | None:
        """The output that a tensor is made of, and how; None where that is not all it takes."""
        if not isinstance(part, Produced) or part.gradient == "leaf" or part.grad is not None:
            return None
        if self._shown[part.output] > 1:
            return None
        type = cast(AnyTensor, self.outputs[part.output].type)
        make = fresh_tensors(type, device, part.views)
        return part.output, _tracked(make, device) if part.gradient else make

    def _plain_result(self, device: str) -> Callable[[Sequence[Buffer]], object] | None:
        """What makes the result where it is a tensor, a tuple of such, or always the same."""
        result = self.result
        if isinstance(result, Kept):
            return lambda buffers: result.value
        alone = self._fresh_part(result, device)
        if alone is not None:
            output, make = alone
            return lambda buffers: make(buffers[output])
        if type(result) is not tuple:
            return None
        parts = [self._fresh_part(part, device) for part in cast("tuple[object, ...]", result)]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        return lambda buffers: tuple([make(buffers[output]) for output, make in known])

    def donations(self) -> dict[Source, int]:
        """The inputs whose storage the function changes, each with the output that it then holds.

        Nobody needs their old contents any more: the outputs may be written over them.
        """
        found: dict[Source, int] = {FromCell(cell): output for cell, output in self._cells}
        found |= {FromArgument(argument): output for argument, output in self._arguments}
        return found

    def replaced_gradients(self, least: int) -> list[TensorCore]:
        """The tensors whose `.grad` the function sets anew, if it takes `least` bytes or more."""
        return [
            tensor
            for tensor, description in self._grads
            if isinstance(description, Produced) and nbytes_of(tensor.cell.type) >= least
        ]

    def replaces(self, donated: Container[int]) -> bool:
        """Whether outputs that are not `donated` take the place of what lasts beyond a call.

        Gradients that are made anew do not count: nothing is lost with them.
        """
        kept = [*self._cells, *self._arguments, *self._kept_grads]
        return any(output not in donated for _, output in kept)

    def _output(self, value: SSAValue) -> int:
        self.outputs.append(value)
        return len(self.outputs) - 1

    def _describe(self, leaf: object) -> Description:
        if not isinstance(leaf, TensorCore):
            return Kept(leaf)
        cell, trace = leaf.cell, self._trace
        if cell in trace.argument_cells:
            return Passed(trace.argument_cells[cell], leaf.views)
        if cell.trace is not trace:
            return Kept(leaf)
        if cell not in self._fresh:
            value = trace.held(cell)
            assert value is not None
            self._fresh[cell] = self._output(value)
        gradient = ""
        if leaf.requires_grad:
            gradient = "leaf" if isinstance(leaf.history.node, LeafNode) else "barrier"
        grad = None if leaf.grad_slot is None else self._describe(leaf.grad_slot)
        self._shown[self._fresh[cell]] += 1
        return Produced(self._fresh[cell], leaf.views, gradient, grad)

    def release(self) -> None:
        """Forget the trace, once everything is described."""
        del self._trace
        self._fresh.clear()

    @property
    def maker(self) -> Callable[[Sequence[Buffer]], object] | None:
        """What makes the result of the outputs, if that is all that the function leaves."""
        return None if self._changes else self._plain

    def replay(self, call: Call, buffers: Sequence[Buffer], mode: EagerMode) -> object:
        """Write the changes back and return the function's result."""
        for cell, output in self._cells:  # dozens in a training step
            cell.value = buffers[output]
            cell.version += 1
        if self._own_grads:
            renew(self._own_grads, buffers)
        for argument, output in self._arguments:
            mode.write(call.tensors[argument].cell, buffers[output])
        for tensor, output in self._kept_grads:
            assert tensor.grad_slot is not None
            with set_recording(False):
                tensor.grad_slot.write_(Var(buffers[output]))
        if self._plain is not None and not self._other_grads:
            return self._plain(buffers)
        run = _Run(call, buffers, mode)
        for tensor, description in self._other_grads:
            grad = description.build(run)
            assert grad is None or isinstance(grad, TensorCore)
            tensor.grad_slot = grad
        return self._build(run)


def _nothing(run: _Run) -> object:
    return None


def _builder(result: object) -> Callable[[_Run], object]:
    """What makes the function's result in each run: the walk over its containers is done once."""
    if isinstance(result, Description):
        return result.build
    kind: type = type(result)
    parts = cast("tuple[object, ...]", result) if kind is tuple else ()
    builders = [part.build for part in parts if isinstance(part, Description)]
    if builders and len(builders) == len(parts):
        return lambda run: tuple([build(run) for build in builders])
    return lambda run: map_leaves(result, lambda part, path: cast(Description, part).build(run))


def _track(tensor: TensorCore, gradient: str) -> None:
    """Make a result require a gradient as the traced tensor did."""
    if gradient == "leaf":
        tensor.requires_grad_()
    elif gradient:
        tensor.history = History(_barrier(tensor.device))


def _tracked(make: Fresh, device: str) -> Fresh:
    """Makes tensors that require a gradient as those do that a traced function computed."""
    place = device_named(device)

    def tracked(buffer: Buffer) -> TensorCore:
        tensor = make(buffer)
        tensor.history.node = _barrier(place)
        return tensor

    return tracked


def _barrier(device: Device) -> BarrierNode:
    return BarrierNode(
        "backward() through the result of a compiled function",
        "call backward() inside the compiled function, or run the function under no_grad()",
        device,
    )
