"""Philox draws the words that its authors published."""

from __future__ import annotations

import numpy as np
import pytest

from picograd.semantics.philox import philox_4x32, random_bits

# The known answers of Random123 (kat_vectors, philox4x32 10).
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]):
    found = philox_4x32(np.array([counter], np.uint32), key)
    assert tuple(int(word) for word in found[0]) == words


def _reference(counter: int, key: tuple[int, int]) -> list[int]:
    """The algorithm of the paper on Python integers, one block at a time."""
    c = [counter >> (32 * word) & 0xFFFFFFFF for word in range(4)]
    k = list(key)
    for _ in range(10):
        first, second = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [
            second >> 32 ^ c[1] ^ k[0],
            second & 0xFFFFFFFF,
            first >> 32 ^ c[3] ^ k[1],
            first & 0xFFFFFFFF,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 17])
@pytest.mark.parametrize("counter", [0, 1, 0xFFFFFFFE, 0xFFFFFFFF, 0x1FFFFFFFE, 0xFFFFFFFFFFFFFFFF])
def test_the_counter_is_a_64_bit_number_that_wraps(counter: int, count: int):
    key = (0x12345678, 0x9ABCDEF0)
    state = np.array([*key, counter & 0xFFFFFFFF, counter >> 32], np.uint32).view(np.int32)
    expected: list[int] = []
    for block in range(-(-count // 4)):
        expected += _reference((counter + block) % 2**64, key)
    found = random_bits(state, count)
    assert found.dtype == np.int32
    assert [int(word) for word in found.view(np.uint32)] == expected[:count]


def test_a_prefix_does_not_depend_on_the_length():
    state = np.array([5, -6, 7, 8], np.int32)
    assert np.array_equal(random_bits(state, 1000)[:37], random_bits(state, 37))


def test_bits_are_balanced():
    words = random_bits(np.array([1, 2, 0, 0], np.int32), 40_000).view(np.uint32)
    for bit in range(32):
        share = float(((words >> np.uint32(bit)) & np.uint32(1)).mean())
        assert abs(share - 0.5) < 0.0125, f"bit {bit}"
