"""Methods that give views: what they add to a tensor's views is found once for each signature."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from picograd.frontend.core import TensorCore
from picograd.frontend.modes.mode import SETTINGS
from picograd.frontend.plans.planned import key_of, kind_of, make_room
from picograd.frontend.shown import History
from picograd.frontend.storage.signature import Signature, new_table
from picograd.frontend.storage.views import View

P = ParamSpec("P")
R = TypeVar("R")

MOST = 4096
"""Of one method; when there are more, those found first are dropped."""


class Step(NamedTuple):
    """What a method adds."""

    views: tuple[View, ...]
    signature: Signature
    shift: int
    """How many bytes behind the tensor's elements those of the view begin."""


def planned_view(method: Callable[P, R]) -> Callable[P, R]:
    """A method that may give a view of its tensor, and is given constants.

    Where it gives something else, it runs each time.
    """
    known: dict[Hashable, Step] = new_table()
    plain = cast("Callable[..., Any]", method)

    @wraps(method)
    def call(tensor: Any, *rest: Any, **options: Any) -> Any:
        if not SETTINGS.planned:
            return plain(tensor, *rest, **options)
        key = (tensor.signature, key_of(rest), key_of(tuple(options.items())) if options else ())
        step = known.get(key)
        if step is not None:
            return _viewed(tensor, step)
        result = plain(tensor, *rest, **options)
        found = _step(tensor, result) if None not in key[1:] else None
        if found is not None:
            make_room(known, MOST)
            known[(tensor.signature, *key[1:])] = found
        return result

    return cast("Callable[P, R]", call)


def _step(tensor: TensorCore, result: object) -> Step | None:
    """What was added to the tensor's views; None if the result is no further view of it."""
    if not isinstance(result, TensorCore) or result is tensor or result.cell is not tensor.cell:
        return None
    depth = len(tensor.views)
    before, after = kind_of(tensor), kind_of(result)
    if result.views[:depth] != tensor.views or not isinstance(after, Signature) or before is None:
        return None
    return Step(result.views[depth:], after, result.shift - tensor.shift)


def _viewed(tensor: Any, step: Step) -> Any:
    """`tensor.with_views(*step.views)`, of which the signature is known."""
    kind = TensorCore.result_class
    result: Any = kind.__new__(kind)
    views, signature, shift = step
    result.cell = tensor.cell
    result.views = views = tensor.views + views
    result.signature = signature
    result.shift = tensor.shift + shift
    if SETTINGS.recording:
        result.history = tensor.history
        result.tracked_from = tensor.tracked_from
    else:
        result.history = History()
        result.tracked_from = len(views)
    return result
