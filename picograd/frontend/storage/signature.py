"""Signatures: the kinds of tensors that plans are told apart by, compared by identity.

A tensor whose elements lie in row-major order is, wherever in its storage they begin, a dense
tensor at another address. Any other is a chain of views on the last dense one below it. So
`x[3]` and `x[4]` have one signature, and differ in how many bytes they lie behind x.
"""

from __future__ import annotations

from typing import Any

from picograd.compiler.executable import when_cleared
from picograd.dialects.dtypes import AnyTensor, dtype_of, tensor_type
from picograd.frontend.storage.views import Layout, View, dense

_MOST = 4096
"""Of the signatures known by type, and of the views known to each of them."""


class Signature:
    """A dense tensor of a type, and the views on it that an operand shows."""

    __slots__ = ("_steps", "is_float", "layout", "type", "view_plans", "views")

    def __init__(self, type: AnyTensor, views: tuple[View, ...], layout: Layout) -> None:
        self.type = type
        """Of the dense tensor."""
        self.views = views
        self.layout = layout
        """Where the operand's elements lie in the dense tensor."""
        self.is_float = dtype_of(type).is_float
        self.view_plans: dict[tuple[View, ...], object] = {}
        """How gradients pass through views of such a tensor."""
        self._steps: dict[View, tuple[Signature, int]] = {}

    @property
    def shown(self) -> AnyTensor:
        """The type of the operand."""
        return tensor_type(self.layout.shape, dtype_of(self.type))

    def step(self, view: View) -> tuple[Signature, int]:
        """The signature of a view of such an operand, and how many bytes it begins behind it."""
        known = self._steps.get(view)
        if known is None:
            if len(self._steps) >= _MOST:
                self._steps.clear()
            known = self._steps[view] = self._viewed(view)
        return known

    def _viewed(self, view: View) -> tuple[Signature, int]:
        layout = view.layout(self.layout)
        if not layout.is_contiguous:
            return Signature(self.type, (*self.views, view), layout), 0
        dtype = dtype_of(self.type)
        return signature_of_type(tensor_type(layout.shape, dtype)), layout.offset * dtype.itemsize


_tables: list[dict[Any, Any]] = []


def new_table() -> dict[Any, Any]:
    """A dictionary by signatures, which `forget_signatures` empties."""
    _tables.append({})
    return _tables[-1]


def forget_signatures() -> None:
    """Let no signature that a tensor has kept match any more.

    To be called when storage that has been met gets contents of another type: the tensors that show
    it cannot be found. Whoever misses a table asks for the signature anew. So the tables' plans are
    gone with it, and `clear_cache` calls this too.
    """
    for signature in list(_by_type.values()):
        signature.view_plans.clear()
    _by_type.clear()
    for table in _tables:
        table.clear()


when_cleared(forget_signatures)

_by_type: dict[int, Signature] = {}
"""By the identity of types, which their signatures keep alive: comparing them takes longer."""


def signature_of_type(type: AnyTensor) -> Signature:
    """The signature of a dense tensor."""
    known = _by_type.get(id(type))
    if known is None:
        if len(_by_type) >= _MOST:
            _by_type.clear()
        type = tensor_type(type.get_shape(), type.element_type)
        known = _by_type.setdefault(id(type), Signature(type, (), dense(type.get_shape())))
    return known


def signature_through(type: AnyTensor, views: tuple[View, ...]) -> tuple[Signature, int]:
    """The signature of views of a dense tensor, and how many bytes behind it they begin."""
    signature, shift = signature_of_type(type), 0
    for view in views:
        signature, further = signature.step(view)
        shift += further
    return signature, shift
