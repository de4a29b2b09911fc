"""Tensors over values that were just computed, or over memory that is there.

Every eager operation and every call of a compiled function ends here, and spends much of its time
here where tensors are small: a tensor, its storage and its history are three objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from picograd.backends.recipes import Argument, Constant, Earlier, Made
from picograd.backends.runtime import SharingDevice
from picograd.backends.runtime import device as find_device
from picograd.dialects.dtypes import AnyTensor
from picograd.frontend.core import TensorCore
from picograd.frontend.shown import History
from picograd.frontend.storage.cells import Cell
from picograd.frontend.storage.shared import borrowed_items
from picograd.frontend.storage.signature import Signature, signature_of_type
from picograd.frontend.storage.views import View


def fresh_tensors(
    type: AnyTensor, device: str, views: tuple[View, ...] = (), signature: Signature | None = None
) -> Callable[[Any], Any]:
    """A function that makes a tensor of a value: on storage of its own, without a history.

    `signature` is that of the storage with these views on it, where it is known. The same objects
    come out as of `_fresh_tensor`, perhaps faster.
    """
    nothing, zero = Constant(None), Constant(0)
    cell = {
        "value": Argument(0),
        "type": Constant(type),
        "device": Constant(device),
        "version": zero,
        "era": zero,
        "trace": nothing,
        "name": nothing,
    }
    recipe = (Made(Cell, cell), *_tensor_items(0, views, signature))
    made = find_device(device).object_maker(recipe, 1)
    return made or (lambda value: _fresh_tensor(value, type, device, views, signature))


def borrowed_tensors(type: AnyTensor, device: str) -> Callable[[Any, int], Any] | None:
    """A function that makes a tensor over the memory of a plain array that may be borrowed, of the
    array and the address of its memory; None where there is none that is fast.
    """
    found = find_device(device)
    if not isinstance(found, SharingDevice):
        return None
    items = borrowed_items(type, found)
    if items is None:
        return None
    return found.object_maker((*items, *_tensor_items(2, (), signature_of_type(type))), 2)


def _tensor_items(
    cell: int, views: tuple[View, ...], signature: Signature | None
) -> tuple[Made, Made]:
    """The end of a recipe, behind the item `cell` that makes a storage: a tensor on that."""
    zero = Constant(0)
    tensor = {
        "cell": Earlier(cell),
        "views": Constant(views),
        "history": Earlier(cell + 1),
        "tracked_from": zero,
        "signature": Constant(signature),
        "shift": zero,
    }
    return Made(History, {"node": Constant(None)}), Made(TensorCore.result_class, tensor)


def _fresh_tensor(
    value: Any,
    type: AnyTensor,
    device: str,
    views: tuple[View, ...],
    signature: Signature | None,
) -> Any:
    tensor = TensorCore.result_class(Cell(value, type, device), views, History(), 0)
    tensor.signature = signature
    return tensor
