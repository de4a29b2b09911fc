"""Tensors over values that were just computed.

Every eager operation and every call of a compiled function ends here, and spends much of its time
here where tensors are small: a tensor, its storage and its history are three objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from picograd.backends.recipes import Argument, Constant, Earlier, Made
from picograd.backends.runtime import device as find_device
from picograd.dialects.dtypes import AnyTensor
from picograd.frontend.core import TensorCore
from picograd.frontend.shown import History
from picograd.frontend.storage.cells import Cell
from picograd.frontend.storage.signature import Signature
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
    tensor = {
        "cell": Earlier(0),
        "views": Constant(views),
        "history": Earlier(1),
        "tracked_from": zero,
        "signature": Constant(signature),
        "shift": zero,
    }
    recipe = (
        Made(Cell, cell),
        Made(History, {"node": nothing}),
        Made(TensorCore.result_class, tensor),
    )
    made = find_device(device).object_maker(recipe, 1)
    return made or (lambda value: _fresh_tensor(value, type, device, views, signature))


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
