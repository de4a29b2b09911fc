"""Methods and functions of several operands: tensors and numbers among constants."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from picograd.frontend.core import TensorCore
from picograd.frontend.modes.mode import SETTINGS
from picograd.frontend.plans.planned import (
    MOST,
    OPERANDS,
    Plans,
    key_of,
    kind_of,
    make_room,
    may_be_replaced,
)
from picograd.frontend.plans.tracing import Kind
from picograd.frontend.storage.signature import Signature, new_table

P = ParamSpec("P")
R = TypeVar("R")


def planned_operands(
    *names: str, tensors: Sequence[str] = (), in_place: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Plan a method or function by its first parameter and those of these names.

    Tensors and numbers given for them are operands, and tensors given for those that `tensors`
    names; all else is constant. With `in_place` it writes over the first one, and gives it back.
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        parameters = tuple(inspect.signature(method).parameters)
        plans = _Plans(cast("Callable[..., Any]", method), in_place)
        kinds: dict[str, tuple[type, ...]] = dict.fromkeys(parameters, ())
        kinds |= dict.fromkeys((parameters[0], *tensors), (TensorCore,))
        kinds |= dict.fromkeys(names, (TensorCore, float, int))
        ordered = tuple(kinds.values())
        known, plain = plans.known, plans.method
        pairs: dict[tuple[Any, Any], Any] = new_table()

        @wraps(method)
        def call(*args: Any, **options: Any) -> Any:
            if not SETTINGS.planned:
                return plain(*args, **options)
            pair = None
            if len(args) == 2 and not options:  # most are of two tensors, and told at once
                first, second = args
                pair = (getattr(first, "signature", None), getattr(second, "signature", None))
                run = pairs.get(pair)
                if run is not None and not (in_place and not may_be_replaced(args)):
                    return run(first, second)
            operands: list[Any] = []
            key: list[Hashable] = []
            for taken, value in zip(ordered, args, strict=False):
                if isinstance(value, taken) and value.__class__ is not bool:
                    operands.append(value)
                    key.append(getattr(value, "signature", None) or value.__class__)
                else:
                    key.append(key_of((value,)))
            for name, value in options.items():
                key.append(name)
                if isinstance(value, kinds.get(name, ())) and value.__class__ is not bool:
                    operands.append(value)
                    key.append(getattr(value, "signature", None) or value.__class__)
                else:
                    key.append(key_of((value,)))
            run = known.get(tuple(key))
            if run is None or (in_place and not may_be_replaced(operands)):
                return plans.met(operands, args, options, kinds)
            if pair is not None and None not in pair:
                make_room(pairs, MOST)
                pairs[pair] = run
            try:
                return run(*operands)
            except (OverflowError, TypeError):
                return plain(*args, **options)

        setattr(call, OPERANDS, (names, tuple(tensors)))
        return cast("Callable[P, R]", call)

    return decorate


def planned_list(function: Callable[P, R]) -> Callable[P, R]:
    """Plan a function of a list of tensors and an axis."""
    plans = Plans(cast("Callable[..., Any]", function))
    known, plain = plans.known, plans.method

    @wraps(function)
    def call(tensors: Any, *rest: Any, **options: Any) -> Any:
        if not SETTINGS.planned or type(tensors) not in (list, tuple) or not tensors:
            return plain(tensors, *rest, **options)
        constants = key_of((*rest, *options.items()))
        kinds = [getattr(tensor, "signature", None) for tensor in tensors]
        run = known.get((constants, *kinds))
        if run is not None:
            return run(*tensors)
        kinds = [kind_of(tensor) for tensor in tensors]
        key = (constants, *kinds)
        if constants is None or not all(isinstance(kind, Signature) for kind in kinds):
            return plain(tensors, *rest, **options)
        if key not in known:
            plans.plan(
                key,
                cast("tuple[Kind, ...]", tuple(kinds)),
                lambda *stand_ins: plain(list(stand_ins), *rest, **options),
            )
        run = known.get(key)
        return plain(tensors, *rest, **options) if run is None else run(*tensors)

    return cast("Callable[P, R]", call)


class _Plans(Plans):
    """The plans of one method or function."""

    def met(
        self,
        operands: Sequence[Any],
        args: Sequence[Any],
        options: Mapping[str, Any],
        taken: Mapping[str, tuple[type, ...]],
    ) -> Any:
        """The result of a call of which no plan was found."""
        kinds = [kind_of(operand) for operand in operands]
        places = iter(range(len(operands)))
        key: list[Hashable] = []
        given = [
            _Given(value, places, kinds, key, one)
            for one, value in zip(taken.values(), args, strict=False)
        ]
        by_name: dict[str, _Given] = {}
        for name, value in options.items():
            key.append(name)
            by_name[name] = _Given(value, places, kinds, key, taken.get(name, ()))
        fits = 0 < len(args) <= len(taken) and bool(operands) and operands[0] is args[0]
        replaceable = not self.in_place or (fits and may_be_replaced(operands))
        if not fits or not replaceable or None in kinds or None in key:
            return self.method(*args, **options)

        def call(*stand_ins: Any) -> Any:
            return self.method(
                *[one.among(stand_ins) for one in given],
                **{name: one.among(stand_ins) for name, one in by_name.items()},
            )

        found = tuple(key)
        if found not in self.known:
            self.plan(found, cast("tuple[Kind, ...]", tuple(kinds)), call)
        run = self.known.get(found)
        if run is None:
            return self.method(*args, **options)
        try:
            return run(*operands)
        except (OverflowError, TypeError):
            return self.method(*args, **options)


class _Given:
    """What a call gives for one parameter: an operand, by its number, or a constant."""

    def __init__(
        self,
        value: object,
        places: Iterator[int],
        kinds: Sequence[Kind | None],
        key: list[Hashable],
        taken: tuple[type, ...],
    ) -> None:
        is_operand = isinstance(value, taken) and not isinstance(value, bool)
        self._place = next(places) if is_operand else None
        self._value = None if is_operand else value
        key.append(key_of((value,)) if self._place is None else kinds[self._place])

    def among(self, stand_ins: Sequence[Any]) -> Any:
        """The same with stand-ins for operands."""
        return self._value if self._place is None else stand_ins[self._place]
