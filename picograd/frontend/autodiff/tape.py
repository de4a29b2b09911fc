"""The gradient tape: what ran, as a graph of nodes.

`Tape` is a builder of ops over `Var`s. Each op goes to the mode beneath; when it depends on a
tensor that requires a gradient, a `Node` remembers the call. The backward pass over the nodes
stands in `frontend.autodiff.backward`.
"""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NoReturn, Protocol, TypeAlias

from xdsl.ir import Attribute

from picograd.dialects.dtypes import AnyTensor, DType, dtype_of
from picograd.dialects.tensor import TensorOp
from picograd.errors import GradientError
from picograd.frontend.modes.eager import eager
from picograd.frontend.modes.mode import SETTINGS, Mode
from picograd.frontend.problems import located
from picograd.frontend.storage.cells import Cell, Value
from picograd.semantics.builder import Array, Ops
from picograd.semantics.gradients import GRADIENTS, NotDifferentiable

_order = count(1)
next_order = _order.__next__
"""The order of the next node."""


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
    trace: Mode | None
    """The trace or transformation in which the node was made; None outside of them."""
    device: str
    """Where its value lives."""
    hooks: tuple[Hook, ...] = ()
    """What looks at the gradient of the node's value once it is complete, and may replace it."""

    def sources(self) -> Sequence[Node]:
        """The nodes that gradients go on to."""
        return ()


@dataclass(slots=True)
class Var:
    """A value, the node that computed it (None: no gradient flows), and its storage."""

    value: Value
    node: Node | None = None
    stamp: Stamp | None = None


Hook: TypeAlias = Callable[[Var], Var | None]


class Leaf(Protocol):
    """What gathers gradients: a tensor made by the user with `requires_grad=True`."""

    @property
    def device(self) -> str: ...

    def accumulate_grad(self, grad: Var) -> None: ...


class LeafNode(Node):
    """The end of the line: adds what arrives to the leaf's `.grad`."""

    def __init__(self, leaf: Leaf) -> None:
        self.order = 0
        self.name = "AccumulateGrad"
        self.trace = None
        self.device = leaf.device
        self._leaf = weakref.ref(leaf)

    @property
    def leaf(self) -> Leaf | None:
        """The tensor; None when nobody holds it any more."""
        return self._leaf()

    def accumulate(self, grad: Var) -> None:
        """Add to the leaf's `.grad`; a gradient with a node of its own stays differentiable."""
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
        raise located(
            GradientError(
                self._message,
                code="PG412",
                expected="a graph that was recorded in the same place",
                found=f"{self.name}, behind which nothing was recorded",
                hint=self._hint,
            )
        )


class MoveNode(Node):
    """A copy to another device; the gradient is copied back."""

    def __init__(self, source: Node, source_device: str, device: str) -> None:
        self.order = next(_order)
        self.name = "ToBackward"
        self.trace = None
        self.device = device
        self.source = source
        self.source_device = source_device

    def sources(self) -> Sequence[Node]:
        return (self.source,)

    def backward(self, grad: Var) -> Var:
        """The gradient on the device that the tensor came from."""
        value = eager(self.source_device).constant(eager(self.device).download(grad.value))
        if grad.node is None:
            return Var(value)
        return Var(value, MoveNode(grad.node, self.device, self.source_device))


class AliasNode(Node):
    """A value as one call sees it: its gradient is that call's share, and goes on unchanged."""

    def __init__(self, source: Node | None, device: str, trace: Mode | None) -> None:
        self.order = next(_order)
        self.name = "AliasBackward"
        self.trace = trace
        self.device = device
        self.source = source

    def sources(self) -> Sequence[Node]:
        return () if self.source is None else (self.source,)


class PlannedNode(Node):
    """A call whose gradient is one program. See `frontend.plans`."""

    @abstractmethod
    def pull(self, grad: Var, records: bool) -> Sequence[tuple[Node, Var]]:
        """The nodes that gradients go on to, with these; recorded, if asked for."""

    @abstractmethod
    def release(self) -> None:
        """Forget the values; a second backward pass is an error from now on."""


class FunctionNode(Node):
    """A call of a function with a gradient of its own, `autograd.Function`.

    A backward pass gives it the gradients of all results that it reached, by position.
    """

    def __init__(
        self,
        name: str,
        edges: Sequence[Node | None],
        mode: Mode,
        backward: Callable[[Mapping[int, Var], bool], Sequence[Var | None]],
        release: Callable[[], None],
    ) -> None:
        self.order = next(_order)
        self.name = name
        self.trace = mode.scope
        self.device = mode.device
        self.at = mode.here()
        self.edges = list(edges)
        self.backward = backward
        """The gradients of the arguments, given those of results; recorded if the flag is set."""
        self.release = release

    def sources(self) -> Sequence[Node]:
        return [edge for edge in self.edges if edge is not None]


class ResultNode(Node):
    """One of the results of a `FunctionNode`."""

    def __init__(self, source: FunctionNode, position: int) -> None:
        self.order = next(_order)
        self.name = source.name
        self.trace = source.trace
        self.device = source.device
        self.source = source
        self.position = position

    def sources(self) -> Sequence[Node]:
        return (self.source,)


class CallNode(Node):
    """One recorded call of an op: the `Call` that gradient rules see, through the backward pass."""

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
        self.trace = mode.scope
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
        # Without this node: the two would keep each other alive.
        self._result: Var | None = Var(result)

    def sources(self) -> Sequence[Node]:
        return [edge for edge in self.edges if edge is not None]

    def operand(self, index: int) -> Var:
        """An operand as the op saw it. Raises GradientError if it changed since or was freed."""
        if self._operands is None:
            self._refuse_second_pass()
        return self._saved(self._operands[index], self.operand_types[index])

    def result(self) -> Var:
        """The op's result. Raises GradientError if it changed since or was freed."""
        if self._result is None:
            self._refuse_second_pass()
        saved = self._saved(self._result, self.result_type)
        return Var(saved.value, self, saved.stamp)

    def stamp_result(self, value: Value, stamp: Stamp) -> None:
        """Tie the result, if `value` is it, to the first storage that holds it."""
        saved = self._result
        if saved is not None and saved.value is value and saved.stamp is None:
            saved.stamp = stamp

    def release(self) -> None:
        """Forget the values; a second backward pass is an error from now on."""
        self._operands = self._result = None

    def _saved(self, var: Var, type: AnyTensor) -> Var:
        if var.stamp is not None and not var.stamp.is_current:
            raise changed_since(type, var.stamp, self.name)
        return var

    def _refuse_second_pass(self) -> NoReturn:
        raise second_pass(self.name)


def changed_since(type: AnyTensor, stamp: Stamp, name: str) -> GradientError:
    """The error for a saved value that an operation in place has replaced."""
    return located(
        GradientError(
            "a tensor needed for the gradient has been changed by an operation in place",
            code="PG404",
            expected=f"{type} at version {stamp.version}, as {name} saw it",
            found=f"version {stamp.cell.version}",
            hint="change a copy (.clone()), or change it after backward()",
        )
    )


def second_pass(name: str) -> GradientError:
    """The error for a backward pass over a call whose values were freed by an earlier one."""
    return located(
        GradientError(
            "backward through the same graph a second time, after its values were freed",
            code="PG403",
            expected="one backward pass for each forward pass",
            found=f"{name} was already visited",
            hint="call backward(retain_graph=True) the first time",
        )
    )


def _backward_name(op: type[TensorOp], properties: Mapping[str, Attribute]) -> str:
    kind = properties.get("kind")
    data = getattr(kind, "data", None)
    return (str(data).capitalize() if data else op.__name__.removesuffix("Op")) + "Backward"


class Tape(Ops[Var]):
    """Builds ops in a mode, and records those that a gradient will flow through.

    `records` overrules the thread's switch for recording gradients.
    """

    def __init__(self, mode: Mode, records: bool | None = None) -> None:
        self.mode = mode
        self._records = records

    def emit(
        self,
        op: type[TensorOp],
        operands: Sequence[Var],
        properties: Mapping[str, Attribute] = {},
        name_hint: str | None = None,
    ) -> Var:
        value = self.mode.emit(op, [operand.value for operand in operands], properties, name_hint)
        records = SETTINGS.recording if self._records is None else self._records
        if not records or all(operand.node is None for operand in operands):
            return Var(value)
        if isinstance(GRADIENTS[op], NotDifferentiable) or not self.mode.dtype_of(value).is_float:
            return Var(value)
        node = CallNode(op, operands, properties, self.mode, value)
        return Var(value, node if any(node.edges) else None)

    def constant(self, array: Array) -> Var:
        return Var(self.mode.constant(array))

    def full(self, shape: Sequence[int], number: bool | float, dtype: DType) -> Var:
        return Var(self.mode.full(shape, number, dtype))

    def type_of(self, value: Var) -> AnyTensor:
        return self.mode.type_of(value.value)


def detached(var: Var) -> Var:
    """The same value, through which no gradient flows."""
    return Var(var.value)


def unstamped(var: Var) -> Var:
    """The same value, free of its storage: an operation in place keeps its old operand."""
    return Var(var.value, var.node)
