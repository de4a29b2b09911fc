"""A compiled module on the GPU under supervision: on copies, between guards, in poison.

Everything that a call touches lies in one buffer object, made anew for each call. The call waits
for the GPU, reads that buffer back, and judges it; only then results go to where they belong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import MemRefType, ModuleOp

from picograd.backends.checked.places import (
    argument_name,
    check_places,
    dead_after,
    kernels_of,
)
from picograd.backends.checked.zones import (
    Bytes,
    Zone,
    Zones,
    check_unchanged,
    shared_result,
    unwritten,
)
from picograd.backends.runtime import Array, Buffer
from picograd.backends.wgsl.barrier_check import check_barriers
from picograd.backends.wgsl.code import KernelCode
from picograd.backends.wgsl.emit import emit_kernel
from picograd.backends.wgsl.plan import Argument, Leased, Source
from picograd.backends.wgsl.planner import OFFSET_ALIGNMENT, Planner, entry_of
from picograd.backends.wgsl.program import WgslProgram
from picograd.backends.wgsl.runtime import Binding, Copy, Dispatch, Limits, Memory
from picograd.backends.wgsl.status import CHECKED_STATUS_BYTES, kernel_number, place_of
from picograd.backends.wgsl.storage import ELEMENT_BYTES
from picograd.backends.wgsl.text import POISON
from picograd.dialects.buffer import outputs_of, stored_in
from picograd.dialects.loop import KernelOp, LaunchOp
from picograd.dialects.loop_syntax import memref_type
from picograd.errors import IndexOutOfRange
from picograd.semantics.access import WHOLE, Site

if TYPE_CHECKING:
    from picograd.backends.wgsl.device import GpuDevice

_POISON_BYTE = POISON & 0xFF
_TITLE = "the program on the gpu"


class _CheckedPlanner(Planner):
    """Plans kernels that check their accesses, and memory of each call's own for all they touch."""

    def __init__(self, module: ModuleOp, limits: Limits) -> None:
        self.sites: list[Site] = []
        self.names: list[str] = []
        """Of leased memory."""
        self.contents: dict[int, Array] = {}
        """What leased memory holds at first, where it stands for a constant."""
        self.fills: dict[int, list[Leased]] = {}
        """What is to be poisoned before a launch: nobody uses it any more."""
        self._dead = dead_after(entry_of(module))
        self._words: Leased | None = None
        super().__init__(module, limits)

    def emit(self, kernel: KernelOp) -> KernelCode:
        check_barriers(kernel)
        return emit_kernel(kernel, self.limits, sites=self.sites)

    def lease(self, nbytes: int, name: str) -> Leased:
        self.names.append(name)
        return super().lease(nbytes, name)

    def status(self) -> Leased:
        if self._words is None:
            self._words = self.lease(CHECKED_STATUS_BYTES, "status")
        return self._words

    def constant(self, name: str, stored: Array) -> Source:
        leased = self.lease(stored.nbytes, name)
        self.contents[leased.number] = stored
        return leased

    def launched(self, op: LaunchOp, operands: Sequence[Source]) -> None:
        """Plan to poison what nobody uses after this launch, before the next one."""
        sources = dict(zip(op.buffers, operands, strict=True))
        dead = [sources[place.result] for place in self._dead[op]]
        fills = [source for source in dead if isinstance(source, Leased) and source.nbytes]
        self.fills.setdefault(len(self.launches), []).extend(fills)


class CheckedWgslProgram(WgslProgram):
    """WGSL that checks its accesses, run on copies of its buffers.

    After a call, in this order: did an access leave its buffer, was an index out of range, is a
    guard broken, is an input or a constant changed, is there poison in a result. Errors come from
    `run`, not from a later download. After one the outputs, and inputs that are donated, are as
    they were.
    """

    def __init__(self, device: GpuDevice, module: ModuleOp, *, cached: bool = True) -> None:
        main = entry_of(module)
        check_places(main, kernels_of(module), _stored_bytes)
        planner = _CheckedPlanner(module, device.gpu.limits)
        self._status = planner.status().number
        self._sites, self._contents, self._fills = planner.sites, planner.contents, planner.fills
        super().__init__(device, planner.plan(), cached=cached)
        # It is told at once, since each call waits for the GPU.
        self.fails_late = False
        self._results = [argument.index for argument in outputs_of(main)]
        self._holders = stored_in(main)
        self._zones = Zones(OFFSET_ALIGNMENT)
        self._leased_zones = [
            self._zones.add(name, nbytes)
            for name, nbytes in zip(planner.names, planner.leases, strict=True)
        ]
        self._given: list[Zone] = []
        for argument in main.args:
            holder = self._holders.get(argument.index)
            nbytes = _stored_bytes(memref_type(argument))
            name = argument_name(main, argument)
            zone = self._zones.add(name, nbytes) if holder is None else self._given[holder]
            self._given.append(zone)
        most = max((fill.nbytes for fills in self._fills.values() for fill in fills), default=0)
        self._poison = device.gpu.create_memory(most, "poison")
        device.gpu.write(self._poison, np.full(most // ELEMENT_BYTES, POISON, np.uint32))

    def _resolve(
        self, source: Source, memories: Sequence[Memory], leased: Sequence[Memory]
    ) -> Binding:
        (memory,) = leased  # the call's one buffer object
        if isinstance(source, Argument):
            size = max(ELEMENT_BYTES, source.nbytes)
            return Binding(memory, self._given[source.position].offset, size)
        assert isinstance(source, Leased)  # constants and status too, as the planner has it
        size = max(ELEMENT_BYTES, source.nbytes)
        return Binding(memory, self._leased_zones[source.number].offset + source.offset, size)

    # Running

    def run(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        """Run the whole program, and wait for it; raises SanitizerError beside what others raise.

        The buffers are in the order of `@main`'s arguments, outputs last.
        """
        device, gpu = self._device, self._device.gpu
        gpu.check_process()
        memories = self._checked_arguments([*inputs, *outputs])
        self._check_aliases(memories)
        memory = device.pool.take(self._zones.total)
        try:
            gpu.write(memory, self._image())
            gpu.submit_steps(self._steps(memories, memory))
            held = [n for n in range(len(memories)) if n not in self._results]
            parts = [Binding(memories[n], 0, self._given[n].nbytes) for n in held]
            whole, *originals = gpu.read([Binding(memory, 0, self._zones.total), *parts])
            data = [np.frombuffer(original, np.uint8) for original in originals]
            self._judge(np.frombuffer(whole, np.uint8), dict(zip(held, data, strict=True)))
            gpu.submit_steps(self._copies_out(memories, memory))
        finally:
            device.pool.give_back(memory)

    def _image(self) -> Bytes:
        """What the call's memory holds at first, but for the inputs."""
        image = np.empty(self._zones.total, np.uint8)
        self._zones.fill_guards(image)
        for zone in (*self._leased_zones, *self._given):
            zone.of(image)[:] = _POISON_BYTE
        for number, stored in self._contents.items():
            self._leased_zones[number].of(image)[:] = np.frombuffer(stored.tobytes(), np.uint8)
        self._leased_zones[self._status].of(image)[:] = 0
        return image

    def _steps(self, memories: Sequence[Memory], memory: Memory) -> list[Dispatch | Copy]:
        """Fetch the inputs, then run the kernels, and poison what is dead in between."""
        steps: list[Dispatch | Copy] = [
            Copy(memories[n], 0, Binding(memory, zone.offset, zone.nbytes))
            for n, zone in enumerate(self._given)
            if n not in self._results and zone.nbytes
        ]
        with self._lock:
            for number, launch in enumerate(self._launches):
                steps += self._poisonings(number, memory)
                steps.append(self._dispatch(launch, memories, [memory]))
        return steps

    def _poisonings(self, number: int, memory: Memory) -> list[Copy]:
        fills = self._fills.get(number, ())
        return [
            Copy(self._poison, 0, self._resolve(fill, (), [memory]))
            for fill in dict.fromkeys(fills)
        ]

    def _copies_out(self, memories: Sequence[Memory], memory: Memory) -> list[Copy]:
        places = [(n, self._given[n]) for n in self._results if self._given[n].nbytes]
        return [
            Copy(memory, zone.offset, Binding(memories[n], 0, zone.nbytes)) for n, zone in places
        ]

    # Judging

    def _judge(self, memory: Bytes, originals: Mapping[int, Bytes]) -> None:
        """Raise what there is to complain of after a call."""
        status = self._leased_zones[self._status]
        words = [int(word) for word in status.of(memory).view(np.int32)]
        bad_index, bad_access = words[:4], words[4:]
        if bad_access[0]:
            _, number, index, _ = bad_access
            site, axis = place_of(number)
            index *= ELEMENT_BYTES if axis == WHOLE else 1
            raise self._sites[site].violation(axis, index, where=" on the GPU")
        if bad_index[0]:
            _, index, size, number = bad_index
            names = {kernel_number(kernel.name): kernel.name for kernel in self._plan.kernels}
            where = f"kernel @{names.get(number & 0xFFFFFFFF, '?')} on the GPU"
            raise IndexOutOfRange.in_data(index, size, where=where)
        self._zones.check_guards(memory, _TITLE)
        for n, original in originals.items():
            if n not in self._holders.values():
                check_unchanged(self._given[n], memory, original, "input", _TITLE)
        for number, stored in self._contents.items():
            original = np.frombuffer(stored.tobytes(), np.uint8)
            check_unchanged(self._leased_zones[number], memory, original, "constant", _TITLE)
        if any(_poisoned(original).any() for original in originals.values()):
            return  # what looks like poison may be the caller's own
        for n in self._results:
            wrong = _poisoned(self._given[n].of(memory))
            if wrong.any():
                raise unwritten(self._given[n].name, self._plan.arguments[n].get_shape(), wrong)

    def _check_aliases(self, memories: Sequence[Memory]) -> None:
        """Code is made under the assumption that results lie in memory of their own."""
        for result in self._results:
            own = {result, self._holders.get(result, result)}
            for position, memory in enumerate(memories):
                if position not in own and memory is memories[result]:
                    raise shared_result(
                        self._given[result].name, self._given[position].name, _TITLE
                    )


def _stored_bytes(type: MemRefType[Any]) -> int:
    return ELEMENT_BYTES * math.prod(type.get_shape())


def _poisoned(data: Bytes) -> NDArray[np.bool_]:
    """Which elements hold exactly what nobody computes."""
    return data.view(np.uint32) == POISON
