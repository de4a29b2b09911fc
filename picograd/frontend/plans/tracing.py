"""The graph of one method on operands of given kinds, and the graph of its gradient.

The method runs on stand-ins, as a compiled function does when it is traced; the gradient is what a
backward pass over that run records. So plans know no op and no rule of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias, cast

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, BlockArgument, OpResult, SSAValue

from picograd.dialects.dtypes import AnyTensor, DType, nbytes_of, tensor_type
from picograd.dialects.literals import literal
from picograd.dialects.tensor import ConstantOp, TensorOp
from picograd.frontend.autodiff.backward import pull_back
from picograd.frontend.autodiff.tape import AliasNode, Node, Var
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.eager import BlockOps, escaped
from picograd.frontend.modes.mode import Mode, RuntimeValue, set_recording, set_trace
from picograd.frontend.promotion import number_dtype
from picograd.frontend.shown import History
from picograd.frontend.storage.cells import Cell, Value
from picograd.frontend.storage.chains import layout_through
from picograd.frontend.storage.signature import Signature
from picograd.frontend.storage.views import View
from picograd.quick_dataclasses import dataclass
from picograd.semantics.builder import Array

_SMALL = 1 << 14
"""Bytes of a value that is copied rather than shared."""

DEVICE = "cpu"
"""Where plans run."""

Kind: TypeAlias = "Signature | type"
"""What an operand is: a tensor's signature, or the type of a Python number."""


@dataclass(frozen=True)
class NumberInput:
    """An input that is one of the operands, a Python number, in a dtype."""

    operand: int
    dtype: DType


Input: TypeAlias = "int | NumberInput"
"""What an input of a program is: an operand by its number, or a number."""


@dataclass(frozen=True)
class Traced:
    """A graph: what goes in, in order, and the module; results that are None are not there."""

    module: ModuleOp
    inputs: tuple[Input, ...]
    results: tuple[AnyTensor, ...]
    is_copy: bool = False
    """Whether the one result is a tensor that goes in, as it is."""


@dataclass(frozen=True)
class Recipe:
    """A method that takes operands and nothing else, and their kinds."""

    method: Callable[..., Any]
    name: str
    kinds: tuple[Kind, ...]
    in_place: bool = False
    through_views: bool = False
    """Whether gradients go to what the operand views, and not to the operand."""

    def forward(self) -> Traced | None:
        """The graph of the result; None if that is not a new tensor, computed by ops."""
        trace = _PlanTrace()
        with set_trace(trace), set_recording(False):
            operands = trace.stand_ins(self, (None,) * len(self.kinds))
            result = self.method(*operands)
            value: object = operands[0].cell.value
            if not self.in_place:
                var = _var_of(result, operands)
                value = None if var is None else var.value
        if isinstance(value, BlockArgument):
            # A copy: the value itself would do, but small memory is copied in less time.
            return trace.traced([value]) if nbytes_of(trace.type_of(value)) <= _SMALL else None
        return trace.traced([value]) if isinstance(value, OpResult) else None

    def backward(self, mask: int) -> Backward | None:
        """The gradients of the operands in the bit set `mask`; None where none flows."""
        trace = _PlanTrace()
        with set_trace(trace), set_recording(True):
            nodes = [
                AliasNode(None, DEVICE, trace) if mask >> place & 1 else None
                for place in range(len(self.kinds))
            ]
            operands = trace.stand_ins(self, nodes)
            var = _var_of(self.method(*operands), operands)
            root = None if var is None else var.node
            if root is None or var is None:
                return None
            value = cast(SSAValue, var.value)
            type = trace.type_of(value)
            given, computed = trace.argument(type, _GRAD), trace.argument(type, _RESULT)
            wanted = [node for node in nodes if node is not None]
            found = pull_back([(root, Var(given))], wanted, create_graph=False)
        gradients = iter(None if var is None else cast(SSAValue, var.value) for var in found)
        parts = [None if node is None else next(gradients) for node in nodes]
        value.replace_all_uses_with(computed)
        return trace.backward(parts, given)


@dataclass(frozen=True)
class Backward:
    """The graph of a gradient: what goes in, and for each operand where its gradient is."""

    traced: Traced | None
    """None when no op is needed."""
    places: tuple[int | None, ...]
    """The number of a result, -1 for the gradient of the result itself, or None for no gradient."""
    uses: frozenset[int]
    """The operands whose values are needed, and RESULT, if that is."""


_GRAD, _RESULT = -1, -2
GRAD: Input = _GRAD
"""The input that is the gradient of the result."""
RESULT: Input = _RESULT
"""The input that is the result."""


def _var_of(result: object, operands: Sequence[TensorCore]) -> Var | None:
    """The value of a result with storage of its own that lies there densely; else None."""
    if not isinstance(result, TensorCore) or not result.is_contiguous():
        return None
    if any(result.cell is operand.cell for operand in operands):
        return None
    return result.read()


class _PlanTrace(Mode):
    """Builds the ops of one call, which has nothing but its operands."""

    device = DEVICE

    def __init__(self) -> None:
        self._ops = BlockOps([])
        self._inputs: dict[SSAValue, Input] = {}
        self._numbers: dict[Hashable, SSAValue] = {}

    # Operands

    def argument(self, type: AnyTensor, what: Input) -> SSAValue:
        """A further argument of the graph."""
        block = self._ops.block
        value = block.insert_arg(type, len(block.args))
        self._inputs[value] = what
        return value

    def stand_ins(self, recipe: Recipe, nodes: Sequence[Node | None]) -> list[TensorCore]:
        """The operands as the method sees them, and where their gradients go."""
        made: list[TensorCore] = []
        for place, (kind, node) in enumerate(zip(recipe.kinds, nodes, strict=True)):
            if isinstance(kind, Signature):
                cell = Cell(self.argument(kind.type, place), kind.type, self.device, self)
                untracked = 0 if recipe.through_views else len(kind.views)
                tensor = TensorCore.result_class(cell, kind.views, History(node), untracked)
            else:
                number = RuntimeValue("number", number_dtype(kind(0)), (), _refuse, place)
                tensor = TensorCore.result_class(self.new_cell(self.runtime(number)))
                tensor.number = number
            made.append(tensor)
        return made

    def runtime(self, number: RuntimeValue) -> Value:
        key = (number.key, number.dtype)
        if key not in self._numbers:
            what = NumberInput(cast(int, number.key), number.dtype)
            self._numbers[key] = self.argument(tensor_type((), number.dtype), what)
        return self._numbers[key]

    # Ops

    def emit(
        self,
        op: type[TensorOp],
        operands: Sequence[Value],
        properties: Mapping[str, Attribute] = {},
        name_hint: str | None = None,
    ) -> Value:
        return self._ops.emit(op, cast(Sequence[SSAValue], operands), properties, name_hint)

    def constant(self, array: Array) -> Value:
        return self.emit(ConstantOp, (), {"value": literal(array)})

    def type_of(self, value: Value) -> AnyTensor:
        return cast(AnyTensor, value.type)

    def here(self) -> str | None:
        return None

    def placed_at(self, at: str | None) -> AbstractContextManager[None]:
        return nullcontext()

    # Storage

    def read(self, cell: Cell) -> Value:
        if cell.trace is not self:
            raise escaped(cell)  # a plan depends on its operands only
        return cell.value

    def write(self, cell: Cell, value: Value) -> None:
        cell.value = value
        cell.version += 1

    def new_cell(self, value: Value) -> Cell:
        return Cell(value, self.type_of(value), self.device, self)

    # What comes out

    def traced(self, results: Sequence[SSAValue]) -> Traced:
        """The module that computes the results, without ops and arguments that nobody needs."""
        block = self._ops.block
        needed = set(results)
        for op in reversed(list(block.ops)):
            if any(result in needed for result in op.results):
                needed.update(op.operands)
            else:
                block.erase_op(op)
        for argument in list(block.args):
            if argument not in needed:
                block.erase_arg(argument)
        inputs = tuple(self._inputs[argument] for argument in block.args)
        types = tuple(self.type_of(value) for value in results)
        is_copy = list(results) == list(block.args) and isinstance(inputs[0], int)
        return Traced(self._ops.module(results), inputs, types, is_copy and len(inputs) == 1)

    def backward(self, parts: Sequence[SSAValue | None], given: SSAValue) -> Backward:
        """What computes these gradients of the operands."""
        computed = list(
            dict.fromkeys(part for part in parts if part is not None and part is not given)
        )
        places = tuple(
            None if part is None else -1 if part is given else computed.index(part)
            for part in parts
        )
        if not computed:
            return Backward(None, places, frozenset())
        traced = self.traced(computed)
        uses = frozenset(what for what in traced.inputs if isinstance(what, int) and what != GRAD)
        return Backward(traced, places, uses)


def _refuse(numbers: Sequence[float]) -> float:
    raise AssertionError("a plan's numbers are passed, not asked for")


def through(views: tuple[View, ...], signature: Signature) -> Recipe:
    """How gradients go through views of a dense tensor."""
    shown = Signature(signature.type, views, layout_through(signature.layout, views))
    return Recipe(_viewed, "view", (shown,), through_views=True)


def _viewed(tensor: TensorCore) -> TensorCore:
    return tensor.wrap(tensor.read())
