"""The backward pass: from the nodes of some values back to the leaves they were computed from.

`pull_back` visits nodes from the newest to the oldest and asks `semantics.gradients` for the rule
of each. Rules build their ops on a `Tape`, so what they compute can be differentiated again.

Values that a node saved belong to the mode in which the op ran. A pass may run further inside, when
a function transformation calls it: then it lifts them. See `frontend.autodiff.levels`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import TypeAlias

from picograd.dialects.dtypes import AnyTensor
from picograd.dialects.tensor_base import Properties
from picograd.errors import GradientError
from picograd.frontend.autodiff.levels import Level, carried
from picograd.frontend.autodiff.tape import (
    AliasNode,
    BarrierNode,
    CallNode,
    FunctionNode,
    LeafNode,
    MoveNode,
    Node,
    PlannedNode,
    ResultNode,
    Tape,
    Var,
)
from picograd.frontend.modes.eager import current
from picograd.frontend.modes.mode import SETTINGS, set_recording
from picograd.frontend.problems import located
from picograd.semantics.gradients import GRADIENTS, NotDifferentiable

_HOLDERS = (PlannedNode, CallNode, FunctionNode)
"""The nodes that keep values for the backward pass."""


class _Every:
    """Holds every node, for a pass that goes to all leaves."""

    def __contains__(self, node: Node | None) -> bool:
        return node is not None


_EVERY = _Every()
_Wanted: TypeAlias = "set[Node] | _Every"
_Carry: TypeAlias = Callable[[Var], Var]


class _Visit:
    """A recorded call as its rule sees it during one pass."""

    def __init__(self, node: CallNode, wanted: _Wanted, carry: _Carry) -> None:
        self.properties: Properties = node.properties
        self.operand_types: Sequence[AnyTensor] = node.operand_types
        self.result_type: AnyTensor = node.result_type
        self._node = node
        self._wanted = wanted
        self._carry = carry

    def operand(self, index: int) -> Var:
        return self._carry(self._node.operand(index))

    def result(self) -> Var:
        return self._carry(self._node.result())

    def needs(self, index: int) -> bool:
        return self._node.edges[index] in self._wanted


def pull_back(
    roots: Sequence[tuple[Node, Var]],
    inputs: Sequence[Node] | None = None,
    *,
    retain_graph: bool = False,
    create_graph: bool | None = None,
) -> list[Var | None]:
    """The gradients of the values at `inputs`, given those of the values at the roots.

    None stands for an input that no root depends on. Without `inputs` all leaves get their
    gradients added to `.grad`. `create_graph` says whether the pass is recorded (None: if
    recording is on). Raises GradientError when a needed value was changed in place or freed by an
    earlier pass.
    """
    wanted = _EVERY if inputs is None else _between([node for node, _ in roots], inputs)
    records = SETTINGS.recording if create_graph is None else create_graph
    captured: dict[Node, Var | None] = dict.fromkeys(inputs or ())
    pending: dict[Node, Var] = {}
    gathered: dict[FunctionNode, dict[int, Var]] = {}  # gradients of a function's results
    # Leaves have order 0: they come last, with all their gradients summed. Arrival breaks ties.
    arrival = count()
    queue: list[tuple[int, int, Node]] = []

    def wait(node: Node) -> None:
        heapq.heappush(queue, (-node.order, next(arrival), node))

    def arrive(node: Node, grad: Var) -> None:
        if node in pending:
            pending[node] = Tape(current(node.device), records).add(pending[node], grad)
        elif node in wanted:
            pending[node] = grad
            wait(node)

    for node, seed in roots:
        arrive(node, seed)
    while queue:
        _, _, node = heapq.heappop(queue)
        if isinstance(node, FunctionNode):
            parts = _parts_of_function(node, gathered.pop(node), records)
        else:
            grad = pending.pop(node)
            if node.hooks:
                grad = _hooked(node, grad, records)
            if node in captured:
                captured[node] = grad
            if isinstance(node, ResultNode):
                if node.source in wanted:
                    if node.source not in gathered:
                        wait(node.source)
                    gathered.setdefault(node.source, {})[node.position] = grad
                continue
            parts = _parts(node, grad, wanted, records, leaves=inputs is None)
        for source, part in parts:
            arrive(source, part)
        if not retain_graph and isinstance(node, _HOLDERS):
            node.release()
    return [captured[node] for node in inputs or ()]


def _between(roots: Sequence[Node], inputs: Sequence[Node]) -> set[Node]:
    """The nodes on the ways from the roots to the inputs."""
    reached: set[Node] = set(roots)
    stack = list(roots)
    while stack:
        fresh = [source for source in stack.pop().sources() if source not in reached]
        reached.update(fresh)
        stack += fresh
    wanted = reached.intersection(inputs)
    if len(wanted) < len(set(inputs)):
        for node in reached:
            if isinstance(node, BarrierNode):  # the others may lie behind it
                node.refuse()
    for node in sorted(reached, key=_order):  # what a node depends on comes before it
        if any(source in wanted for source in node.sources()):
            wanted.add(node)
    return wanted


def _order(node: Node) -> int:
    return node.order


def _hooked(node: Node, grad: Var, records: bool) -> Var:
    """The gradient after the node's hooks have seen it."""
    with set_recording(records):
        for hook in node.hooks:
            changed = hook(grad)
            grad = grad if changed is None else changed
    return grad


def _parts(
    node: Node, grad: Var, wanted: _Wanted, records: bool, *, leaves: bool
) -> Sequence[tuple[Node, Var]]:
    """The nodes that a node's operands come from, with their gradients."""
    if isinstance(node, PlannedNode):
        if not leaves and not any(source in wanted for source in node.sources()):
            return []
        if SETTINGS.trace is not None:
            _carrier(node)  # refuses a pass from where the call was not made
        return node.pull(grad, records)
    if isinstance(node, LeafNode):
        if leaves:
            node.accumulate(grad)
        return []
    if isinstance(node, BarrierNode) and leaves:
        node.refuse()
    if not any(source in wanted for source in node.sources()):
        return []
    carry = _carrier(node)
    if isinstance(node, AliasNode):
        return [(source, grad) for source in node.sources()]
    if isinstance(node, MoveNode):
        return [(node.source, node.backward(grad))]
    assert isinstance(node, CallNode)
    rule = GRADIENTS[node.op]
    assert not isinstance(rule, NotDifferentiable)
    tape = Tape(current(node.device), records)
    with tape.mode.placed_at(node.at):
        parts = rule(tape, _Visit(node, wanted, carry), grad)
    return [
        (edge, part)
        for edge, part in zip(node.edges, parts, strict=True)
        if edge is not None and part is not None
    ]


def _parts_of_function(
    node: FunctionNode, grads: Mapping[int, Var], records: bool
) -> list[tuple[Node, Var]]:
    """The nodes of a function's arguments, with the gradients that its own rule computes."""
    _carrier(node)  # refuses a pass from where the function did not run
    with current(node.device).placed_at(node.at):
        parts = node.backward(grads, records)
    return [
        (edge, part)
        for edge, part in zip(node.edges, parts, strict=True)
        if edge is not None and part is not None
    ]


def _carrier(node: Node) -> _Carry:
    """How values that the node saved come into the mode of the pass.

    Raises GradientError when they cannot.
    """
    if node.trace is SETTINGS.trace:
        return _as_it_is
    home = node.trace
    if isinstance(home, Level) and home.is_around_or_beside(SETTINGS.trace):
        return lambda var: carried(var, home, SETTINGS.trace)
    raise located(
        GradientError(
            "backward() in a compiled or transformed function reaches ops that ran outside of it",
            code="PG412",
            expected="forward and backward in the same function",
            found=f"{node.name} from outside",
            hint="compute the loss inside the function, or detach() what it is given",
        )
    )


def _as_it_is(var: Var) -> Var:
    return var
