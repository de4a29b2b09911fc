"""The device `gpu`: tensors in GPU memory, programs of WGSL kernels."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from xdsl.dialects.builtin import ModuleOp, TensorType

from picograd.backends.runtime import (
    Array,
    Buffer,
    Device,
    Image,
    KeepingDevice,
    Program,
    own_buffer,
)
from picograd.backends.wgsl.plan import image_of, plan_of
from picograd.backends.wgsl.pool import MemoryPool
from picograd.backends.wgsl.program import WgslProgram
from picograd.backends.wgsl.runtime import Binding, Dispatch, Memory, open_gpu
from picograd.backends.wgsl.status import STATUS_BYTES, kernel_number
from picograd.backends.wgsl.storage import ELEMENT_BYTES, check_dtype, pack, unpack
from picograd.dialects import dtypes
from picograd.errors import IndexOutOfRange, source_of
from picograd.targets import register
from picograd.targets.gpu import adapter_target

Lines: TypeAlias = Callable[[], Sequence[str]]


class GpuBuffer:
    """A tensor in GPU memory, which goes back to the pool when nobody refers to it any more."""

    def __init__(self, device: GpuDevice, type: TensorType[Any], memory: Memory) -> None:
        self._device = device
        self._type = type
        self.memory = memory
        self.dtype = dtypes.from_ir(type.element_type)
        self._nbytes = ELEMENT_BYTES * math.prod(type.get_shape())

    @property
    def type(self) -> TensorType[Any]:
        return self._type

    @property
    def device(self) -> Device:
        return self._device

    @property
    def nbytes(self) -> int:
        return self._nbytes


class GpuDevice(KeepingDevice):
    """The process's GPU. Raises DeviceError with the remedy when the machine has none.

    Work is asynchronous: `Program.run` returns when the work is submitted, `download` waits.
    Devices are cheap after the first, because all of them share one wgpu device. With `checked`,
    wgpu's own bounds checks stay on even in kernels that are proved not to need them.
    """

    name = "gpu"

    def __init__(self, *, checked: bool = False) -> None:
        self.gpu = open_gpu()
        self.checked = checked
        self.adapter = self.gpu.name
        self.driver = self.gpu.driver
        self.pool = MemoryPool(self.gpu)
        self.status = self.gpu.create_memory(STATUS_BYTES, "status")
        self._pending: dict[int, tuple[str, Lines]] = {}
        limits = self.gpu.limits
        register(
            "gpu",
            adapter_target(
                adapter_type=self.gpu.adapter_type,
                # One binding is set aside for the status word.
                storage_buffers=limits.max_storage_buffers - 1,
                max_binding_bytes=limits.max_binding_bytes,
                workgroup_bytes=limits.max_workgroup_bytes,
                max_invocations=limits.max_invocations,
                max_workgroup_size=limits.max_workgroup_size,
                max_workgroups=limits.max_workgroups,
            ),
        )

    def allocate(self, type: TensorType[Any]) -> GpuBuffer:
        check_dtype(dtypes.from_ir(type.element_type))
        self.gpu.check_process()
        memory = self.pool.take(ELEMENT_BYTES * math.prod(type.get_shape()))
        buffer = GpuBuffer(self, type, memory)
        weakref.finalize(buffer, self.pool.give_back, memory)
        return buffer

    def empty_cache(self) -> None:
        self.pool.empty()

    def upload(self, array: Array) -> GpuBuffer:
        stored = pack(array)
        buffer = self.allocate(dtypes.tensor_type(array.shape, dtypes.from_numpy(array.dtype)))
        self.gpu.write(buffer.memory, stored)
        return buffer

    def download(self, buffer: Buffer) -> Array:
        """The contents as a fresh array, after every program that writes them has finished.

        Raises IndexOutOfRange when a program run since the last download met an index out of
        range: kernels record it, and the device can only tell now.
        """
        own = self.own(buffer)
        contents = Binding(own.memory, 0, own.nbytes)
        with self.gpu.lock:
            pending, self._pending = self._pending, {}
            parts = [Binding(self.status, 0, STATUS_BYTES)] if pending else []
            *status, data = self.gpu.read([*parts, contents])
        for words in status:
            self._check_status(words, pending)
        return unpack(data, tuple(own.type.get_shape()), own.dtype)

    def load(self, module: ModuleOp, *, cached: bool = True, sanitize: bool = False) -> Program:
        emitter = _emitter()
        if sanitize:
            return emitter.CheckedWgslProgram(self, module, cached=cached)
        return WgslProgram(self, emitter.planned(module, self.gpu.limits), cached=cached)

    @property
    def makes_code_for(self) -> str:
        return f"{super().makes_code_for}, {self.gpu.limits}"

    def compile(self, module: ModuleOp) -> Image:
        start = time.perf_counter()
        image = image_of(_emitter().planned(module, self.gpu.limits))
        return replace(image, seconds={"emission": time.perf_counter() - start})

    def restore(self, image: Image, *, cached: bool = True) -> WgslProgram:
        return WgslProgram(self, plan_of(image), cached=cached)

    def synchronize(self) -> None:
        """Wait until all submitted work has finished; raises IndexOutOfRange like `download`."""
        with self.gpu.lock:
            pending, self._pending = self._pending, {}
            (words,) = self.gpu.read([Binding(self.status, 0, STATUS_BYTES)])
        self._check_status(words, pending)

    def forget(self) -> None:
        """Make the pipelines of programs that are loaded from now on anew."""
        self.gpu.forget_pipelines()

    def own(self, buffer: Buffer) -> GpuBuffer:
        """The buffer, seen to be in this GPU's memory."""
        return own_buffer(buffer, GpuBuffer, self.name)

    def submit(self, dispatches: Sequence[Dispatch], checked: Mapping[str, Lines]) -> None:
        """Run kernels one after another.

        `checked` are those with checked indices, after which the next download looks at the status:
        by name, what tells the lines of the user's program that they compute.
        """
        # Whoever reads the status knows of all kernels that may have set it.
        with self.gpu.lock:
            for name, lines in checked.items():
                self._pending[kernel_number(name)] = name, lines
            self.gpu.submit(dispatches)

    def _check_status(self, words: bytes, pending: Mapping[int, tuple[str, Lines]]) -> None:
        failed, index, size, number = (int(word) for word in np.frombuffer(words, np.int32))
        if not failed:
            return
        self.gpu.write(self.status, np.zeros(STATUS_BYTES // 4, np.int32))
        kernel, lines_of = pending.get(number & 0xFFFFFFFF, ("?", tuple[str, ...]))
        lines = lines_of()
        of = f" of {', '.join(lines)}" if lines else ""
        where = f"kernel @{kernel}{of} on the GPU (reported at the first read-back after it)"
        where += source_of(lines)
        raise IndexOutOfRange.in_data(index, size, where=where)


def _emitter():
    """What reads IR, loaded when a program is compiled: those on disk are run without."""
    from picograd.backends.wgsl import from_ir

    return from_ir
