"""What a compiled function returns and changes, described once and replayed at every call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir import SSAValue

from picograd.backends.runtime import Buffer
from picograd.frontend.arguments import Call, map_leaves
from picograd.frontend.cells import Cell, Value
from picograd.frontend.core import History, TensorCore
from picograd.frontend.eager import EagerMode
from picograd.frontend.modes import set_recording
from picograd.frontend.tape import BarrierNode, LeafNode, Var
from picograd.frontend.trace import Trace
from picograd.frontend.views import View


@dataclass(frozen=True)
class Produced:
    """A result: a tensor over fresh storage."""

    output: int
    views: tuple[View, ...]
    gradient: str
    """"leaf" for a tensor made with requires_grad, "barrier" for one computed from such, or ""."""
    grad: object = None
    """What the tensor's own `.grad` is."""


@dataclass(frozen=True)
class Passed:
    """A result that shows storage of an argument."""

    argument: int
    views: tuple[View, ...]


@dataclass(frozen=True)
class Kept:
    """A result, or `.grad`, that is the same Python object at every call."""

    value: object


class Effects:
    """Collects what a trace returns and changed; `replay` makes it so with the buffers of a run."""

    def __init__(self, trace: Trace) -> None:
        self.outputs: list[SSAValue] = []
        self._trace = trace
        self._fresh: dict[Cell, int] = {}
        self._cells: list[tuple[object, int]] = []
        self._grads: list[tuple[TensorCore, object]] = []
        self.result: object = None

    def collect(self, result: object) -> None:
        """Describe the result of the traced function, then its effects."""
        self.result = map_leaves(result, lambda leaf, path: self._describe(leaf))
        trace = self._trace
        for cell in trace.mutated:
            value = trace.held(cell)
            assert value is not None
            target: object = trace.argument_cells.get(cell)
            if target is None:
                target = trace.grad_cells.get(cell, cell)
            self._cells.append((target, self._output(value)))
        for tensor in trace.grads:
            present = tensor.grad_slot
            if present is None or present.cell not in trace.grad_cells:
                self._grads.append((tensor, self._describe(present)))

    def _output(self, value: SSAValue) -> int:
        self.outputs.append(value)
        return len(self.outputs) - 1

    def _describe(self, leaf: object) -> object:
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
        return Produced(self._fresh[cell], leaf.views, gradient, grad)

    def release(self) -> None:
        """Forget the trace, once everything is described."""
        del self._trace
        self._fresh.clear()

    def replay(self, call: Call, buffers: Sequence[Buffer], mode: EagerMode) -> object:
        """Write the changes back and return the function's result."""
        for target, output in self._cells:
            self._write(target, buffers[output], call, mode)
        fresh: dict[int, Cell] = {}

        def build(description: object, path: str = "") -> object:
            match description:
                case Kept(value):
                    return value
                case Passed(argument, views):
                    tensor = call.tensors[argument]
                    if views == tensor.views:
                        return tensor
                    return TensorCore.result_class(tensor.cell, views)
                case Produced(output, views, gradient, grad):
                    if output not in fresh:
                        fresh[output] = mode.new_cell(buffers[output])
                    result = TensorCore.result_class(fresh[output], views)
                    _track(result, gradient)
                    if grad is not None:
                        made = build(grad)
                        assert isinstance(made, TensorCore)
                        result.grad_slot = made
                    return result
                case _:
                    raise AssertionError(description)

        for tensor, description in self._grads:
            grad = build(description)
            assert grad is None or isinstance(grad, TensorCore)
            tensor.grad_slot = grad
        return map_leaves(self.result, build)

    def _write(self, target: object, value: Value, call: Call, mode: EagerMode) -> None:
        if isinstance(target, int):
            mode.write(call.tensors[target].cell, value)
        elif isinstance(target, Cell):
            mode.write(target, value)
        else:
            assert isinstance(target, TensorCore) and target.grad_slot is not None
            with set_recording(False):
                target.grad_slot.write_(Var(value))


def _track(tensor: TensorCore, gradient: str) -> None:
    """Make a result require a gradient as the traced tensor did."""
    if gradient == "leaf":
        tensor.requires_grad_()
    elif gradient:
        node = BarrierNode(
            "backward() through the result of a compiled function",
            "call backward() inside the compiled function, or run the function under no_grad()",
            tensor.device,
        )
        tensor.history = History(node)
