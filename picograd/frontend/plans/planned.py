"""Methods that are planned: looked up by the kinds of their operands, and traced when first met."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial, wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar, cast

from picograd.dialects.dtypes import DType
from picograd.errors import PicogradError
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.device_names import Device
from picograd.frontend.modes.mode import SETTINGS
from picograd.frontend.plans.plan import Call, Plan, is_tracked
from picograd.frontend.plans.program import PlanProgram
from picograd.frontend.plans.tracing import DEVICE, Kind, Recipe
from picograd.frontend.shown import History
from picograd.frontend.storage.signature import new_table, signature_through

P = ParamSpec("P")
R = TypeVar("R")

MOST = 1024
"""Plans of one method; when there are more, those made first are dropped."""

_NONE: Mapping[str, Any] = {}
_NUMBER = History()
"""What stands for the history of what has none."""
_NUMBERS = (float, int, bool)
_CONSTANTS = frozenset((int, bool, str, type(None), type(...), DType, Device))
_NAMES = {"radd": "add", "rmul": "mul", "rsub": "sub", "rtruediv": "div", "truediv": "div"}


class Plans:
    """The plans of one method."""

    def __init__(self, method: Callable[..., Any], in_place: bool = False) -> None:
        self.method = method
        name = method.__name__.strip("_")
        self._name = _NAMES.get(name, name)
        self.in_place = in_place
        self.known: dict[Hashable, Call | None] = new_table()
        """By the kinds of the operands, and what else the method is given; None: there is none."""

    def run(
        self, operands: tuple[Any, ...], rest: tuple[Any, ...], options: Mapping[str, Any]
    ) -> Any:
        """The method's result: by a plan, where there may be one."""
        call = self._find(operands, rest, options) if SETTINGS.planned else None
        if call is not None:
            try:
                return call(*operands)
            except (OverflowError, TypeError):  # a number that does not fit: the method tells
                pass
        return self.method(*operands, *rest, **options)

    def _find(
        self, operands: tuple[Any, ...], rest: tuple[Any, ...], options: Mapping[str, Any]
    ) -> Call | None:
        if self.in_place and not may_be_replaced(operands):
            return None
        kinds = [kind_of(operand) for operand in operands]
        key: Hashable = tuple(kinds) if len(kinds) > 1 else kinds[0]
        if rest or options:
            given, named = key_of(rest), key_of(tuple(options.items()))
            if given is None or named is None:
                return None
            key = (key, given, named)
        if None in kinds:
            return None
        if key not in self.known:
            method = partial(_with, self.method, rest, dict(options)) if rest or options else None
            self.plan(key, cast("tuple[Kind, ...]", tuple(kinds)), method or self.method)
        return self.known.get(key)

    def plan(self, key: Hashable, kinds: tuple[Kind, ...], method: Callable[..., Any]) -> None:
        """Make a plan for a method of operands alone.

        What is wrong with the operands the call itself will raise.
        """
        recipe = Recipe(method, self._name, kinds, self.in_place)
        try:
            traced = recipe.forward()
        except (PicogradError, TypeError, ValueError, OverflowError):
            return
        call = None if traced is None else Plan(recipe, PlanProgram(traced)).caller()
        make_room(self.known, MOST)
        self.known[key] = call


def make_room(table: dict[Any, Any], most: int) -> None:
    """Drop what was put first into a table that is full; other threads may do the same."""
    while len(table) >= most:
        for old in list(table)[: max(1, most // 8)]:
            table.pop(old, None)


def _with(
    method: Callable[..., Any], rest: tuple[Any, ...], options: Mapping[str, Any], *operands: Any
) -> Any:
    return method(*operands, *rest, **options)


def kind_of(operand: object) -> Kind | None:
    """What plans tell an operand by, found anew; None for one that they do not take."""
    if not isinstance(operand, TensorCore):
        return type(operand) if type(operand) in _NUMBERS else None
    cell = operand.cell
    if cell.trace is not None or cell.device != DEVICE or operand.number is not None:
        operand.signature = None
    else:
        operand.signature, operand.shift = signature_through(cell.type, operand.views)
    return operand.signature


def key_of(values: tuple[Any, ...]) -> Hashable:
    """What constants are known by, `1` apart from `True`; None where there are others."""
    parts: list[Hashable] = []
    for value in values:
        kind = cast("type[object]", type(value))
        if kind in _CONSTANTS:
            parts.append(kind)
            parts.append(value)
        elif kind is float:
            parts.append((float, value.hex()))
        elif kind is slice:
            ends = key_of((value.start, value.stop, value.step))
            if ends is None:
                return None
            parts.append((slice, ends))
        elif kind in (tuple, list) and (inner := key_of(tuple(value))) is not None:
            parts.append((kind, inner))
        else:
            return None
    return tuple(parts)


def may_be_replaced(operands: Sequence[Any]) -> bool:
    """Whether the contents of the first operand's storage may be replaced, without a record."""
    target = operands[0]
    return not target.views and not (SETTINGS.recording and is_tracked(operands))


OPERANDS = "planned_operands"
"""The attribute that tells what a planned method takes beside its tensor: parameters for tensors
and numbers, and parameters for tensors.
"""


def planned(method: Callable[P, R]) -> Callable[P, R]:
    """A method of one tensor, which may be given constants as well."""
    plans = Plans(method)
    known = plans.known

    @wraps(method)
    def call(tensor: Any, *rest: Any, **options: Any) -> Any:
        key = tensor.signature
        if rest or options:
            key = (key, key_of(rest), key_of(tuple(options.items())))
        run = known.get(key)
        if run is not None and SETTINGS.planned:
            return run(tensor)
        return plans.run((tensor,), rest, options)

    setattr(call, OPERANDS, ((), ()))
    return cast("Callable[P, R]", call)


def planned_alone_in_place(method: Callable[P, R]) -> Callable[P, R]:
    """As `planned`, for a method that writes over its tensor and returns it.

    Views, and what is recorded, are not planned.
    """
    plans = Plans(method, in_place=True)
    known = plans.known

    @wraps(method)
    def call(tensor: Any, *rest: Any, **options: Any) -> Any:
        key = tensor.signature
        if rest or options:
            key = (key, key_of(rest), key_of(tuple(options.items())))
        run = known.get(key)
        tracked = tensor.history.node is not None and SETTINGS.recording
        if run is None or tracked or tensor.views or not SETTINGS.planned:
            return plans.run((tensor,), rest, options)
        return run(tensor)

    return cast("Callable[P, R]", call)


def planned_pair(method: Callable[P, R]) -> Callable[P, R]:
    """A method of a tensor and an operand: a tensor or a number. With options it is not planned."""
    plans = Plans(method)
    known, plain = plans.known, cast("Callable[..., Any]", method)

    @wraps(method)
    def call(tensor: Any, other: Any, **options: Any) -> Any:
        kind = getattr(other, "signature", None) or other.__class__
        run = known.get((tensor.signature, kind))
        if options:
            return plain(tensor, other, **options)
        if run is None or not SETTINGS.planned:
            return plans.run((tensor, other), (), _NONE)
        try:
            return run(tensor, other)
        except (OverflowError, TypeError):
            return plain(tensor, other)

    setattr(call, OPERANDS, ((list(signature(method).parameters)[1],), ()))
    return cast("Callable[P, R]", call)


def planned_in_place(method: Callable[P, R]) -> Callable[P, R]:
    """As `planned_pair`, for a method that writes over its tensor and returns it.

    Views, and what is recorded, are not planned.
    """
    plans = Plans(method, in_place=True)
    known, plain = plans.known, cast("Callable[..., Any]", method)

    @wraps(method)
    def call(tensor: Any, other: Any, **options: Any) -> Any:
        kind = getattr(other, "signature", None) or other.__class__
        run = known.get((tensor.signature, kind))
        if options:
            return plain(tensor, other, **options)
        tracked = SETTINGS.recording and (
            tensor.history.node is not None or getattr(other, "history", _NUMBER).node is not None
        )
        if run is None or tracked or tensor.views or not SETTINGS.planned:
            return plans.run((tensor, other), (), _NONE)
        try:
            return run(tensor, other)
        except (OverflowError, TypeError):
            return plain(tensor, other)

    return cast("Callable[P, R]", call)
