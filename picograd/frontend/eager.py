"""Eager mode: an op runs at once, through a cached executable of that one op.

The first call of an op on operands of given types compiles a function that holds just this op;
later calls only run it. So eager tensors and compiled functions compute with the same code
generator.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue

from picograd.backends import runtime
from picograd.compiler.executable import Executable, compile_module
from picograd.dialects.dtypes import AnyTensor
from picograd.dialects.tensor import TensorOp
from picograd.errors import PicogradError, TraceError
from picograd.frontend.cells import Cell, Value
from picograd.frontend.modes import SETTINGS, Mode, RuntimeValue
from picograd.frontend.problems import located
from picograd.semantics.builder import Array


class EagerMode(Mode):
    """Runs each op on one device. Make it with `eager(device)`, which shares the executables."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._device = runtime.device(device)
        self._executables: dict[object, Executable] = {}

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
        try:
            executable = self._executables.get(key)
            if executable is None:
                executable = compile_module(single_op_module(op, types, properties), self.device)
                self._executables[key] = executable
            return executable.run(buffers)[0]
        except PicogradError as error:
            located(error)
            raise

    def constant(self, array: Array) -> Value:
        try:
            return self._device.upload(array)
        except PicogradError as error:
            located(error)
            raise

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
            raise located(
                TraceError(
                    "a tensor of a compiled function is used after the function was traced",
                    expected="tensors that the compiled function returned",
                    found=f"a traced {cell.type} that was kept in a variable",
                    hint="return the tensor from the compiled function",
                )
            )
        return cell.value

    def write(self, cell: Cell, value: Value) -> None:
        cell.value = value
        cell.version += 1

    def new_cell(self, value: Value) -> Cell:
        return Cell(value, self.type_of(value), self.device)

    def runtime(self, number: RuntimeValue) -> Value:
        return self.constant(number.array(()))

    def here(self) -> str | None:
        return None

    @contextmanager
    def placed_at(self, at: str | None) -> Generator[None]:
        yield


@cache
def eager(device: str) -> EagerMode:
    """The eager mode of a device. Raises DeviceError when the machine has none."""
    try:
        return EagerMode(device)
    except PicogradError as error:
        located(error)
        raise


def current(device: str) -> Mode:
    """Where ops on tensors of this device go now: into this thread's trace, or to the device."""
    trace = SETTINGS.trace
    return eager(device) if trace is None else trace


def single_op_module(
    op: type[TensorOp], types: Sequence[AnyTensor], properties: Mapping[str, Attribute]
) -> ModuleOp:
    """A module whose `@main` is one op."""
    block = Block(arg_types=types)
    call = op.make(block.args, properties)
    block.add_ops([call, ReturnOp(call.result)])
    return function_module(block, types, [call.result])


def function_module(
    block: Block, types: Sequence[Attribute], results: Sequence[SSAValue[Any]]
) -> ModuleOp:
    """A module whose `@main` has this body."""
    signature = FunctionType.from_lists(types, [result.type for result in results])
    return ModuleOp([FuncOp("main", signature, Region(block))])
