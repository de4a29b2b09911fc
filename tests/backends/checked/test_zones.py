"""Guards between buffers, and what is said when one is broken."""

import numpy as np
import pytest

from picograd.backends.checked.zones import Zones, check_unchanged, unwritten
from picograd.errors import SanitizerError


def laid_out(*sizes: int) -> tuple[Zones, np.ndarray]:
    zones = Zones(64)
    for number, nbytes in enumerate(sizes):
        zones.add(f"b{number}", nbytes)
    block = np.zeros(zones.total + 64, np.uint8)
    zones.fill_guards(block)
    for zone in zones.zones:
        zone.of(block)[:] = 1
    return zones, block


def test_buffers_are_aligned_and_apart() -> None:
    zones, block = laid_out(10, 0, 64, 65)
    assert [zone.offset % 64 for zone in zones.zones] == [0] * 4
    for one, other in zip(zones.zones, zones.zones[1:], strict=False):
        assert other.offset - (one.offset + one.nbytes) >= 64
    zones.check_guards(block, "here")


def test_every_guard_byte_is_watched() -> None:
    zones, block = laid_out(10, 0, 64)
    inside = np.zeros(zones.total, np.uint8)
    for zone in zones.zones:
        zone.of(inside)[:] = 1
    for position in range(zones.total):
        kept = block[position]
        block[position] = 3
        if inside[position]:
            zones.check_guards(block, "here")
        else:
            with pytest.raises(SanitizerError, match="guard beside %b"):
                zones.check_guards(block, "here")
        block[position] = kept


def test_the_message_counts_from_the_buffer() -> None:
    zones, block = laid_out(10, 20)
    block[64 + 10 : 64 + 13] = 0
    with pytest.raises(SanitizerError, match="the guard beside %b0") as caught:
        zones.check_guards(block, "the program")
    assert caught.value.found == "3 bytes written, the first at byte 10 of %b0"
    assert caught.value.expected == "writes to bytes 0 to 9"
    assert caught.value.where == "the program"


def test_what_is_only_read_stays() -> None:
    zones, block = laid_out(10)
    check_unchanged(zones.zones[0], block, np.ones(10, np.uint8), "input", "here")
    zones.zones[0].of(block)[4:6] = 9
    with pytest.raises(SanitizerError, match="the input %b0 was overwritten") as caught:
        check_unchanged(zones.zones[0], block, np.ones(10, np.uint8), "input", "here")
    assert caught.value.found == "2 bytes changed, the first at byte 4"


def test_poison_is_counted() -> None:
    wrong = np.zeros(6, np.bool_)
    wrong[[4, 5]] = True
    error = unwritten("y", (2, 3), wrong)
    assert error.found == "poison in 2 of 6 elements, the first at [1, 1]"
    assert "its one element" in unwritten("y", (), np.ones(1, np.bool_)).found
