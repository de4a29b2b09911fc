"""NumPy arrays over memory that somebody else owns."""

from __future__ import annotations

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


def lent_bytes(
    owner: object, address: int, nbytes: int, writable: bool = True
) -> NDArray[np.uint8]:
    """Bytes at an address as an array, which keeps their owner.

    NumPy lets every view of it hold this very array: when the array is gone, so are its views.
    """
    return np.asarray(_Loan(owner, address, nbytes, writable))
