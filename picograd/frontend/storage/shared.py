"""Storage that shares its memory with NumPy arrays.

Writing in place puts another value into a storage cell, and the old one stays as it was for whoever
holds it. An array cannot follow that. So while an array shares a cell's memory the cell has a home:
what is written to it is copied there, and what is there is its value, whoever wrote it. That holds
from `x.numpy()` until the last array over the memory is gone, and for all time after
`from_numpy(array)`. Cells become `SharedCell`, and cells again, by a change of their class, so that
others pay nothing for this.

A value that can change must be kept by nobody who counts on the old one. Programs read it where it
lies; who keeps values gets a copy from `SharedCell.snapshot`, but for what is saved for a backward
pass, which the cell's version watches as PyTorch does.
"""

from __future__ import annotations

import weakref
from functools import partial
from sys import getrefcount
from typing import Any, TypeAlias, cast

import numpy as np

from picograd.backends.recipes import Constant, Earlier, Made
from picograd.backends.runtime import Array, Buffer, SharingDevice
from picograd.dialects.dtypes import AnyTensor, dtype_of, from_numpy, tensor_type
from picograd.frontend.storage.cells import Cell, Value
from picograd.frontend.storage.chains import layout_through
from picograd.frontend.storage.views import PermuteView, View, dense


class Lent:
    """A buffer of the device's own, over which there are arrays."""

    __slots__ = ("buffer", "bytes", "device")

    def __init__(self, cell: Cell, buffer: Buffer, lent: object, device: SharingDevice) -> None:
        self.buffer = buffer
        self.device = device
        # A cell that is gone before the arrays takes this with it, and is not called.
        self.bytes = weakref.ref(lent, partial(_end, weakref.ref(cell)))

    def value(self) -> Buffer:
        """What programs read."""
        return self.buffer

    def snapshot(self) -> Buffer:
        """A copy of the contents."""
        return _copy(self.device, self.buffer)

    def write(self, value: Buffer) -> bool:
        """Take new contents; False where that is not possible."""
        if value is not self.buffer:
            self.device.overwrite(self.buffer, value)
        return True

    def array(self, views: tuple[View, ...]) -> Array | None:
        """An array over what the views show; None once all arrays are gone."""
        lent = self.bytes()
        return None if lent is None else _shown(self.buffer, lent, views)


class Borrowed:
    """The memory of an array, which programs read where it lies."""

    __slots__ = ("_device", "_held", "_writable", "buffer")

    def __init__(self, buffer: Buffer, device: SharingDevice) -> None:
        self.buffer = buffer
        self._held: object = buffer
        """The bytes, once there are arrays over them. Until then the buffer, which counts as held
        by others than the cell: compiled functions write over what one cell alone holds.
        """
        self._writable = False
        self._device = device

    def value(self) -> Buffer:
        return self.buffer

    def snapshot(self) -> Buffer:
        return _copy(self._device, self.buffer)

    def write(self, value: Buffer) -> bool:
        self._lent()
        if self._writable and value is not self.buffer:
            self._device.overwrite(self.buffer, value)
        return self._writable

    def array(self, views: tuple[View, ...]) -> Array:
        return _shown(self.buffer, self._lent(), views)

    def _lent(self) -> object:
        if self._held is self.buffer:
            lent = self._device.lend(self.buffer)
            self._writable = np.ndarray(0, np.uint8, cast(Any, lent)).flags.writeable
            self._held = lent
        return self._held


def borrowed_items(type: AnyTensor, device: SharingDevice) -> tuple[Made, Made, Made] | None:
    """A recipe for what `borrowed_cell` gives for plain arrays of a kind, where the device has one:
    the buffer, its home and the cell, of such an array and the address of its memory.
    """
    buffer = device.borrowed(type)
    if buffer is None:
        return None
    zero, nothing = Constant(0), Constant(None)
    home = {
        "buffer": Earlier(0),
        "_held": Earlier(0),
        "_writable": Constant(False),
        "_device": Constant(device),
    }
    cell = {
        "value": Earlier(1),
        "type": Constant(type),
        "device": Constant(device.name),
        "version": zero,
        "era": zero,
        "trace": nothing,
        "name": nothing,
    }
    return buffer, Made(Borrowed, home), Made(SharedCell, cell)


class Scattered:
    """An array that programs cannot read where it lies: each time they get a copy."""

    __slots__ = ("_array", "_device")

    buffer = None

    def __init__(self, array: Array, device: SharingDevice) -> None:
        self._array = array
        self._device = device

    def value(self) -> Buffer:
        return self._device.upload(self._array)

    snapshot = value

    def write(self, value: Buffer) -> bool:
        if self._array.flags.writeable:
            np.copyto(self._array, self._device.download(value))
        return self._array.flags.writeable

    def array(self, views: tuple[View, ...]) -> Array | None:
        return None if views else self._array.view()


Home: TypeAlias = Lent | Borrowed | Scattered


class SharedCell(Cell):
    """A cell with a home."""

    __slots__ = ()

    # The slot of a plain cell holds the home here. In the moment in which arrays end there may be a
    # value in it already, which another thread sees.

    @property
    def value(self) -> Value:  # pyright: ignore[reportIncompatibleVariableOverride]
        held = _get(self)
        return held.value() if isinstance(held, _HOMES) else held

    @value.setter
    def value(self, value: Value) -> None:
        held = _get(self)
        if not isinstance(held, _HOMES) or not held.write(cast(Buffer, value)):
            self.leave(value)  # memory that cannot be written

    def snapshot(self) -> Value:
        """The present contents, as a value that never changes."""
        held = _get(self)
        return held.snapshot() if isinstance(held, _HOMES) else held

    @property
    def place(self) -> object:
        """What stays the same as long as the home does, for those who remember values by it."""
        held = _get(self)
        return (held.buffer or held) if isinstance(held, _HOMES) else held

    def array(self, views: tuple[View, ...]) -> Array | None:
        """An array over what the views show, if there is a home that lets them."""
        held = _get(self)
        return held.array(views) if isinstance(held, _HOMES) else None

    def leave(self, value: Value) -> None:
        """Hold a value like any other cell."""
        self.begin_era()  # arrays have written what they liked; before it looks like a plain cell
        _set(self, value)
        cast(Cell, self).__class__ = Cell

    def rehouse(self, value: Value, type: AnyTensor, device: str) -> None:
        self.leave(value)
        Cell.rehouse(self, value, type, device)  # it is no cell of this class any more


_MOST = 1024
"""Types of which facts are kept."""

_HOMES = (Lent, Borrowed, Scattered)
_SLOT: Any = vars(Cell)["value"]
_get, _set = _SLOT.__get__, _SLOT.__set__


def _end(found: weakref.ref[Cell], _: object) -> None:
    """There are no arrays any more: the cell is one like others."""
    cell = found()
    if isinstance(cell, SharedCell):
        cell.leave(cell.value)


def _holders_of_own() -> int:
    """What Python counts for a value that one cell holds, measured as `shared_array` counts."""
    cell = [object()]
    value = cell[0]
    return getrefcount(value)


_OWN = _holders_of_own()


def shared_array(cell: Cell, views: tuple[View, ...], device: SharingDevice) -> Array | None:
    """An array over the memory of what the views show.

    None for views of an array that programs do not read where it lies.
    """
    if isinstance(cell, SharedCell):
        array = cell.array(views)
        if array is not None or isinstance(_get(cell), Scattered):
            return array
    buffer = cast(Buffer, cell.value)
    if getrefcount(buffer) > _OWN:  # others count on these contents
        buffer = _copy(device, buffer)
    lent = device.lend(buffer)
    home = Lent(cell, buffer, lent, device)
    cell.__class__ = SharedCell
    _set(cell, home)
    return _shown(buffer, lent, views)


def borrowed_cell(array: Array, device: SharingDevice) -> tuple[Cell, tuple[View, ...]]:
    """Storage over an array's memory, and how to look at it.

    Arrays whose axes lie densely in another order are read where they lie as well.
    """
    views: tuple[View, ...] = ()
    buffer = device.borrow(array)
    if buffer is None:
        order = tuple(sorted(range(array.ndim), key=lambda axis: -array.strides[axis]))
        buffer = device.borrow(array.transpose(order))
        if buffer is not None:
            views = (PermuteView(tuple(order.index(axis) for axis in range(array.ndim))),)
    home: Home = Scattered(array, device)
    if buffer is not None:
        home = Borrowed(buffer, device)
    type = tensor_type(array.shape, from_numpy(array.dtype)) if buffer is None else buffer.type
    cell = Cell(cast(Any, home), cast(AnyTensor, type), device.name)
    cell.__class__ = SharedCell
    return cell, views


def _shown(buffer: Buffer, lent: Any, views: tuple[View, ...]) -> Array:
    """An array over what views show of a buffer, whose bytes are lent."""
    type = buffer.type
    _, shape, dtype = _facts.get(id(type)) or _facts_of(type)
    if not views:
        return np.ndarray(shape, dtype, lent)
    layout = layout_through(dense(shape), views)
    if 0 in layout.shape:
        return np.ndarray(layout.shape, dtype, lent)
    strides = [stride * dtype.itemsize for stride in layout.strides]
    return np.ndarray(layout.shape, dtype, lent, layout.offset * dtype.itemsize, strides)


def _copy(device: SharingDevice, buffer: Buffer) -> Buffer:
    copy = device.allocate(buffer.type)
    device.overwrite(copy, buffer)
    return copy


_facts: dict[int, tuple[AnyTensor, tuple[int, ...], np.dtype[Any]]] = {}
"""Of types, by their identity, which stays taken: shape, and NumPy's dtype."""


def _facts_of(type: AnyTensor) -> tuple[AnyTensor, tuple[int, ...], np.dtype[Any]]:
    if len(_facts) >= _MOST:
        _facts.clear()
    return _facts.setdefault(id(type), (type, type.get_shape(), dtype_of(type).numpy))
