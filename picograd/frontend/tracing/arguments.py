"""Arguments and results of compiled functions: nested containers and their leaves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, cast

from picograd.frontend.autodiff.tape import LeafNode
from picograd.frontend.core import TensorCore


def map_leaves(value: object, function: Callable[[object, str], object], path: str = "") -> object:
    """A copy of nested containers with `function(leaf, path)` in place of each leaf."""
    if isinstance(value, _LEAVES):
        return function(value, path)
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, object], value)
        return {k: map_leaves(v, function, f"{path}.{k}") for k, v in items.items()}
    if isinstance(value, tuple | list):
        elements = cast(Sequence[object], value)
        parts = [map_leaves(v, function, f"{path}.{i}") for i, v in enumerate(elements)]
        if hasattr(elements, "_fields"):
            return cast(Any, type(elements))(*parts)
        return tuple(parts) if isinstance(value, tuple) else parts
    return function(value, path)


_LEAVES = (TensorCore, int, float, str, type(None))
"""Leaves that are seen to be such at once: to ask an object whether it is a mapping takes longer
than all else that a call does with it.
"""


def structure_key(value: object, leaf_key: Callable[[object], Hashable]) -> Hashable:
    """A hashable description of nested containers and their leaves."""
    if isinstance(value, _LEAVES):
        return leaf_key(value)
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, object], value)
        return ("dict", *[(k, structure_key(v, leaf_key)) for k, v in items.items()])
    if isinstance(value, tuple | list):
        elements = cast(Sequence[object], value)
        return (type(elements), *[structure_key(v, leaf_key) for v in elements])
    return leaf_key(value)


class Call:
    """The arguments of one call: tensors and numbers, which may change, and a key of the rest."""

    __slots__ = ("cells", "kept", "key", "numbers", "tensors")

    def __init__(self) -> None:
        self.tensors: list[TensorCore] = []
        self.numbers: list[float] = []
        self.kept: list[object] = []
        """Objects whose identity is part of the key."""
        self.cells: dict[int, int] = {}
        """The storages of tensors, by identity, in order."""
        self.key: Hashable = None

    @classmethod
    def again(cls, tensors: Sequence[TensorCore], numbers: Sequence[float] = ()) -> Call:
        """A call that is known to be like one before: all else is as it was there."""
        call = cls.__new__(cls)
        call.tensors, call.numbers = cast(Any, tensors), cast(Any, numbers)
        return call

    def leaf_key(self, leaf: object) -> Hashable:
        """What tells the leaf from others; it is counted among tensors, numbers or the rest."""
        if isinstance(leaf, TensorCore):
            node = leaf.history.node
            if node is None or not is_parameter(leaf):
                cell, cells = leaf.cell, self.cells
                self.tensors.append(leaf)
                alias = cells.setdefault(id(cell), len(cells))
                return ("tensor", alias, cell.type, cell.device, leaf.views, node is not None)
        elif is_number(leaf):
            self.numbers.append(cast(float, leaf))
            return ("number", type(leaf))
        elif leaf is None or isinstance(leaf, bool | str):
            return ("constant", leaf)
        self.kept.append(leaf)
        return ("object", id(leaf))


def take_apart(arguments: Mapping[str, object]) -> Call:
    """The call with these arguments.

    Tensors are inputs, except leaves that require a gradient: like modules, they are told apart by
    identity. Integers and floats are inputs; bools, strings and None are constants.
    """
    call = Call()
    leaf_key = call.leaf_key
    parts = [(name, structure_key(value, leaf_key)) for name, value in arguments.items()]
    call.key = tuple(parts)
    return call


def is_parameter(leaf: object) -> bool:
    """Whether the tensor is a leaf that gathers gradients."""
    return isinstance(leaf, TensorCore) and isinstance(leaf.history.node, LeafNode) and leaf.is_leaf


def is_number(leaf: object) -> bool:
    """Whether an argument is a number that may change from call to call."""
    return isinstance(leaf, int | float) and not isinstance(leaf, bool)
