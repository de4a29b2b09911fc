"""A compiled module on the GPU: kernels as pipelines, run as a plan tells."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from picograd.backends.runtime import Array, Buffer, Program
from picograd.backends.wgsl.code import DispatchCode
from picograd.backends.wgsl.plan import Argument, Constant, Plan, Source, Status
from picograd.backends.wgsl.runtime import BindGroup, Binding, Dispatch, Memory, Pipeline
from picograd.backends.wgsl.status import STATUS_BYTES
from picograd.backends.wgsl.storage import ELEMENT_BYTES, stored_alike
from picograd.dialects.dtypes import from_ir
from picograd.errors import DTypeError, ShapeError

if TYPE_CHECKING:
    from picograd.backends.wgsl.device import GpuDevice

_BIND_GROUPS_KEPT = 64


class Launch:
    """One dispatch of a program, with the bind groups it has used lately."""

    def __init__(self, code: DispatchCode, pipeline: Pipeline, sources: Sequence[Source]) -> None:
        self.code = code
        self.pipeline = pipeline
        self.sources = tuple(sources)
        self.groups: OrderedDict[tuple[Memory, ...], BindGroup] = OrderedDict()


class WgslProgram(Program):
    """Runs a plan: one encoder and one compute pass a call."""

    def __init__(self, device: GpuDevice, plan: Plan, *, cached: bool = True) -> None:
        """Without `cached`, pipelines that other programs use already are made anew."""
        self._device = device
        self._plan = plan
        self._lock = threading.Lock()
        self._constants = [self._constant(*constant) for constant in plan.constants]
        self._launches = [
            Launch(
                planned.code,
                device.gpu.create_pipeline(
                    planned.code.text, len(planned.sources), planned.code.name, cached=cached
                ),
                planned.sources,
            )
            for planned in plan.launches
        ]
        self.texts = {"wgsl": plan.text}
        self.launches = len(self._launches)
        self._checked = [
            (dispatch.name, kernel.name)
            for kernel in plan.kernels
            for dispatch in kernel.dispatches
            if dispatch.uses_status and 0 not in dispatch.workgroups
        ]
        self.fails_late = bool(self._checked)

    @property
    def scratch_bytes(self) -> int:
        return self._plan.scratch_bytes

    def _constant(self, name: str, stored: Array) -> Binding:
        memory = self._device.gpu.create_memory(stored.nbytes, name)
        self._device.gpu.write(memory, stored)
        return Binding(memory, 0, max(ELEMENT_BYTES, stored.nbytes))

    # Running

    def run(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        """Submit the whole program; `Device.download` waits for it.

        The buffers are in the order of `@main`'s arguments, outputs last. Raises ShapeError or
        DTypeError for buffers that are not what the program was compiled for.
        """
        self._device.gpu.check_process()
        memories = self._checked_arguments([*inputs, *outputs])
        leased = [self._device.pool.take(nbytes) for nbytes in self._plan.leases]
        try:
            with self._lock:
                dispatches = [self._dispatch(n, memories, leased) for n in self._launches]
            if dispatches:
                lines = self.lines_of or _no_lines
                signed = {name: partial(lines, kernel) for name, kernel in self._checked}
                self._device.submit(dispatches, signed)
        finally:
            # The queue runs in order: whoever gets this memory next writes it after us.
            for memory in leased:
                self._device.pool.give_back(memory)

    def _checked_arguments(self, buffers: Sequence[Buffer]) -> list[Memory]:
        if len(buffers) != len(self._plan.arguments):
            raise ShapeError(
                "the program was called with a wrong number of buffers",
                code="PG309",
                expected=str(len(self._plan.arguments)),
                found=str(len(buffers)),
                hint="pass one buffer for each argument of @main",
            )
        memories: list[Memory] = []
        for position, (given, expected) in enumerate(
            zip(buffers, self._plan.arguments, strict=True)
        ):
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
        if isinstance(source, Constant):
            return self._constants[source.number]
        if isinstance(source, Status):
            return Binding(self._device.status, 0, STATUS_BYTES)
        # A binding of no bytes is rejected, and a kernel declares at least one element.
        size = max(ELEMENT_BYTES, source.nbytes)
        if isinstance(source, Argument):
            return Binding(memories[source.position], 0, size)
        return Binding(leased[source.number], source.offset, size)


def _no_lines(kernel: str) -> Sequence[str]:
    return ()
