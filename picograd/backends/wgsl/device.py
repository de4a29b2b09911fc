"""The device `gpu`: tensors in GPU memory, programs of WGSL kernels."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp, TensorType

from picograd.backends.runtime import Array, Buffer, Device, Program, own_buffer
from picograd.backends.wgsl.checked_program import CheckedWgslProgram
from picograd.backends.wgsl.pool import MemoryPool
from picograd.backends.wgsl.program import WgslProgram
from picograd.backends.wgsl.runtime import Binding, Memory, open_gpu
from picograd.backends.wgsl.status import STATUS_BYTES, kernel_number
from picograd.backends.wgsl.storage import ELEMENT_BYTES, check_dtype, pack, unpack
from picograd.dialects import dtypes
from picograd.errors import IndexOutOfRange, source_of
from picograd.targets import register
from picograd.targets.gpu import adapter_target


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


class GpuDevice(Device):
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
        self._status_is_pending = False
        self._kernels: dict[int, tuple[str, Sequence[str]]] = {}
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
        parts = [Binding(self.status, 0, STATUS_BYTES)] if self._status_is_pending else []
        parts.append(Binding(own.memory, 0, own.nbytes))
        *status, data = self.gpu.read(parts)
        for words in status:
            self._check_status(words)
        return unpack(data, tuple(own.type.get_shape()), own.dtype)

    def load(self, module: ModuleOp, *, cached: bool = True, sanitize: bool = False) -> Program:
        if sanitize:
            return CheckedWgslProgram(self, module, cached=cached)
        return WgslProgram(self, module, cached=cached)

    def synchronize(self) -> None:
        """Wait until all submitted work has finished; raises IndexOutOfRange like `download`."""
        (words,) = self.gpu.read([Binding(self.status, 0, STATUS_BYTES)])
        self._check_status(words)

    def forget(self) -> None:
        """Make the pipelines of programs that are loaded from now on anew."""
        self.gpu.forget_pipelines()

    def own(self, buffer: Buffer) -> GpuBuffer:
        """The buffer, seen to be in this GPU's memory."""
        return own_buffer(buffer, GpuBuffer, self.name)

    def expect_status(self, kernel_name: str, lines: Sequence[str] = ()) -> None:
        """Note that a kernel with checked indices runs: the next download looks at the status.

        `lines` are those of the user's program that the kernel computes.
        """
        self._kernels[kernel_number(kernel_name)] = kernel_name, lines
        self._status_is_pending = True

    def _check_status(self, words: bytes) -> None:
        self._status_is_pending = False
        failed, index, size, number = (int(word) for word in np.frombuffer(words, np.int32))
        if not failed:
            return
        self.gpu.write(self.status, np.zeros(STATUS_BYTES // 4, np.int32))
        kernel, lines = self._kernels.get(number & 0xFFFFFFFF, ("?", ()))
        of = f" of {', '.join(lines)}" if lines else ""
        where = f"kernel @{kernel}{of} on the GPU (reported at the first read-back after it)"
        where += source_of(lines)
        raise IndexOutOfRange.in_data(index, size, where=where)
