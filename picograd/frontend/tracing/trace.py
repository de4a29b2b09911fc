"""Tracing: ops go into a block instead of to a device.

Storage that exists outside of the trace is never touched: the trace keeps its own idea of what
each cell holds, of versions, of `.grad` and of gradient histories, and puts everything back when
it ends. What the function did to them is replayed after every run of the compiled code, the first
one included.
"""

from __future__ import annotations

from collections.abc import Container, Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import cast

from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    ModuleOp,
    StringAttr,
    UnitAttr,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, OpResult, Region, SSAValue

from picograd.dialects.argument_notes import DONATED, KEPT, NAME
from picograd.dialects.dtypes import AnyTensor, tensor_type
from picograd.dialects.literals import literal
from picograd.dialects.tensor import ConstantOp, TensorOp, int_attr
from picograd.errors import DeviceError, GradientError, PicogradError, Place, TraceError
from picograd.frontend.autodiff.tape import Node
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.mode import Mode, RuntimeValue
from picograd.frontend.problems import located
from picograd.frontend.shown import History
from picograd.frontend.storage.cells import Cell, Value
from picograd.frontend.tracing.names import (
    legal_name,
    local_variables,
    set_hint,
    unique_name,
    user_frames,
)
from picograd.frontend.tracing.sources import FromArgument, FromCell, FromGrad, FromPython, Source
from picograd.semantics.builder import Array


class Trace(Mode):
    """One tracing of one function: a growing block, and what it read and changed outside."""

    def __init__(self, device: str, labels: Mapping[int, str], root: FrameType | None) -> None:
        self.device = device
        self.block = Block()
        self.sources: list[Source] = []
        self.mutated: dict[Cell, None] = {}
        self.grads: dict[TensorCore, TensorCore | None] = {}
        """The `.grad` that tensors had before the trace first read or set it."""
        self.grads_read: dict[TensorCore, AnyTensor | None] = {}
        """The type of each `.grad` that the trace depends on; None where there was none."""
        self.grad_cells: dict[Cell, TensorCore] = {}
        """The stand-ins for gradients that existed before."""
        self.argument_cells: dict[Cell, int] = {}
        self._labels = labels
        self._root = root
        self._held: dict[Cell, SSAValue] = {}
        self._versions: dict[Cell, int] = {}
        self._histories: dict[History, Node | None] = {}
        self._kept_histories: set[History] = set()
        self._numbers: dict[Hashable, SSAValue] = {}
        self._names: set[str] = set()
        self._frames: dict[FrameType, None] = {}
        self._suggestions: list[tuple[str, SSAValue]] = []
        self._places: dict[tuple[int, int], Place] = {}
        self._at: str | None = None

    # Building ops

    def emit(
        self,
        op: type[TensorOp],
        operands: Sequence[Value],
        properties: Mapping[str, Attribute] = {},
        name_hint: str | None = None,
    ) -> Value:
        try:
            made = op.make(cast(Sequence[SSAValue], operands), properties, name_hint, self.here())
        except PicogradError as error:
            located(error)
            raise
        self.block.add_op(made)
        return made.result

    def constant(self, array: Array) -> Value:
        return self.emit(ConstantOp, (), {"value": literal(array)})

    def type_of(self, value: Value) -> AnyTensor:
        return cast(AnyTensor, value.type)

    def here(self) -> str | None:
        innermost: FrameType | None = None
        for frame in user_frames(self._root):
            innermost = innermost or frame
            self._frames[frame] = None
        if self._at is not None or innermost is None:
            return self._at
        return self._place_in(innermost)

    def _place_in(self, frame: FrameType) -> Place:
        """The expression that a frame evaluates now: an op of many has the same one."""
        key = (id(frame.f_code), frame.f_lasti)  # the place keeps the code alive
        known = self._places.get(key)
        if known is None:
            known = self._places[key] = Place(frame)
        return known

    @contextmanager
    def placed_at(self, at: str | None) -> Generator[None]:
        before, self._at = self._at, at
        try:
            yield
        finally:
            self._at = before

    # Inputs

    def _input(self, source: Source, type: AnyTensor, name: str) -> SSAValue:
        value = self.block.insert_arg(type, len(self.block.args))
        value.name_hint = unique_name(legal_name(name), self._names)
        self.sources.append(source)
        return value

    def argument(self, index: int, type: AnyTensor, name: str) -> Cell:
        """The stand-in for the storage of a tensor among the arguments."""
        cell = Cell(self._input(FromArgument(index), type, name), type, self.device, self)
        self.argument_cells[cell] = index
        return cell

    def runtime(self, number: RuntimeValue) -> Value:
        key = None if number.key is None else (number.key, number.dtype)
        if key in self._numbers:
            return self._numbers[key]
        type = tensor_type(number.shape, number.dtype)
        value = self._input(FromPython(number), type, number.name)
        if key is not None:
            self._numbers[key] = value
        return value

    # Storage

    def read(self, cell: Cell) -> Value:
        if cell.trace is self:
            return cell.value
        if cell.trace is not None:
            raise located(
                TraceError(
                    "a tensor of another compiled function is used while tracing",
                    code="PG502",
                    expected="tensors of this function, or made outside of all of them",
                    found=f"a traced {cell.type} that was kept in a variable",
                    hint="return the tensor from its compiled function",
                )
            )
        if cell not in self._held:
            if cell.device != self.device:
                raise located(
                    DeviceError(
                        "a compiled function runs on one device",
                        code="PG302",
                        expected=f"tensors on {self.device!r}",
                        found=f"{cell.name or 'a tensor'} on {cell.device!r}",
                        hint=f"move it with .to({self.device!r}), or compile for {cell.device!r}",
                    )
                )
            name = cell.name or "captured"
            self._held[cell] = self._input(FromCell(cell), cell.type, name)
        return self._held[cell]

    def write(self, cell: Cell, value: Value) -> None:
        self._versions.setdefault(cell, cell.version)
        cell.version += 1
        if cell.trace is self:
            cell.value = value
            if cell in self.argument_cells or cell in self.grad_cells:
                self.mutated[cell] = None
        else:
            self._held[cell] = cast(SSAValue, value)
            self.mutated[cell] = None

    def new_cell(self, value: Value) -> Cell:
        return Cell(value, self.type_of(value), self.device, self)

    def held(self, cell: Cell) -> SSAValue | None:
        """What a cell holds in this trace, if the trace has met it."""
        if cell.trace is self:
            return cast(SSAValue, cell.value)
        return self._held.get(cell)

    # Gradients of tensors that outlive the trace

    def reads_grad(self, tensor: object) -> None:
        assert isinstance(tensor, TensorCore)
        if tensor.cell.trace is self or tensor in self.grads:
            return
        present = tensor.grad_slot
        self.grads[tensor] = present
        self.grads_read[tensor] = None if present is None else grad_type(present)
        if present is not None:
            type = grad_type(present)
            name = f"{tensor.cell.name or 'captured'}_grad"
            cell = Cell(self._input(FromGrad(tensor), type, name), type, self.device, self)
            self.grad_cells[cell] = tensor
            tensor.grad_slot = TensorCore.result_class(cell)

    def writes_grad(self, tensor: object) -> None:
        assert isinstance(tensor, TensorCore)
        if tensor.cell.trace is not self:
            self.grads.setdefault(tensor, tensor.grad_slot)

    def writes_history(self, tensor: object) -> None:
        assert isinstance(tensor, TensorCore)
        self._histories.setdefault(tensor.history, tensor.history.node)
        if tensor.cell.trace is not self or tensor.cell in self.argument_cells:
            self._kept_histories.add(tensor.history)

    def restore(self) -> None:
        """Undo what the traced function did to Python objects that outlive the trace."""
        for tensor, grad in self.grads.items():
            tensor.grad_slot = grad
        for history, node in self._histories.items():
            history.node = node
        for cell, version in self._versions.items():
            cell.version = version
            # Another thread may have seen the version in between, and that one comes once more.
            cell.begin_era()

    def check_histories(self) -> None:
        """Raise GradientError if storage from outside would need a gradient through this trace."""
        for history in self._kept_histories:
            if history.node is not None and history.node is not self._histories[history]:
                raise located(
                    GradientError(
                        "a tensor from outside keeps a gradient through a compiled function",
                        code="PG412",
                        expected="a change without gradient",
                        found="a change in place that depends on tensors that require one",
                        hint="detach() what is stored, or store it under no_grad()",
                    )
                )

    # Names

    def suggest_name(self, owner: object, value: Value) -> None:
        label = self._labels.get(id(owner))
        if label and label[-1].isdigit():
            label += ".out"  # a number at the end of a hint is taken for a mere counter
        if isinstance(owner, TensorCore):
            label = f"{owner.cell.name or label or 'captured'}_grad"
        if label and isinstance(value, OpResult):
            self._suggestions.append((label, value))

    def apply_names(self) -> None:
        """Name values after local variables, then after modules and gradients."""
        for name, value in local_variables(self._frames):
            if isinstance(value, TensorCore):
                base = self.held(value.cell)
                known = None if base is None else value.known_value(base)
                if isinstance(known, OpResult):
                    set_hint(known, name)
        for label, value in self._suggestions:
            set_hint(value, label)
        self._frames.clear()

    def module(
        self,
        results: Sequence[SSAValue],
        donated: Mapping[Source, int],
        kept: Container[Source] = (),
    ) -> ModuleOp:
        """The traced graph as a module whose `@main` returns these values.

        `donated` tells which inputs may be overwritten, and by which results; `kept` holds those
        that seldom change between calls.
        """
        self.block.add_op(ReturnOp(*results))
        types = [argument.type for argument in self.block.args]
        signature = FunctionType.from_lists(types, [result.type for result in results])
        notes: list[DictionaryAttr] = []
        for argument, source in zip(self.block.args, self.sources, strict=True):
            entries: dict[str, Attribute] = {NAME: StringAttr(argument.name_hint or "")}
            if source in donated:
                entries[DONATED] = int_attr(donated[source])
            elif source in kept:
                entries[KEPT] = UnitAttr()
            notes.append(DictionaryAttr(entries))
        return ModuleOp([FuncOp("main", signature, Region(self.block), arg_attrs=ArrayAttr(notes))])


def grad_type(grad: TensorCore) -> AnyTensor:
    """The type of a gradient as the compiled function takes it."""
    return tensor_type(grad.shape, grad.dtype) if grad.views else grad.cell.type
