"""A compiled graph that runs on the CPU under supervision: on copies, between guards, in poison."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import MemRefType, ModuleOp

from picograd.backends.checked.zones import (
    Bytes,
    Zone,
    Zones,
    check_unchanged,
    shared_result,
    unwritten,
)
from picograd.backends.llvm.checks import POISON_BYTE, SPARE_START, VIOLATION_BYTES
from picograd.backends.llvm.emit import main_of
from picograd.backends.llvm.emitted import Emitted
from picograd.backends.llvm.memory import BlockPool
from picograd.backends.llvm.program import CpuProgram, signed
from picograd.backends.llvm.thread_pool import ThreadPool
from picograd.backends.runtime import Buffer
from picograd.dialects.buffer import outputs_of, stored_in
from picograd.dialects.dtypes import from_ir, nbytes_of
from picograd.dialects.loop import memref_type
from picograd.errors import IndexOutOfRange

# As wide as the widest guard needs to be for a store of a machine vector to fall into it.
_ALIGNMENT = 256

_TITLE = "the program on the cpu"

_INTEGER_POISON = 0xB5
"""Fills integer results: an element of 32 bits or more that holds it was not computed."""


class CheckedCpuProgram(CpuProgram):
    """Machine code that checks its accesses, run on copies of its buffers.

    The copies lie in one block with guards between them, and so do intermediates and scratch. All
    that has no value yet is poison at the start of a call. After it, in this order: did an access
    leave its buffer, was an index out of range, is a guard broken, is an input or a constant
    changed, is there poison in a result. Only then the results go to the caller's buffers.
    """

    def __init__(
        self, emitted: Emitted, module: ModuleOp, pool: ThreadPool, memory: BlockPool
    ) -> None:
        main = main_of(module)
        self._types: list[MemRefType[Any]] = [memref_type(argument) for argument in main.args]
        super().__init__(emitted, [nbytes_of(type) for type in self._types], pool, memory)
        self.launch = None  # a call prepares and judges memory of its own
        self._results = [argument.index for argument in outputs_of(main)]
        self._stored_in: Mapping[int, int] = stored_in(main)

    def run(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        """Compute the outputs; raises SanitizerError beside what any program raises.

        After an error the outputs, and inputs that are donated, are as they were.
        """
        buffers = [*inputs, *outputs]
        addresses = self._addresses(buffers)
        self._check_aliases(addresses)
        pool_address, threads = self._pool.enter() if self._emitted.parallel else (0, 1)
        zones, places, constants, working, words = self._lay_out(threads)
        shelf = self._memory.shelf(zones.total)
        block = shelf.take()
        memory = block.bytes[: zones.total]
        try:
            self._prepare(zones, memory, addresses, places, constants, working, words)
            arena, scratch, thread_scratch = (block.address + zone.offset for zone in working)
            failure: IndexOutOfRange | None = None
            try:
                self._enter(
                    [block.address + zone.offset for zone in (*places, *constants)],
                    (arena, scratch, thread_scratch, self._thread_stride, pool_address, threads),
                    block.address + words.offset,
                )
            except IndexOutOfRange as error:
                failure = error
            self._judge(zones, memory, addresses, places, constants, words, failure)
            for position in (*self._results, *self._stored_in.values()):
                _bytes_at(addresses[position], self._nbytes[position])[:] = places[position].of(
                    memory
                )
        finally:
            shelf.give(block)

    def _lay_out(
        self, threads: int
    ) -> tuple[Zones, list[Zone], list[Zone], tuple[Zone, Zone, Zone], Zone]:
        """Zones: of arguments, constants, arena and both kinds of scratch, and the words."""
        zones = Zones(_ALIGNMENT)
        names = self._emitted.names
        places: list[Zone] = []
        for position, nbytes in enumerate(self._nbytes):
            holder = self._stored_in.get(position)
            held = zones.add(names[position], nbytes) if holder is None else places[holder]
            places.append(held)
        constants = [
            zones.add(name, array.nbytes)
            for name, array in zip(names[len(places) :], self._emitted.constants, strict=True)
        ]
        working = (
            zones.add("arena", self._emitted.arena_bytes),
            zones.add("scratch", self._emitted.scratch_bytes),
            zones.add("thread_scratch", threads * self._thread_stride),
        )
        return zones, places, constants, working, zones.add("spare", VIOLATION_BYTES)

    def _prepare(
        self,
        zones: Zones,
        memory: Bytes,
        addresses: Sequence[int],
        places: Sequence[Zone],
        constants: Sequence[Zone],
        working: Sequence[Zone],
        words: Zone,
    ) -> None:
        """Write guards, poison, and the contents of inputs and constants."""
        zones.fill_guards(memory)
        for zone in (*working, words):
            zone.of(memory)[:] = POISON_BYTE
        words.of(memory)[:SPARE_START] = 0
        for position, zone in enumerate(places):
            if position not in self._results:
                zone.of(memory)[:] = _bytes_at(addresses[position], zone.nbytes)
            elif position not in self._stored_in:
                integer = from_ir(self._types[position].element_type).is_int
                zone.of(memory)[:] = _INTEGER_POISON if integer else POISON_BYTE
        for zone, block in zip(constants, self._constants, strict=True):
            zone.of(memory)[:] = block.bytes[: zone.nbytes]

    def _judge(
        self,
        zones: Zones,
        memory: Bytes,
        addresses: Sequence[int],
        places: Sequence[Zone],
        constants: Sequence[Zone],
        words: Zone,
        failure: IndexOutOfRange | None,
    ) -> None:
        """Raise what there is to complain of after a call."""
        failed, number, axis, index = (int(w) for w in words.of(memory)[:32].view(np.uint64))
        if failed:
            raise self._emitted.sites[number].violation(signed(axis), signed(index))
        if failure is not None:
            raise failure
        zones.check_guards(memory, _TITLE)
        for position, zone in enumerate(places):
            if position not in self._results and position not in self._stored_in.values():
                original = _bytes_at(addresses[position], zone.nbytes)
                check_unchanged(zone, memory, original, "input", _TITLE)
        for zone, block in zip(constants, self._constants, strict=True):
            check_unchanged(zone, memory, block.bytes[: zone.nbytes], "constant", _TITLE)
        given = [
            (zone.of(memory), self._types[position])
            for position, zone in enumerate(places)
            if position not in self._results
        ]
        for position in self._results:
            fresh = position not in self._stored_in
            self._check_poison(places[position], memory, self._types[position], fresh, given)

    def _check_poison(
        self,
        zone: Zone,
        memory: Bytes,
        type: MemRefType[Any],
        fresh: bool,
        given: Sequence[tuple[Bytes, MemRefType[Any]]],
    ) -> None:
        """Look for poison in a result, unless the caller's own data look the same."""
        wrong = _poisoned(zone.of(memory), type, fresh)
        if wrong is None or not wrong.any():
            return
        for data, other in given:
            if other.element_type == type.element_type:
                theirs = _poisoned(data, other, fresh)
                if theirs is not None and theirs.any():
                    return
        raise unwritten(zone.name, tuple(type.get_shape()), wrong)

    def _check_aliases(self, addresses: Sequence[int]) -> None:
        """Code is made under the assumption that results lie in memory of their own."""
        for result in self._results:
            own = {result, self._stored_in.get(result, result)}
            for position, address in enumerate(addresses):
                apart = (
                    address + self._nbytes[position] <= addresses[result]
                    or addresses[result] + self._nbytes[result] <= address
                )
                if position not in own and self._nbytes[position] and not apart:
                    names = self._emitted.names
                    raise shared_result(names[result], names[position], _TITLE)


def _poisoned(data: Bytes, type: MemRefType[Any], fresh: bool) -> NDArray[np.bool_] | None:
    """Which elements hold exactly what nobody computes; None where that cannot be told."""
    dtype = from_ir(type.element_type)
    if dtype.is_float:
        words = data.view(f"u{dtype.itemsize}")
        return cast(NDArray[np.bool_], words == np.iinfo(words.dtype).max)
    if not fresh:
        return None
    if dtype.is_bool:
        return data > 1
    if dtype.itemsize < 4:
        return None
    pattern = np.full(dtype.itemsize, _INTEGER_POISON, np.uint8).view(f"u{dtype.itemsize}")
    return cast(NDArray[np.bool_], data.view(f"u{dtype.itemsize}") == pattern[0])


def _bytes_at(address: int, nbytes: int) -> Bytes:
    """The bytes at an address, not copied."""
    if not nbytes:
        return np.empty(0, np.uint8)
    memory = (ctypes.c_ubyte * nbytes).from_address(address)
    return np.ndarray((nbytes,), np.uint8, memoryview(memory))
