"""The CPU as a device: buffers in memory, programs as machine code."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp, TensorType

from picograd.backends.llvm import codegen, held, objects
from picograd.backends.llvm.image import emitted_of
from picograd.backends.llvm.launcher import Launch, copier
from picograd.backends.llvm.memory import Block, BlockPool, Shelf
from picograd.backends.llvm.program import CpuMemory, CpuProgram
from picograd.backends.llvm.python_functions import can_launch
from picograd.backends.llvm.standing.code import ENTRY_CODE
from picograd.backends.llvm.thread_pool import ThreadPool, shared_pool
from picograd.backends.loans import lent_block, lent_bytes
from picograd.backends.recipes import Argument, Constant, Earlier, Item, Made, Taken
from picograd.backends.runtime import (
    Array,
    Buffer,
    Compiling,
    Device,
    Image,
    KeepingDevice,
    SharingDevice,
    SteppedProgram,
    own_buffer,
)
from picograd.dialects.dtypes import dtype_of, from_numpy, nbytes_of, tensor_type

FEATURES = ("sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512vl", "avx512bw", "neon")

_C_TYPES: dict[str, Any] = {
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
    "int64": ctypes.c_int64,
    "int32": ctypes.c_int32,
    "bool": ctypes.c_bool,
}


class CpuBuffer(CpuMemory):
    """Memory of the process that holds one dense row-major tensor."""

    __slots__ = ("__weakref__", "_block", "_shelf", "device", "type")

    def __init__(self, type: TensorType[Any], nbytes: int, device: Device, shelf: Shelf) -> None:
        """The memory comes from `shelf`, and goes back there when the buffer is no longer used."""
        block = shelf.take()
        self._shelf = shelf
        self._block = block
        self.type = type
        self.nbytes = nbytes
        self.device = device
        self.address = block.address

    @property
    def array(self) -> Array:
        """The contents, not copied: valid while the buffer lives."""
        return self._block.array(dtype_of(self.type).numpy, self.type.get_shape())

    @property
    def block_bytes(self) -> int:
        """The size of the block that the contents begin: there are a few such in each octave."""
        return self._block.nbytes

    def __del__(self) -> None:
        try:
            self._shelf.give(self._block)
        except AttributeError:  # there was no memory to take
            return


class BorrowedBuffer(CpuBuffer):
    """Memory of a NumPy array, which the buffer keeps."""

    __slots__ = ("_array",)

    def __init__(self, array: Array, address: int, device: Device) -> None:
        self._array = array
        self.type = tensor_type(array.shape, from_numpy(array.dtype))
        self.nbytes = array.nbytes
        self.device = device
        self.address = address

    @property
    def array(self) -> Array:
        return self._array

    def __del__(self) -> None:
        """There is no memory to give back."""


class CpuDevice(KeepingDevice, SharingDevice):
    """The processor that this process runs on."""

    name = "cpu"

    def __init__(self, pool: ThreadPool | None = None) -> None:
        """`pool` runs parallel loops; all devices share one unless they are given their own."""
        if can_launch():
            ENTRY_CODE.begin()
        self.pool = pool or shared_pool()
        self.adapter = _processor_name()
        self._memory = BlockPool()

    def details(self) -> Sequence[tuple[str, str]]:
        """The processor as LLVM knows it, and those of its features that change what kernels do."""
        host = codegen.host()
        present = [name for name in FEATURES if f"+{name}," in f"{host.features},"]
        features = " ".join(present) or "none of " + " ".join(FEATURES)
        return (("LLVM", codegen.VERSION), ("LLVM calls it", host.name), ("features", features))

    def allocate(self, type: TensorType[Any]) -> CpuBuffer:
        nbytes = nbytes_of(type)
        return CpuBuffer(type, nbytes, self, self._memory.shelf(nbytes))

    def allocator(self, types: Sequence[TensorType[Any]]) -> Callable[[], list[Buffer]]:
        makers = [self.maker(type) for type in types]
        return lambda: [make() for make in makers]

    def maker(self, type: TensorType[Any]) -> Callable[[], Buffer]:
        nbytes = nbytes_of(type)
        shelf = self._memory.shelf(nbytes)
        made = Made(
            CpuBuffer,
            {
                "_shelf": Constant(shelf),
                "_block": Earlier(0),
                "type": Constant(type),
                "nbytes": Constant(nbytes),
                "device": Constant(self),
                "address": Earlier(0, "address"),
            },
        )
        recipe = (Taken(shelf.free.pop, shelf.take, Block), made)
        return objects.maker(recipe) or partial(CpuBuffer, type, nbytes, self, shelf)

    def object_maker(self, recipe: Sequence[Item], arguments: int = 0) -> Callable[..., Any] | None:
        return objects.maker(recipe, arguments)

    def held_checker(self, slots: Sequence[tuple[Any, Any, object]]) -> Callable[[], bool] | None:
        return held.checker(slots)

    def reader(self, type: TensorType[Any]) -> Callable[[Any, int], bool | int | float] | None:
        kind = _C_TYPES.get(dtype_of(type).name)
        if kind is None:
            return None
        at = kind.from_address
        return lambda buffer, behind: at(buffer.address + behind).value

    def copier(self, nbytes: int) -> Launch | None:
        return copier(nbytes) if can_launch() else None

    def empty_cache(self) -> None:
        self._memory.trim(0)

    def upload(self, array: Array) -> CpuBuffer:
        array = np.asarray(array)  # NumPy's scalars too
        dtype = from_numpy(array.dtype)
        buffer = self.allocate(tensor_type(array.shape, dtype))
        buffer.array[...] = array
        return buffer

    def download(self, buffer: Buffer) -> Array:
        return _own(buffer).array.copy()

    def lend(self, buffer: Buffer) -> object:
        own = _own(buffer)
        if isinstance(own, BorrowedBuffer):
            return lent_bytes(own, own.address, own.nbytes, own.array.flags.writeable)
        return lent_block(own, own.address, own.block_bytes)

    def borrow(self, array: Array) -> CpuBuffer | None:
        if not array.flags.c_contiguous:
            return None
        address = array.ctypes.data
        return None if address % array.itemsize else BorrowedBuffer(array, address, self)

    def borrowed(self, type: TensorType[Any]) -> Made | None:
        slots = {
            "_array": Argument(0),
            "address": Argument(1),
            "type": Constant(type),
            "nbytes": Constant(nbytes_of(type)),
            "device": Constant(self),
        }
        return Made(BorrowedBuffer, slots)

    def overwrite(self, buffer: Buffer, value: Buffer) -> None:
        np.copyto(_own(buffer).array, _own(value).array)

    def load(self, module: ModuleOp, *, cached: bool = True, sanitize: bool = False) -> CpuProgram:
        """Machine code for a module of loop level, which is made anew in any case.

        Raises CompileError for operations that the passes of the CPU's pipeline should have
        lowered, and with `sanitize` SanitizerError for a plan of memory that cannot be right.
        """
        emitter = _emitter()
        if sanitize:
            return emitter.checked(module, self.pool, self._memory)
        # First the emitter, which says what is wrong with a module of another level.
        emitted = emitter.emitted(module)
        return CpuProgram(emitted, emitter.sizes(module), self.pool, self._memory)

    @property
    def makes_code_for(self) -> str:
        return f"LLVM {codegen.VERSION}, {codegen.host()}"

    def compile(self, module: ModuleOp) -> Image:
        return _emitter().compiled(module)

    def in_parts(self) -> Compiling:
        return _emitter().in_parts()

    def restore(self, image: Image, *, cached: bool = True) -> CpuProgram:
        return CpuProgram(*emitted_of(image), self.pool, self._memory)

    def step_through(self, module: ModuleOp) -> SteppedProgram:
        return _emitter().SteppedCpuProgram(module, self.load)


def _own(buffer: Buffer) -> CpuBuffer:
    return own_buffer(buffer, CpuBuffer, CpuDevice.name)


def _emitter():
    """What reads IR, loaded when a program is compiled: those on disk are linked without."""
    from picograd.backends.llvm import from_ir

    return from_ir


def _processor_name() -> str:
    """The processor as its maker calls it, else as LLVM does."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else codegen.host().name
