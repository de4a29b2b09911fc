"""A compiled module on the GPU: kernels as pipelines, and a plan of what each is bound to."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, BlockArgument, SSAValue

from picograd.backends.runtime import Array, Buffer, Program
from picograd.backends.wgsl.emit import DispatchCode, KernelCode, emit_kernel
from picograd.backends.wgsl.runtime import BindGroup, Binding, Dispatch, Memory, Pipeline
from picograd.backends.wgsl.status import STATUS_BYTES
from picograd.backends.wgsl.storage import ELEMENT_BYTES, pack, stored_alike
from picograd.dialects import buffer
from picograd.dialects.dtypes import from_ir
from picograd.dialects.literals import array_of
from picograd.dialects.loop import KernelOp, LaunchOp
from picograd.dialects.loop_syntax import memref_type
from picograd.errors import CompileError, DTypeError, LimitError, ShapeError

if TYPE_CHECKING:
    from picograd.backends.wgsl.device import GpuDevice

OFFSET_ALIGNMENT = 256
_BIND_GROUPS_KEPT = 64


@dataclass(frozen=True)
class Argument:
    """Input or output number `position` of the call, in the order of `@main`'s arguments."""

    position: int
    nbytes: int


@dataclass(frozen=True)
class Leased:
    """A range of memory number `number` that each call leases from the pool."""

    number: int
    offset: int
    nbytes: int


Source: TypeAlias = Argument | Leased | Binding
"""What a kernel's operand is bound to; a Binding is a constant's memory or the status word."""


class Launch:
    """One dispatch of a program, with the bind groups it has used lately."""

    def __init__(self, code: DispatchCode, pipeline: Pipeline, sources: Sequence[Source]) -> None:
        self.code = code
        self.pipeline = pipeline
        self.sources = tuple(sources)
        self.groups: OrderedDict[tuple[Memory, ...], BindGroup] = OrderedDict()


class WgslProgram(Program):
    """Runs a lowered module's `@main`: one encoder and one compute pass a call.

    Raises CompileError for a module that is not at loop level, LimitError for one that the device
    cannot run.
    """

    def __init__(self, device: GpuDevice, module: ModuleOp, *, cached: bool = True) -> None:
        """Without `cached`, pipelines that other programs use already are made anew."""
        self._device = device
        self._shares_pipelines = cached
        self._lock = threading.Lock()
        self._leases: list[int] = []
        main = entry_of(module)
        kernels = {op.sym_name.data: op for op in module.ops if isinstance(op, KernelOp)}
        self._codes: dict[str, KernelCode] = {}
        self._lines: dict[str, Sequence[str]] = {}
        self._launches: list[Launch] = []
        sources: dict[SSAValue, Source] = {}
        for op in main.body.block.ops:
            if isinstance(op, LaunchOp):
                name = op.kernel.string_value()
                if name not in self._codes:
                    self._codes[name] = self._emit(kernels[name])
                    for dispatch in self._codes[name].dispatches:
                        self._lines[dispatch.name] = _lines_of(kernels[name])
                operands = [self._source(value, sources) for value in op.buffers]
                self._launches.extend(self._plan(self._codes[name], operands))
                self._launched(op, operands)
            elif not isinstance(
                op,
                ReturnOp | buffer.ArenaOp | buffer.PlaceOp | buffer.ConstantOp | buffer.AllocOp,
            ):
                raise CompileError(
                    f"{op.name} in @main has no meaning on the GPU",
                    code="PG606",
                    expected="loop.launch and the buffers they need",
                    found=str(op).strip().partition("\n")[0],
                    hint="lower the module with the GPU's pipeline first",
                )
        self._arguments = [memref_type(argument) for argument in main.args]
        self.texts = {"wgsl": "\n".join(code.text for code in self._codes.values())}
        self.launches = len(self._launches)
        self._checked = sorted({n.code.name for n in self._launches if n.code.uses_status})
        self.fails_late = bool(self._checked)

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the local buffers that kernels keep in global memory."""
        return sum(sum(code.scratch_bytes) for code in self._codes.values())

    # Planning

    def _emit(self, kernel: KernelOp) -> KernelCode:
        """The code of a kernel."""
        return emit_kernel(kernel, self._device.gpu.limits)

    def _launched(self, op: LaunchOp, operands: Sequence[Source]) -> None:
        """Called when the dispatches of a launch are planned; there is nothing to add."""

    def _status(self) -> Source:
        """Where kernels report an index out of range."""
        return Binding(self._device.status, 0, STATUS_BYTES)

    def _constant(self, name: str, stored: Array) -> Source:
        """Memory that holds a constant for the life of the program."""
        memory = self._device.gpu.create_memory(stored.nbytes, name)
        self._device.gpu.write(memory, stored)
        return Binding(memory, 0, max(ELEMENT_BYTES, stored.nbytes))

    def _source(self, value: SSAValue, known: dict[SSAValue, Source]) -> Source:
        """What a buffer of @main is bound to; arenas and constants are set up on first use."""
        if value not in known:
            type = memref_type(value)
            nbytes = ELEMENT_BYTES * math.prod(type.get_shape())
            if isinstance(value, BlockArgument):
                known[value] = Argument(value.index, nbytes)
            elif isinstance(value.owner, buffer.ConstantOp):
                stored = pack(array_of(value.owner.value))
                known[value] = self._constant(value.name_hint or "constant", stored)
            elif isinstance(value.owner, buffer.PlaceOp):
                known[value] = self._place(value.owner, nbytes, known)
            else:
                known[value] = self._lease(nbytes, value.name_hint or "buffer")
        return known[value]

    def _place(self, place: buffer.PlaceOp, nbytes: int, known: dict[SSAValue, Source]) -> Leased:
        offset = place.offset.value.data
        if offset % OFFSET_ALIGNMENT:
            raise CompileError(
                "a buffer's place in the arena does not fit the GPU's alignment",
                code="PG609",
                expected=f"a multiple of {OFFSET_ALIGNMENT}",
                found=f"offset {offset}",
                hint='plan the buffers with plan_buffers{target="gpu"}',
                where=f"%{place.result.name_hint or '?'}",
            )
        if place.arena not in known:
            (size,) = memref_type(place.arena).get_shape()
            known[place.arena] = self._lease(size, "arena")
        arena = known[place.arena]
        assert isinstance(arena, Leased)
        return Leased(arena.number, offset, nbytes)

    def _lease(self, nbytes: int, name: str) -> Leased:
        """Memory of each call's own; `name` is for those who look at it."""
        if nbytes > self._device.gpu.limits.max_buffer_bytes:
            raise LimitError(
                "the program's intermediates do not fit into one GPU buffer",
                code="PG307",
                expected=f"at most {self._device.gpu.limits.max_buffer_bytes} bytes "
                "(max-buffer-size)",
                found=f"{nbytes} bytes",
                hint="use smaller tensors or batches, or the device 'cpu'",
            )
        self._leases.append(nbytes)
        return Leased(len(self._leases) - 1, 0, nbytes)

    def _plan(self, code: KernelCode, operands: Sequence[Source]) -> list[Launch]:
        """The dispatches of one launch; its scratch buffers are leased with the arena."""
        name = f"scratch of {code.name}"
        scratch = [self._lease(nbytes, name) for nbytes in code.scratch_bytes]
        available = [*operands, *scratch]
        launches: list[Launch] = []
        for dispatch in code.dispatches:
            sources = [available[number] for number in dispatch.buffers]
            if dispatch.uses_status:
                sources.append(self._status())
            if 0 in dispatch.workgroups:
                continue
            pipeline = self._device.gpu.create_pipeline(
                dispatch.text, len(sources), dispatch.name, cached=self._shares_pipelines
            )
            launches.append(Launch(dispatch, pipeline, sources))
        return launches

    # Running

    def run(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        """Submit the whole program; `Device.download` waits for it.

        The buffers are in the order of `@main`'s arguments, outputs last. Raises ShapeError or
        DTypeError for buffers that are not what the program was compiled for.
        """
        self._device.gpu.check_process()
        memories = self._checked_arguments([*inputs, *outputs])
        leased = [self._device.pool.take(nbytes) for nbytes in self._leases]
        try:
            with self._lock:
                dispatches = [self._dispatch(n, memories, leased) for n in self._launches]
            for name in self._checked:
                self._device.expect_status(name, self._lines.get(name, ()))
            if dispatches:
                self._device.gpu.submit(dispatches)
        finally:
            # The queue runs in order: whoever gets this memory next writes it after us.
            for memory in leased:
                self._device.pool.give_back(memory)

    def _checked_arguments(self, buffers: Sequence[Buffer]) -> list[Memory]:
        if len(buffers) != len(self._arguments):
            raise ShapeError(
                "the program was called with a wrong number of buffers",
                code="PG309",
                expected=str(len(self._arguments)),
                found=str(len(buffers)),
                hint="pass one buffer for each argument of @main",
            )
        memories: list[Memory] = []
        for position, (given, expected) in enumerate(zip(buffers, self._arguments, strict=True)):
            own = self._device.own(given)
            if tuple(own.type.get_shape()) != tuple(expected.get_shape()):
                raise ShapeError(
                    f"argument {position} has the wrong shape",
                    code="PG309",
                    expected=str(list(expected.get_shape())),
                    found=str(list(own.type.get_shape())),
                    hint="upload an array of the shape that the program was compiled for",
                )
            wanted = from_ir(expected.element_type)
            # Each 32-bit type stands for others too, such as int32 for int64 and int8.
            if not stored_alike(own.dtype, wanted):
                raise DTypeError(
                    f"argument {position} has the wrong dtype",
                    code="PG309",
                    expected=wanted.name,
                    found=own.dtype.name,
                    hint="upload an array of the dtype that the program was compiled for",
                )
            memories.append(own.memory)
        return memories

    def _dispatch(
        self, launch: Launch, memories: Sequence[Memory], leased: Sequence[Memory]
    ) -> Dispatch:
        bindings = [self._resolve(source, memories, leased) for source in launch.sources]
        key = tuple(binding.memory for binding in bindings)
        group = launch.groups.get(key)
        if group is None:
            group = self._device.gpu.create_bind_group(launch.pipeline, bindings)
            launch.groups[key] = group
            if len(launch.groups) > _BIND_GROUPS_KEPT:
                launch.groups.popitem(last=False)
        else:
            launch.groups.move_to_end(key)
        return Dispatch(launch.pipeline, group, launch.code.workgroups)

    def _resolve(
        self, source: Source, memories: Sequence[Memory], leased: Sequence[Memory]
    ) -> Binding:
        """The memory that stands for a source in one call."""
        if isinstance(source, Binding):
            return source
        # A binding of no bytes is rejected, and a kernel declares at least one element.
        size = max(ELEMENT_BYTES, source.nbytes)
        if isinstance(source, Argument):
            return Binding(memories[source.position], 0, size)
        return Binding(leased[source.number], source.offset, size)


def entry_of(module: ModuleOp) -> FuncOp:
    """`@main`, or else the only function."""
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    main = [op for op in functions if op.sym_name.data == "main"] or functions
    if len(main) != 1:
        raise CompileError(
            "the module has no entry function",
            code="PG604",
            expected="@main, or one function",
            found=", ".join(f"@{op.sym_name.data}" for op in functions) or "no function",
            hint="name the entry function @main",
        )
    return main[0]


def _lines_of(kernel: KernelOp) -> Sequence[str]:
    """The lines of the user's program that a kernel computes, as far as it knows them."""
    at = kernel.attributes.get("at")
    parts = cast(ArrayAttr[Attribute], at).data if isinstance(at, ArrayAttr) else ()
    return [part.data for part in parts if isinstance(part, StringAttr)]
