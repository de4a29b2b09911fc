"""Nested tuples, lists and dictionaries of tensors, as transformed functions take and return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from picograd.errors import OptionError
from picograd.frontend.core import TensorCore
from picograd.frontend.problems import located
from picograd.frontend.tracing.arguments import map_leaves


def leaves(tree: object) -> list[Any]:
    """What the containers hold, in order."""
    found: list[Any] = []
    map_leaves(tree, lambda leaf, path: found.append(leaf))
    return found


def tensors(tree: object) -> list[Any]:
    """The tensors among the leaves."""
    return [leaf for leaf in leaves(tree) if isinstance(leaf, TensorCore)]


def rebuilt(tree: object, new: Sequence[object]) -> Any:
    """The same containers around other leaves."""
    each = iter(new)
    return map_leaves(tree, lambda leaf, path: next(each))


def mapped(tree: object, function: Callable[[Any], object]) -> Any:
    """The same containers around `function(leaf)`."""
    return map_leaves(tree, lambda leaf, path: function(leaf))


def spread(prefix: object, tree: object, name: str) -> list[Any]:
    """One entry of `prefix` for each leaf of `tree`.

    `prefix` has the tree's containers, or one entry in the place of a whole branch. Raises
    OptionError, which calls it `name`, where its containers are others than the tree's.
    """
    if not isinstance(prefix, Mapping | tuple | list):
        return [prefix] * len(leaves(tree))
    entries, branches = cast(Any, prefix), cast(Any, tree)
    fits = isinstance(tree, Mapping | tuple | list) and set(_keys(branches)) == set(_keys(entries))
    if not fits:
        raise located(
            OptionError(
                f"{name} is not structured like what it describes",
                code="PG510",
                expected=f"one entry for each part of {shape_of_tree(branches)}",
                found=entries,
                hint=f"write {name} with the same tuples, lists and dictionaries, or one entry "
                "for all",
            )
        )
    return [entry for key in _keys(branches) for entry in spread(entries[key], branches[key], name)]


def _keys(container: Mapping[Any, object] | Sequence[object]) -> list[Any]:
    return list(container) if isinstance(container, Mapping) else list(range(len(container)))


def shape_of_tree(tree: object) -> str:
    """The containers, with `*` for each leaf: `(*, {'w': *})`."""
    if isinstance(tree, Mapping):
        items = cast(Mapping[Any, object], tree).items()
        return "{" + ", ".join(f"{key!r}: {shape_of_tree(value)}" for key, value in items) + "}"
    if isinstance(tree, tuple | list):
        parts = [shape_of_tree(part) for part in cast(Sequence[object], tree)]
        inside = ", ".join(parts)
        if isinstance(tree, tuple):
            return f"({inside},)" if len(parts) == 1 else f"({inside})"
        return f"[{inside}]"
    return "*"


def check_same_structure(given: object, expected: object, what: str) -> None:
    """Raise OptionError unless two trees have the same containers."""
    if shape_of_tree(given) != shape_of_tree(expected):
        raise located(
            OptionError(
                f"{what} have another structure than what they belong to",
                code="PG510",
                expected=shape_of_tree(expected),
                found=shape_of_tree(given),
                hint="pass the same tuples, lists and dictionaries, with a tensor for each tensor",
            )
        )
