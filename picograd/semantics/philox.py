"""Philox 4x32-10 in NumPy: random bits as a pure function of a key and a counter.

J. Salmon, M. Moraes, R. Dror, D. Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
Every device draws the same bits, at any degree of parallelism, because a block of four words
depends on nothing but its own counter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = 0x9E3779B9
_WEYL_1 = 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def philox_4x32(counter: Words, key: tuple[int, int], rounds: int = 10) -> Words:
    """Blocks of four random words.

    `counter` has shape [blocks, 4], least significant word first; `key` is (low, high). The result
    has the counter's shape.
    """
    c0, c1, c2, c3 = (counter[:, word].astype(np.uint64) for word in range(4))
    k0, k1 = key
    for round in range(rounds):
        low_key = np.uint64((k0 + round * _WEYL_0) & 0xFFFFFFFF)
        high_key = np.uint64((k1 + round * _WEYL_1) & 0xFFFFFFFF)
        product_0 = _MULTIPLIER_0 * c0
        product_1 = _MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (
            (product_1 >> _SHIFT) ^ c1 ^ low_key,
            product_1 & _LOW,
            (product_0 >> _SHIFT) ^ c3 ^ high_key,
            product_0 & _LOW,
        )
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def random_bits(state: NDArray[Any], count: int) -> NDArray[np.int32]:
    """`count` words for `state` = (key low, key high, counter low, counter high), an int32 array.

    Word n is word n % 4 of the block whose counter is `counter + n // 4`, a 64-bit addition that
    wraps; the upper two words of the block's counter are 0.
    """
    key_low, key_high, low, high = (int(word) for word in state.view(np.uint32))
    blocks = -(-count // 4)
    start = np.uint64(low | high << 32)
    index = np.arange(blocks, dtype=np.uint64) + start
    counter = np.zeros((blocks, 4), np.uint32)
    counter[:, 0] = index & _LOW
    counter[:, 1] = index >> _SHIFT
    words = philox_4x32(counter, (key_low, key_high))
    return words.reshape(-1)[:count].view(np.int32)
