"""Arguments and results of compiled functions: nested containers and their leaves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from picograd.frontend.autodiff.tape import LeafNode
from picograd.frontend.core import TensorCore


def map_leaves(value: object, function: Callable[[object, str], object], path: str = "") -> object:
    """A copy of nested containers with `function(leaf, path)` in place of each leaf."""
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


def structure_key(value: object, leaf_key: Callable[[object], Hashable]) -> Hashable:
    """A hashable description of nested containers and their leaves."""
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, object], value)
        return ("dict", *((k, structure_key(v, leaf_key)) for k, v in items.items()))
    if isinstance(value, tuple | list):
        elements = cast(Sequence[object], value)
        return (type(elements), *(structure_key(v, leaf_key) for v in elements))
    return leaf_key(value)


@dataclass
class Call:
    """The arguments of one call: tensors and numbers, which may change, and a key of the rest."""

    tensors: list[TensorCore] = field(default_factory=list[TensorCore])
    numbers: list[float] = field(default_factory=list[float])
    kept: list[object] = field(default_factory=list[object])
    """Objects whose identity is part of the key."""
    key: Hashable = None


def take_apart(arguments: Mapping[str, object]) -> Call:
    """The call with these arguments.

    Tensors are inputs, except leaves that require a gradient: like modules, they are told apart by
    identity. Integers and floats are inputs; bools, strings and None are constants.
    """
    call = Call()
    cells: dict[int, int] = {}

    def leaf_key(leaf: object) -> Hashable:
        if isinstance(leaf, TensorCore) and not is_parameter(leaf):
            call.tensors.append(leaf)
            alias = cells.setdefault(id(leaf.cell), len(cells))
            tracked = leaf.requires_grad
            return ("tensor", alias, leaf.cell.type, leaf.device, leaf.views, tracked)
        if is_number(leaf):
            call.numbers.append(cast(float, leaf))
            return ("number", type(leaf))
        if leaf is None or isinstance(leaf, bool | str):
            return ("constant", leaf)
        call.kept.append(leaf)
        return ("object", id(leaf))

    call.key = structure_key(arguments, leaf_key)
    return call


def is_parameter(leaf: object) -> bool:
    """Whether the tensor is a leaf that gathers gradients."""
    return isinstance(leaf, TensorCore) and isinstance(leaf.history.node, LeafNode) and leaf.is_leaf


def is_number(leaf: object) -> bool:
    """Whether an argument is a number that may change from call to call."""
    return isinstance(leaf, int | float) and not isinstance(leaf, bool)
