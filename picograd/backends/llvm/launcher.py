"""Entering machine code from Python with next to no cost.

A call through `ctypes` takes half a microsecond, and as much again for the arrays of addresses that
it is given: more than many a small kernel. So the way in is machine code as well: a function that
Python calls like any of its own built in ones. It takes the addresses of a program's buffers, and
Python's numbers for those that are numbers, writes both to its stack, lets other Python threads go
on, and enters the program. Nothing of a call lies elsewhere, so threads may call at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from picograd.backends.llvm.python_functions import PythonFunction
from picograd.backends.llvm.standing import copy, launch
from picograd.backends.llvm.standing.code import ENTRY_CODE
from picograd.dialects.dtypes import DType

Launch: TypeAlias = Callable[..., "int | tuple[int, int]"]
"""Takes addresses and numbers; gives 0, or the index that was out of range and the axis's size."""

MOST_ON_STACK = 1 << 14
"""Bytes of intermediates that a call may keep on its stack."""

MOST_ARGUMENTS = 1 << 10

_LAUNCH = PythonFunction(launch.NAME, ENTRY_CODE.library)


def number_kind(dtype: DType) -> int | None:
    """How a Python number of this dtype is passed; None for one that only a buffer can hold."""
    return launch.NUMBERS.get(dtype.name)


def launcher(
    entry: int,
    kinds: Sequence[int],
    constants: Sequence[int],
    stack: tuple[int, int, int, int] | None,
    owner: object,
) -> Launch:
    """A function that enters the program at `entry`.

    `stack` tells bytes of arena and scratch together, where scratch and threads' scratch begin in
    them, and the threads' stride. None: a call is given the six places as its first arguments.
    `owner` keeps code and constants alive.
    """
    return _LAUNCH.bound(launch.plan(entry, kinds, constants, stack), owner)


def copier(nbytes: int) -> Launch:
    """A function that copies so many bytes, from its first address to its second one."""
    code = ENTRY_CODE.library()
    kinds = (launch.POINTER, launch.POINTER)
    return launcher(code.addresses[copy.NAME], kinds, (nbytes,), (0, 0, 0, 0), code)
