"""The memory of one checked call: every buffer in one block, with guards on both sides.

A call of a checked program runs on copies. So an input that is not donated can be compared with its
original afterwards, whatever wrote beside a buffer wrote into a guard, and after a fault the
caller's buffers are as they were.

    guard | buffer | guard | buffer | … | guard

The bytes between a buffer's last byte and the next alignment belong to the guard behind it.
AddressSanitizer (K. Serebryany and others, 2012) has such red zones, around all that a process has.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from picograd.errors import SanitizerError
from picograd.quick_dataclasses import dataclass

GUARD_BYTE = 0xA7
"""What guards hold: no number that programs like to write."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Zone:
    """A buffer's bytes in the block of a call."""

    name: str
    offset: int
    nbytes: int

    def of(self, block: Bytes) -> Bytes:
        """The buffer's bytes, not copied."""
        return block[self.offset : self.offset + self.nbytes]


class Zones:
    """Lays buffers out, one after another, with guards between them."""

    def __init__(self, alignment: int) -> None:
        """`alignment` is that of every buffer, and the least size of a guard."""
        self.alignment = alignment
        self.zones: list[Zone] = []
        self.total = alignment

    def add(self, name: str, nbytes: int) -> Zone:
        """A place for a buffer."""
        zone = Zone(name, self.total, nbytes)
        self.zones.append(zone)
        # at least one whole line of guard behind the buffer
        self.total += -(-nbytes // self.alignment) * self.alignment + self.alignment
        return zone

    def fill_guards(self, block: Bytes) -> None:
        """Write all guards; what buffers hold is written after."""
        block[: self.total] = GUARD_BYTE

    def check_guards(self, block: Bytes, program: str) -> None:
        """Raise SanitizerError for the first guard that was written to."""
        for position, zone in enumerate(self.zones):
            end = zone.offset + zone.nbytes
            following = self.zones[position + 1 :]
            last = following[0].offset if following else self.total
            if position == 0:
                self._check(block, 0, zone.offset, zone, program)
            self._check(block, end, last, zone, program)

    def _check(self, block: Bytes, start: int, end: int, zone: Zone, program: str) -> None:
        broken = np.flatnonzero(block[start:end] != GUARD_BYTE)
        if not broken.size:
            return
        first = start + int(broken[0]) - zone.offset
        raise SanitizerError(
            f"the guard beside %{zone.name} was written to",
            code="PG607",
            expected=f"writes to bytes 0 to {zone.nbytes - 1}" if zone.nbytes else "no writes",
            found=f"{broken.size} bytes written, the first at byte {first} of %{zone.name}",
            hint="the back end stored past the end of a buffer, or before the start of the next",
            where=program,
        )


def check_unchanged(zone: Zone, block: Bytes, original: Bytes, what: str, program: str) -> None:
    """Raise SanitizerError when a buffer that is only read holds something else than before."""
    changed = np.flatnonzero(zone.of(block) != original)
    if changed.size:
        raise SanitizerError(
            f"the {what} %{zone.name} was overwritten",
            code="PG611",
            expected="the contents that it had before the call",
            found=f"{changed.size} bytes changed, the first at byte {int(changed[0])}",
            hint="a kernel stores to a buffer that it only may read; an input is written only if "
            "it is donated",
            where=program,
        )


def shared_result(result: str, other: str, program: str) -> SanitizerError:
    """The error for a call that gives one memory for a result and for something else."""
    return SanitizerError(
        f"the result %{result} shares memory with %{other}",
        code="PG611",
        expected="results in memory of their own, unless an input is donated",
        found="buffers that overlap",
        hint="copy the input first, or donate it to this result only",
        where=program,
    )


def unwritten(name: str, shape: tuple[int, ...], wrong: NDArray[np.bool_]) -> SanitizerError:
    """The error for a result of which some elements are exactly the poison that memory held."""
    flat = np.flatnonzero(wrong)
    first = list(map(int, np.unravel_index(int(flat[0]), shape))) if shape else "its one element"
    return SanitizerError(
        f"uninitialised memory was read, or %{name} was not written whole",
        code="PG610",
        expected="elements that are computed from the inputs",
        found=f"poison in {flat.size} of {wrong.size} elements, the first at {first}",
        hint="a kernel leaves elements out, reads past what was stored, or two buffers share "
        "memory while both are in use",
        where=f"result %{name}",
    )
