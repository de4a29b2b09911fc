"""Tensors over the memory of NumPy arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from picograd.backends.loans import address_of
from picograd.dialects.dtypes import DType, from_numpy
from picograd.errors import OperandError, PicogradError, ShapeError
from picograd.frontend.fresh import borrowed_tensors
from picograd.frontend.functions.creation import tensor
from picograd.frontend.modes.devices import default_device
from picograd.frontend.modes.eager import eager
from picograd.frontend.modes.mode import SETTINGS
from picograd.frontend.plans.planned import make_room
from picograd.frontend.problems import located
from picograd.frontend.storage.signature import new_table
from picograd.frontend.tensor import Tensor


def from_array(array: NDArray[Any]) -> Tensor:
    """A tensor over the memory of an array: what is written to either is seen through both.

    On the devices "cpu" and "reference"; others have memory of their own, and get a copy. Programs
    read the memory where it lies if the elements do so without gaps, in whatever order of axes, at
    multiples of their size; of another array each reads a fresh copy. A tensor over a read-only
    array, of which a warning tells, leaves it when it is first written to.

    Raises OperandError for what is no array, ShapeError for negative strides, and DTypeError for
    elements that picograd has no dtype for, or in another order of bytes than the machine's.
    """
    known = _known(array)
    if known is not None:
        return known
    if not isinstance(array, np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise located(
            OperandError(
                "from_numpy takes an array",
                code="PG207",
                expected="a NumPy array",
                found=type(array).__name__,
                hint="make a tensor of numbers and lists with torch.tensor(…)",
            )
        )
    if min(array.strides, default=0) < 0 and array.size:
        raise located(
            ShapeError(
                "an array with a negative stride shares no memory with a tensor",
                code="PG129",
                expected="strides of 0 or more",
                found=f"shape {list(array.shape)}, strides {list(array.strides)} in bytes",
                hint="copy the array: torch.from_numpy(array.copy()), or torch.tensor(array)",
            )
        )
    shared = _over(array, default_device())
    return tensor(array) if shared is None else shared


def as_tensor(data: object, *, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """The tensor itself, converted when it must be, or a new one from other data.

    One of an array shares its memory, as with `from_numpy`, if nothing is to be converted and no
    stride is negative.
    """
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    if dtype is None and device is None:
        known = _known(data)
        if known is not None:
            return known
    if isinstance(data, np.ndarray):
        array = cast("NDArray[Any]", data)
        if dtype in (None, _dtype_of(array)) and min(array.strides, default=0) >= 0:
            shared = _over(array, default_device() if device is None else str(device))
            if shared is not None:
                return shared
    return tensor(cast(object, data), dtype=dtype, device=device)


_makers: dict[Any, Callable[[NDArray[Any], int], Tensor] | None] = new_table()
"""What makes a tensor over the memory of a plain array, and of its address, by device, dtype, shape
and strides; None for arrays that were met once, and where nothing does that."""

_MOST = 1024
"""Of the kinds of arrays that are known."""


def _known(array: object) -> Tensor | None:
    """A tensor over the memory of an array of a kind that was met twice, if nothing is unusual."""
    if array.__class__ is not np.ndarray or SETTINGS.trace is not None:
        return None
    given = cast("NDArray[Any]", array)
    key = (default_device(), given.dtype, given.shape, given.strides)
    make = _makers.get(key)
    if make is None or not given.flags.writeable:
        return None
    address = address_of(given)
    return None if address % given.itemsize else make(given, address)


def _over(array: NDArray[Any], device: str) -> Tensor | None:
    """A tensor over the array's memory, or None where it has to be copied: a traced function takes
    what it makes of an array as a constant.
    """
    if SETTINGS.trace is not None or _dtype_of(array) is None:
        return None
    borrowed = eager(device).borrowed(array)
    if borrowed is None:
        return None
    if not array.flags.writeable:
        warnings.warn(
            "the array is read-only: the tensor leaves its memory when it is first written to",
            stacklevel=3,
        )
    made = Tensor(*borrowed)
    if array.flags.c_contiguous:
        key = (device, array.dtype, array.shape, array.strides)
        met = key in _makers  # what makes them takes a while to make, too
        make_room(_makers, _MOST)
        _makers[key] = borrowed_tensors(made.cell.type, device) if met else None
    return made


def _dtype_of(array: NDArray[Any]) -> DType | None:
    try:
        return from_numpy(array.dtype)
    except PicogradError:
        return None  # making a tensor tells what is wrong
