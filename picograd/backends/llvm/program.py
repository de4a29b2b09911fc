"""A compiled graph that runs on the CPU."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from picograd.backends.llvm import codegen, thread_pool
from picograd.backends.llvm.emitted import CONTEXT_FIELDS, ENTRY, STATUS, Emitted
from picograd.backends.llvm.launcher import (
    MOST_ARGUMENTS,
    MOST_ON_STACK,
    Launch,
    launcher,
    number_kind,
)
from picograd.backends.llvm.memory import Block, BlockPool, Shelf
from picograd.backends.llvm.python_functions import can_launch
from picograd.backends.llvm.standing.launch import POINTER, SAME
from picograd.backends.llvm.thread_pool import ThreadPool
from picograd.backends.runtime import Buffer, Program
from picograd.dialects.dtypes import DType
from picograd.errors import DeviceError, IndexOutOfRange

# After the context's fields stand the three words of the status.
_STATUS = len(CONTEXT_FIELDS)
_NO_FAILURE = (0, 0, 0)


class CpuProgram(Program):
    """One native function, and the memory that a call of it borrows."""

    def __init__(
        self,
        emitted: Emitted,
        buffers: Sequence[int],
        pool: ThreadPool,
        memory: BlockPool,
    ) -> None:
        """`buffers` are the bytes of `@main`'s arguments, inputs before outputs."""
        self.texts: Mapping[str, str] = Texts(emitted.text) if emitted.text else {}
        self.launches = emitted.launches
        self._emitted = replace(emitted, text="", codes=())  # nobody needs them once it is linked
        self._nbytes = list(buffers)
        self._pool = pool
        self._memory = memory
        imports = thread_pool.imports() if emitted.parallel else {}
        codes = emitted.codes or (codegen.object_code(emitted.text),)
        self._library = codegen.Library(codes, (ENTRY,), imports)
        self.nbytes = sum(map(len, codes)) + sum(array.nbytes for array in emitted.constants)
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
        self._call: Callable[[int, int], None] = prototype(self._library.addresses[ENTRY])
        self._constants = [_aligned_copy(array.view(np.uint8)) for array in _flat(emitted)]
        self._constant_addresses = [block.address for block in self._constants]
        # the arena, then local buffers, then those of each thread
        self._scratch_start = _line(emitted.arena_bytes)
        self._threads_start = self._scratch_start + _line(emitted.scratch_bytes)
        self._thread_stride = _line(emitted.thread_scratch_bytes)
        self.launch = self._launcher((POINTER,) * len(self._nbytes))

    def _launcher(self, kinds: Sequence[int]) -> Launch | None:
        """The way into the code for arguments of these kinds; None where Python offers none."""
        if not can_launch() or len(kinds) > MOST_ARGUMENTS:
            return None
        entry, owner = self._library.addresses[ENTRY], (self._library, self._constants)
        total = self._threads_start + self._thread_stride
        if not self._emitted.parallel and total <= MOST_ON_STACK:
            stack = (total, self._scratch_start, self._threads_start, self._thread_stride)
            return launcher(entry, kinds, self._constant_addresses, stack, owner)
        return self._lender(launcher(entry, kinds, self._constant_addresses, None, owner))

    def _lender(self, enter: Launch) -> Launch:
        """Enters with memory from the pool, and the threads that take part."""
        pool, memory = self._pool if self._emitted.parallel else None, self._memory
        scratch, threads_start, stride = (
            self._scratch_start,
            self._threads_start,
            self._thread_stride,
        )
        shelves: dict[int, Shelf] = {}

        def lend(*given: float) -> int | tuple[int, int]:
            address, threads = pool.enter() if pool is not None else (0, 1)
            shelf = shelves.get(threads)
            if shelf is None:
                shelf = shelves[threads] = memory.shelf(threads_start + threads * stride)
            block = shelf.take()
            base = block.address
            try:
                return enter(
                    base, base + scratch, base + threads_start, stride, address, threads, *given
                )
            finally:
                shelf.give(block)

        return lend

    def launch_with(
        self, numbers: Sequence[DType | None], same: Mapping[int, int] | None = None
    ) -> Launch | None:
        kinds = [POINTER if dtype is None else number_kind(dtype) for dtype in numbers]
        for place, earlier in (same or {}).items():
            kinds[place] = SAME + earlier
        known = [kind for kind in kinds if kind is not None]
        return self._launcher(known) if self.launch is not None and None not in kinds else None

    @property
    def scratch_bytes(self) -> int:
        """Bytes of local buffers of a call, for the number of threads that would serve it now."""
        threads = self._pool.threads if self._emitted.parallel else 1
        return self._emitted.scratch_bytes + threads * self._emitted.thread_scratch_bytes

    def watch(self, around: Callable[[Callable[[int, int], None], int, int], None]) -> None:
        """Let `around` enter the machine code, which it is given with both of its arguments."""
        call = self._call
        self._call = lambda arguments, context: around(call, arguments, context)
        self.launch = None

    def run(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        """Compute the outputs.

        Raises DeviceError for buffers that are not those of `@main`, and IndexOutOfRange when the
        data names an index that does not exist.
        """
        addresses = self._addresses([*inputs, *outputs])
        if self.launch is None:
            self._launch_watched(addresses)
            return
        failure = self.launch(*addresses)
        if failure:
            raise self.failed(failure)

    @staticmethod
    def failed(failure: int | tuple[int, int]) -> IndexOutOfRange:
        """The error for what `launch` has returned, if that was not 0."""
        assert isinstance(failure, tuple)
        return IndexOutOfRange.in_data(*failure)

    def _launch_watched(self, addresses: list[int]) -> None:
        """Enter through `ctypes`, whose calls can be watched."""

        def enter(*words: int) -> int:
            self._enter([*words[6:], *self._constant_addresses], words[:6])
            return 0

        self._lender(enter)(*addresses)

    def _enter(self, addresses: Sequence[int], places: Sequence[int], violation: int = 0) -> None:
        """Run the machine code on memory; `places` are the first fields of its context."""
        arguments = array("Q", addresses)
        context = array("Q", (*places, 0, violation, *_NO_FAILURE))
        start, _ = context.buffer_info()
        context[STATUS] = start + 8 * _STATUS
        self._call(arguments.buffer_info()[0], start)
        if context[_STATUS]:
            index, size = context[_STATUS + 1], context[_STATUS + 2]
            raise IndexOutOfRange.in_data(signed(index), size)

    def _addresses(self, buffers: Sequence[Buffer]) -> list[int]:
        """Where the buffers lie. This runs dozens of times in a call, so errors are found late."""
        own = cast(Sequence[CpuMemory], buffers)
        try:
            addresses = [buffer.address for buffer in own]
            fits = [buffer.nbytes for buffer in own] == self._nbytes
        except AttributeError:  # a buffer of another device has no address
            fits, addresses = False, []
        if not fits:
            raise self._misfit(buffers)
        return addresses

    def _misfit(self, buffers: Sequence[Buffer]) -> DeviceError:
        if len(buffers) != len(self._nbytes):
            return DeviceError(
                "the program was given the wrong number of buffers",
                code="PG309",
                expected=f"{len(self._nbytes)}, inputs and outputs together",
                found=len(buffers),
                hint="pass one buffer for each argument of @main",
            )
        position, wrong = next(
            (position, buffer)
            for position, buffer in enumerate(buffers)
            if not isinstance(buffer, CpuMemory) or buffer.nbytes != self._nbytes[position]
        )
        return DeviceError(
            f"a buffer does not fit argument {position} of @main",
            code="PG309",
            expected=f"{self._nbytes[position]} bytes on the cpu",
            found=f"{wrong.nbytes} bytes on {wrong.device.name}",
            hint="upload the array to the cpu with the type that the program was compiled for",
        )


class CpuMemory:
    """What a program needs of a buffer: where it lies."""

    __slots__ = ("address", "nbytes")

    address: int
    nbytes: int


class Texts(Mapping[str, str]):
    """LLVM IR and assembly of a program; the assembly is made when it is first asked for."""

    def __init__(self, text: str) -> None:
        self._texts = {"ll": text}

    def __getitem__(self, key: str) -> str:
        if key == "s" and "s" not in self._texts:
            self._texts["s"] = codegen.assembly(self._texts["ll"])
        return self._texts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(("ll", "s"))

    def __len__(self) -> int:
        return 2


def signed(word: int) -> int:
    """An unsigned 64-bit word as the signed integer that it stands for."""
    return word - 2**64 if word >= 2**63 else word


def _line(nbytes: int) -> int:
    """Bytes rounded up to whole cache lines."""
    return -(-nbytes // 64) * 64


def _flat(emitted: Emitted) -> list[np.ndarray[tuple[int], np.dtype[np.generic]]]:
    return [np.ascontiguousarray(array).reshape(-1) for array in emitted.constants]


def _aligned_copy(data: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Block:
    block = Block(max(data.nbytes, 1))
    block.bytes[: data.nbytes] = data
    return block
