"""The gradient tape: what ran, and the backward pass over it.

`Tape` is a builder of ops over `Var`s. Each op goes to the mode beneath; when it depends on a
tensor that requires a gradient, a `Node` remembers the call. `backward` visits nodes from the
newest to the oldest and asks `semantics.gradients` for the rule of each.
"""

from __future__ import annotations

import heapq
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NoReturn, Protocol

from xdsl.ir import Attribute

from picograd.dialects.dtypes import AnyTensor, dtype_of
from picograd.dialects.tensor import TensorOp
from picograd.errors import GradientError
from picograd.frontend.cells import Cell, Value
from picograd.frontend.eager import current, eager
from picograd.frontend.modes import SETTINGS, Mode
from picograd.frontend.problems import located
from picograd.semantics.builder import Array, Ops
from picograd.semantics.gradients import GRADIENTS, NotDifferentiable

_order = count(1)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which version of which storage a value is."""

    cell: Cell
    version: int

    @property
    def is_current(self) -> bool:
        return self.cell.version == self.version


class Node:
    """Where a value came from.

    Nodes with a higher `order` are newer and never depend on lower ones.
    """

    order: int
    name: str
    trace: object | None
    """The trace in which the node was made; None outside of traces."""
    device: str
    """Where its value lives."""


@dataclass(slots=True)
class Var:
    """A value, the node that computed it (None: no gradient flows), and its storage."""

    value: Value
    node: Node | None = None
    stamp: Stamp | None = None


class Leaf(Protocol):
    """What gathers gradients: a tensor made by the user with `requires_grad=True`."""

    @property
    def device(self) -> str: ...

    def accumulate_grad(self, grad: Value) -> None: ...


class LeafNode(Node):
    """The end of the line: adds what arrives to the leaf's `.grad`."""

    def __init__(self, leaf: Leaf) -> None:
        self.order = 0
        self.name = "AccumulateGrad"
        self.trace = None
        self.device = leaf.device
        self._leaf = weakref.ref(leaf)

    def accumulate(self, grad: Value) -> None:
        leaf = self._leaf()
        if leaf is not None:  # otherwise nobody is left to read the gradient
            leaf.accumulate_grad(grad)


class BarrierNode(Node):
    """A value that requires a gradient, but through which no backward pass can go."""

    def __init__(self, message: str, hint: str, device: str) -> None:
        self.order = next(_order)
        self.name = "CompiledBackward"
        self.trace = None
        self.device = device
        self._message = message
        self._hint = hint

    def refuse(self) -> NoReturn:
        raise located(GradientError(self._message, hint=self._hint))


class MoveNode(Node):
    """A copy to another device; the gradient is copied back."""

    def __init__(self, source: Node, source_device: str, device: str) -> None:
        self.order = next(_order)
        self.name = "ToBackward"
        self.trace = None
        self.device = device
        self.source = source
        self.source_device = source_device

    def backward(self, grad: Value) -> Value:
        """The gradient on the device that the tensor came from."""
        return eager(self.source_device).constant(eager(self.device).download(grad))


class CallNode(Node):
    """One recorded call of an op; it is the `Call` that gradient rules see."""

    def __init__(
        self,
        op: type[TensorOp],
        operands: Sequence[Var],
        properties: Mapping[str, Attribute],
        mode: Mode,
        result: Value,
    ) -> None:
        self.order = next(_order)
        self.op = op
        self.name = _backward_name(op, properties)
        self.trace = SETTINGS.trace
        self.device = mode.device
        self.at = mode.here()
        self.properties = properties
        self.operand_types = [mode.type_of(operand.value) for operand in operands]
        self.result_type = mode.type_of(result)
        self.edges = [
            operand.node if dtype_of(type).is_float else None
            for operand, type in zip(operands, self.operand_types, strict=True)
        ]
        self._operands: list[Var] | None = list(operands)
        self._result: Var | None = Var(result)

    def needs(self, index: int) -> bool:
        return self.edges[index] is not None

    def operand(self, index: int) -> Value:
        if self._operands is None:
            self._refuse_second_pass()
        return self._saved(self._operands[index], self.operand_types[index])

    def result(self) -> Value:
        if self._result is None:
            self._refuse_second_pass()
        return self._saved(self._result, self.result_type)

    def stamp_result(self, value: Value, stamp: Stamp) -> None:
        """Tie the result, if `value` is it, to the first storage that holds it."""
        saved = self._result
        if saved is not None and saved.value is value and saved.stamp is None:
            saved.stamp = stamp

    def release(self) -> None:
        """Forget the values; a second backward pass is an error from now on."""
        self._operands = self._result = None

    def backward(self, ops: Mode, grad: Value) -> Sequence[Value | None]:
        """The gradients of the operands."""
        rule = GRADIENTS[self.op]
        assert not isinstance(rule, NotDifferentiable)
        with ops.placed_at(self.at):
            return rule(ops, self, grad)

    def _saved(self, var: Var, type: AnyTensor) -> Value:
        if var.stamp is not None and not var.stamp.is_current:
            raise located(
                GradientError(
                    "a tensor needed for the gradient has been changed by an operation in place",
                    expected=f"{type} at version {var.stamp.version}, as {self.name} saw it",
                    found=f"version {var.stamp.cell.version}",
                    hint="change a copy (.clone()), or change it after backward()",
                )
            )
        return var.value

    def _refuse_second_pass(self) -> NoReturn:
        raise located(
            GradientError(
                "backward through the same graph a second time, after its values were freed",
                expected="one backward pass for each forward pass",
                found=f"{self.name} was already visited",
                hint="call backward(retain_graph=True) the first time",
            )
        )


def _backward_name(op: type[TensorOp], properties: Mapping[str, Attribute]) -> str:
    kind = properties.get("kind")
    data = getattr(kind, "data", None)
    return (str(data).capitalize() if data else op.__name__.removesuffix("Op")) + "Backward"


class Tape(Ops[Var]):
    """Builds ops in a mode, and records those that a gradient will flow through."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode

    def emit(
        self,
        op: type[TensorOp],
        operands: Sequence[Var],
        properties: Mapping[str, Attribute] = {},
        name_hint: str | None = None,
    ) -> Var:
        value = self.mode.emit(op, [operand.value for operand in operands], properties, name_hint)
        if not SETTINGS.recording or all(operand.node is None for operand in operands):
            return Var(value)
        if isinstance(GRADIENTS[op], NotDifferentiable) or not self.mode.dtype_of(value).is_float:
            return Var(value)
        node = CallNode(op, operands, properties, self.mode, value)
        return Var(value, node if any(node.edges) else None)

    def constant(self, array: Array) -> Var:
        return Var(self.mode.constant(array))

    def type_of(self, value: Var) -> AnyTensor:
        return self.mode.type_of(value.value)


def detached(var: Var) -> Var:
    """The same value, through which no gradient flows."""
    return Var(var.value)


def unstamped(var: Var) -> Var:
    """The same value, free of its storage: an operation in place keeps its old operand."""
    return Var(var.value, var.node)


def backward(root: Node, grad: Value, *, retain_graph: bool) -> None:
    """Add the gradients of `root`'s value, weighted with `grad`, to the leaves it depends on.

    Raises GradientError when a needed value was changed in place or freed by an earlier pass.
    """
    pending: dict[Node, Value] = {root: grad}
    # Leaves have order 0: they come last, with all their gradients summed. Arrival breaks ties.
    arrival = count()
    queue = [(-root.order, next(arrival), root)]
    while queue:
        _, _, node = heapq.heappop(queue)
        for edge, part in _edge_gradients(node, pending.pop(node)):
            if edge in pending:
                pending[edge] = current(edge.device).add(pending[edge], part)
            else:
                pending[edge] = part
                heapq.heappush(queue, (-edge.order, next(arrival), edge))
        if isinstance(node, CallNode) and not retain_graph:
            node.release()


def _edge_gradients(node: Node, grad: Value) -> list[tuple[Node, Value]]:
    """The nodes that a node's operands come from, with their gradients."""
    if isinstance(node, LeafNode):
        node.accumulate(grad)
        return []
    if isinstance(node, BarrierNode):
        node.refuse()
    _check_trace(node)
    if isinstance(node, MoveNode):
        return [(node.source, node.backward(grad))]
    assert isinstance(node, CallNode)
    parts = node.backward(current(node.device), grad)
    return [
        (edge, part)
        for edge, part in zip(node.edges, parts, strict=True)
        if edge is not None and part is not None
    ]


def _check_trace(node: Node) -> None:
    if node.trace is not SETTINGS.trace:
        raise located(
            GradientError(
                "backward() inside a compiled function reaches ops that ran outside of it",
                expected="forward and backward in the same compiled function",
                found=f"{node.name} from outside",
                hint="compute the loss inside the compiled function, or detach() what it is given",
            )
        )
