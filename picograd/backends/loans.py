"""Memory that NumPy arrays and others share."""

from __future__ import annotations

import ctypes
import struct
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


class _Loan:
    """What NumPy asks for memory. The array that it makes holds it, and so the owner."""

    __slots__ = ("__array_interface__", "owner")

    def __init__(self, owner: object, address: int, nbytes: int, writable: bool) -> None:
        self.owner = owner
        self.__array_interface__: dict[str, Any] = {
            "shape": (nbytes,),
            "typestr": "|u1",
            "data": (address, not writable),
            "version": 3,
        }


def lent_bytes(owner: object, address: int, nbytes: int, writable: bool = True) -> object:
    """Bytes at an address, which keep their owner, for NumPy's arrays to be made over:
    `np.ndarray(shape, dtype, lent)`.

    NumPy lets every such array, and every view of it, hold this very object: when it is gone, so
    are they.
    """
    return np.asarray(_Loan(owner, address, nbytes, writable))


def lent_block(owner: object, address: int, nbytes: int) -> object:
    """As `lent_bytes`, in a quarter of the time, for memory of few sizes: for each there is a
    class.
    """
    lent = _block_of(nbytes).from_address(address)
    lent.owner = owner
    return lent


@lru_cache(maxsize=512)
def _block_of(nbytes: int) -> Any:
    return type("Lent", (ctypes.c_ubyte * nbytes,), {})


def address_of(array: NDArray[Any]) -> int:
    """Where the memory of a plain array begins, found in a tenth of the time that NumPy takes."""
    place = _place_of_address()
    if place is None:
        return array.ctypes.data
    return _word(id(array) + place).value


_word = ctypes.c_uint64.from_address


@cache
def _place_of_address() -> int | None:
    """Where in an array the address of its memory lies: seen in some, not read from NumPy's
    sources. None where it is not found.
    """
    places: set[int] = set()
    for array in (np.arange(12.0), np.zeros((3, 5), np.int8)[1:, 2:], np.array(1)):
        own = ctypes.string_at(id(array), np.ndarray.__basicsize__)
        places.add(own.find(struct.pack("=Q", array.ctypes.data)))
    place = places.pop()
    return None if places or place < 0 or place % 8 else place
