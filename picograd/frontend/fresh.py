"""Tensors over values that were just computed: what the constructors do, without calling them.

Every eager operation and every call of a compiled function ends here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from picograd.dialects.dtypes import AnyTensor
from picograd.frontend.core import History, TensorCore
from picograd.frontend.storage.cells import Cell
from picograd.frontend.storage.signature import Signature
from picograd.frontend.storage.views import View


def fresh_tensors(
    type: AnyTensor, device: str, views: tuple[View, ...] = (), signature: Signature | None = None
) -> Callable[[Any], Any]:
    """A function that makes a tensor of a value: on storage of its own, without a history.

    `signature` is that of the storage with these views on it, where it is known.
    """
    kind = TensorCore.result_class
    new = kind.__new__

    def make(value: Any) -> Any:
        tensor = new(kind)
        tensor.cell = Cell(value, type, device)
        tensor.views = views
        tensor.history = History()
        tensor.tracked_from = 0
        tensor.signature = signature
        return tensor

    return make
