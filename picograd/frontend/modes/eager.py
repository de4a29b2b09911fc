"""Eager mode: an op runs at once, through a cached executable of that one op.

The first call of an op on operands of given types compiles a function that holds just this op;
later calls only run it. So eager tensors and compiled functions compute with the same code
generator. In the lower modes of the ladder nothing is kept (`immediate`), or NumPy computes in the
device's place (`reference`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, cast

from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue

from picograd.backends import runtime
from picograd.compiler.executable import Executable, compile_module, when_cleared
from picograd.compiler.trust import trusted_device
from picograd.dialects.dtypes import AnyTensor, DType
from picograd.dialects.literals import literal
from picograd.dialects.tensor import ConstantOp, TensorOp
from picograd.errors import PicogradError, TraceError
from picograd.frontend.modes.ladder import LADDER, Rung
from picograd.frontend.modes.mode import SETTINGS, Mode, RuntimeValue
from picograd.frontend.problems import located
from picograd.frontend.storage.cells import Cell, Value
from picograd.frontend.storage.shared import SharedCell, borrowed_cell, shared_array
from picograd.frontend.storage.views import View
from picograd.semantics.builder import Array, Ops

_REFERENCE = "reference"
_SMALL = 4096
"""Bytes of the constants that are kept."""
_MOST_FILLED = 512
"""Of them."""


class EagerMode(Mode):
    """Runs each op on one device. Make it with `eager(device)`, which shares the executables."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._device = trusted_device(device)
        # To ask an object whether its class is derived from an abstract one takes a while.
        self._sharing = self._device if isinstance(self._device, runtime.SharingDevice) else None
        self._executables: dict[object, Executable] = {}
        self._filled: dict[Hashable, Value] = {}
        self._readers: dict[int, tuple[AnyTensor, Callable[[Any, int], Any] | None]] = {}
        when_cleared(self._executables.clear)

    def emit(
        self,
        op: type[TensorOp],
        operands: Sequence[Value],
        properties: Mapping[str, Attribute] = {},
        name_hint: str | None = None,
    ) -> Value:
        buffers = cast(Sequence[runtime.Buffer], operands)
        types = tuple(buffer.type for buffer in buffers)
        key = (op, types, tuple(properties.items()))
        return self._run(key, lambda: single_op_module(op, types, properties), buffers)

    def compose(
        self, key: Hashable, function: Callable[[Ops[Any], Any], Any], operand: Value
    ) -> Value:
        buffer = cast(runtime.Buffer, operand)

        def module() -> ModuleOp:
            ops = BlockOps([buffer.type])
            return ops.module([function(ops, ops.block.args[0])])

        return self._run((key, buffer.type), module, [buffer])

    def _run(
        self, key: Hashable, module: Callable[[], ModuleOp], operands: Sequence[runtime.Buffer]
    ) -> runtime.Buffer:
        """The one result of a small program on these operands, in the way of this thread's mode."""
        rung = LADDER.rung
        try:
            if rung is Rung.IMMEDIATE:
                executable = compile_module(module(), self.device, cached=False)
            elif rung is Rung.REFERENCE and self.device != _REFERENCE:
                return self._on_reference(key, module, operands)
            else:
                executable = self._executables.get(key)
                if executable is None:
                    executable = compile_module(module(), self.device)
                    self._executables[key] = executable
            return executable.run(operands)[0]
        except PicogradError as error:
            located(error)
            raise

    def _on_reference(
        self, key: Hashable, module: Callable[[], ModuleOp], operands: Sequence[runtime.Buffer]
    ) -> runtime.Buffer:
        """The result as NumPy computes it, brought here; the operands are fetched from here."""
        numpy = eager(_REFERENCE)
        arrays = [numpy._device.upload(self._device.download(operand)) for operand in operands]
        return self._device.upload(numpy._device.download(numpy._run(key, module, arrays)))

    def copy(self, value: Value) -> Value:
        """A buffer of its own with the same contents."""
        held = cast(runtime.Buffer, value)
        if self._sharing is not None:  # there that needs no program
            copied = self._sharing.allocate(held.type)
            self._sharing.overwrite(copied, held)
            return copied
        type = self.type_of(value)
        key = ("copy", type)
        executable = self._executables.get(key)
        if executable is None:
            ops = BlockOps([type])
            executable = compile_module(ops.module(ops.block.args), self.device)
            self._executables[key] = executable
        return executable.run([held])[0]

    def constant(self, array: Array) -> Value:
        try:
            return self._device.upload(array)
        except PicogradError as error:
            located(error)
            raise

    def full(self, shape: Sequence[int], number: bool | float, dtype: DType) -> Value:
        """A tensor of one number; small ones are kept, for values never change."""
        if LADDER.rung is Rung.IMMEDIATE or prod(shape) * dtype.itemsize > _SMALL:
            return super().full(shape, number, dtype)
        key = (tuple(shape), type(number), repr(number), dtype)
        known = self._filled.get(key)
        if known is None:
            if len(self._filled) >= _MOST_FILLED:
                self._filled.clear()
            known = self._filled[key] = super().full(shape, number, dtype)
        return known

    def reader(self, type: AnyTensor) -> Callable[[Any, int], bool | int | float] | None:
        """What reads the number out of a buffer of one element, where the device offers it."""
        known = self._readers.get(id(type))
        if known is None:
            if len(self._readers) >= _MOST_FILLED:
                self._readers.clear()
            read = self._device.reader(type) if prod(type.get_shape()) == 1 else None
            known = self._readers[id(type)] = (type, read)  # whose identity stays taken
        return known[1]

    def type_of(self, value: Value) -> AnyTensor:
        return value.type  # pyright: ignore[reportReturnType]

    def download(self, value: Value) -> Array:
        """The contents of a buffer, after everything that writes it has finished."""
        try:
            return self._device.download(cast(runtime.Buffer, value))
        except PicogradError as error:
            located(error)
            raise

    def read(self, cell: Cell) -> Value:
        if cell.trace is not None:
            raise escaped(cell)
        return cell.snapshot() if isinstance(cell, SharedCell) else cell.value

    def shared(self, cell: Cell, views: tuple[View, ...]) -> Array | None:
        """An array over the memory of what views show; None where NumPy does not reach it."""
        device = self._sharing
        if cell.trace is not None or device is None:
            return None
        return shared_array(cell, views, device)

    def borrowed(self, array: Array) -> tuple[Cell, tuple[View, ...]] | None:
        """Storage over the memory of an array, and how to look at it; None on devices with memory
        of their own.
        """
        return None if self._sharing is None else borrowed_cell(array, self._sharing)

    def write(self, cell: Cell, value: Value) -> None:
        cell.value = value
        cell.version += 1

    def new_cell(self, value: Value) -> Cell:
        return Cell(value, self.type_of(value), self.device)

    def runtime(self, number: RuntimeValue) -> Value:
        return self.constant(number.array(()))

    @property
    def scope(self) -> Mode | None:
        return None

    @property
    def runs_now(self) -> bool:
        return True

    def revealed(self, value: Value) -> Array | None:
        return self.download(value)

    def here(self) -> str | None:
        return None

    @contextmanager
    def placed_at(self, at: str | None) -> Generator[None]:
        yield


def escaped(cell: Cell) -> TraceError:
    """The error for a tensor that is used after the function that made it was traced."""
    return located(
        TraceError(
            "a tensor of a compiled or transformed function is used outside of it",
            code="PG502",
            expected="tensors that the function returned",
            found=f"a {cell.type} from inside, which was kept in a variable",
            hint="return the tensor from the function",
        )
    )


_modes: dict[str, EagerMode] = {}
"""By name. `functools.cache` would tell a `Device` from a plain text, and make a second mode."""


def eager(device: str) -> EagerMode:
    """The eager mode of a device. Raises DeviceError when the machine has none."""
    mode = _modes.get(device)
    if mode is not None:
        return mode
    try:
        return _modes.setdefault(str(device), EagerMode(str(device)))
    except PicogradError as error:
        located(error)
        raise


def current(device: str) -> Mode:
    """Where ops on tensors of this device go now: into this thread's trace, or to the device."""
    trace = SETTINGS.trace
    return eager(device) if trace is None else trace


class BlockOps(Ops[SSAValue]):
    """Appends ops to the body of a function."""

    def __init__(self, types: Sequence[AnyTensor]) -> None:
        self.block = Block(arg_types=types)

    def emit(
        self,
        op: type[TensorOp],
        operands: Sequence[SSAValue],
        properties: Mapping[str, Attribute] = {},
        name_hint: str | None = None,
    ) -> SSAValue:
        made = op.make(operands, properties, name_hint)
        self.block.add_op(made)
        return made.result

    def constant(self, array: Array) -> SSAValue:
        return self.emit(ConstantOp, (), {"value": literal(array)})

    def type_of(self, value: SSAValue) -> AnyTensor:
        return cast(AnyTensor, value.type)

    def module(self, results: Sequence[SSAValue]) -> ModuleOp:
        """A module whose `@main` returns these values. The block is finished."""
        self.block.add_op(ReturnOp(*results))
        types = [argument.type for argument in self.block.args]
        signature = FunctionType.from_lists(types, [result.type for result in results])
        return ModuleOp([FuncOp("main", signature, Region(self.block))])


def single_op_module(
    op: type[TensorOp], types: Sequence[AnyTensor], properties: Mapping[str, Attribute]
) -> ModuleOp:
    """A module whose `@main` is one op."""
    ops = BlockOps(types)
    return ops.module([ops.emit(op, ops.block.args, properties)])
