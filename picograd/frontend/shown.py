"""What a tensor shows of its storage: shape, strides, dtype and device, by its views alone."""

from __future__ import annotations

from picograd.dialects.dtypes import DType, dtype_of
from picograd.frontend.autodiff.tape import Node
from picograd.frontend.modes.device_names import Device, device_named
from picograd.frontend.storage.cells import Cell
from picograd.frontend.storage.chains import layout_of
from picograd.frontend.storage.signature import Signature
from picograd.frontend.storage.views import Layout, View


class History:
    """The newest node that computed a storage, shared by the views that are tracked."""

    __slots__ = ("__weakref__", "node")

    def __init__(self, node: Node | None = None) -> None:
        self.node = node


class Shown:
    """What every tensor has; in slots, because results are made by a recipe (`fresh`)."""

    __slots__ = ("cell", "history", "shift", "signature", "tracked_from", "views")

    cell: Cell
    views: tuple[View, ...]
    history: History
    tracked_from: int
    signature: Signature | None
    """What plans know the tensor by, once they have met it; None for one that they do not take."""
    shift: int
    """How many bytes behind the start of the storage the dense tensor of the signature lies."""


class Looks(Shown):
    """What every tensor looks like."""

    _known_layout: Layout | None = None

    @property
    def _layout(self) -> Layout:
        """Made when it is first asked for: many results of compiled code never are."""
        if self._known_layout is None:
            self._known_layout = layout_of(self.cell, self.views)
        return self._known_layout

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return self._layout.shape

    @property
    def ndim(self) -> int:
        return len(self._layout.shape)

    @property
    def dtype(self) -> DType:
        return dtype_of(self.cell.type)

    @property
    def device(self) -> Device:
        """The name of the device that holds the tensor: "cpu", "gpu" or "reference"."""
        return device_named(self.cell.device)

    def stride(self) -> tuple[int, ...]:
        """How many elements of the storage lie between neighbours along each axis."""
        return self._layout.strides

    def storage_offset(self) -> int:
        """Where in the storage the first element lies."""
        return self._layout.offset

    def is_contiguous(self) -> bool:
        """Whether the elements lie in row-major order without gaps."""
        return self._layout.is_contiguous

    @property
    def _version(self) -> int:
        return self.cell.version
