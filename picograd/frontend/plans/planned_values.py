"""Functions that make tensors of no others: of constants alone, or of random words."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Hashable
from functools import partial, wraps
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from picograd.dialects.dtypes import int32, nbytes_of, tensor_type
from picograd.frontend.core import TensorCore
from picograd.frontend.fresh import fresh_tensors
from picograd.frontend.modes.devices import default_device
from picograd.frontend.modes.eager import BlockOps
from picograd.frontend.modes.mode import SETTINGS
from picograd.frontend.plans.planned import key_of, kind_of, make_room
from picograd.frontend.plans.program import PlanProgram
from picograd.frontend.plans.tracing import DEVICE, Traced
from picograd.frontend.storage.cells import Value
from picograd.frontend.storage.signature import new_table, signature_of_type
from picograd.semantics.builder import Ops

P = ParamSpec("P")
R = TypeVar("R", bound=TensorCore)

MOST = 512
"""Values of one function, and programs that draw; when there are more, the first are dropped."""
_SMALL = 1 << 12
"""Bytes of a value that is kept."""

_STATE = tensor_type((4,), int32)


def planned_constant(function: Callable[P, R]) -> Callable[P, R]:
    """A function of constants, of which small results are kept: values never change."""
    known: dict[Hashable, Callable[[], Any]] = new_table()
    plain = cast("Callable[..., R]", function)

    @wraps(function)
    def call(*args: Any, **options: Any) -> R:
        given, named = key_of(args), key_of(tuple(options.items())) if options else ()
        if given is None or named is None or not SETTINGS.planned:
            return plain(*args, **options)
        key = (given, named, default_device())
        make = known.get(key)
        if make is not None:
            return make()
        result = plain(*args, **options)
        _keep(known, key, result)
        return result

    return cast("Callable[P, R]", call)


def planned_like(function: Callable[P, R]) -> Callable[P, R]:
    """As `planned_constant`, for a function of a tensor, whose contents do not count."""
    known: dict[Hashable, Callable[[], Any]] = new_table()
    plain = cast("Callable[..., R]", function)

    @wraps(function)
    def call(like: Any, *args: Any, **options: Any) -> R:
        signature = getattr(like, "signature", None)
        if signature is None or not SETTINGS.planned:
            if SETTINGS.planned:
                kind_of(like)  # it is known the next time
            return plain(like, *args, **options)
        key: Hashable = signature
        if args or options:
            given, named = key_of(args), key_of(tuple(options.items()))
            if given is None or named is None:
                return plain(like, *args, **options)
            key = (signature, given, named)
        make = known.get(key)
        if make is not None:
            return make()
        result = plain(like, *args, **options)
        _keep(known, key, result)
        return result

    return cast("Callable[P, R]", call)


def _keep(known: dict[Hashable, Callable[[], Any]], key: Hashable, result: TensorCore) -> None:
    """Let a small result be made again, over the value that it has now."""
    cell = result.cell
    if result.requires_grad or result.views or nbytes_of(cell.type) > _SMALL:
        return
    make_room(known, MOST)
    signature = signature_of_type(cell.type) if cell.device == DEVICE else None
    known[key] = partial(fresh_tensors(cell.type, cell.device, (), signature), cell.value)


class Source(Protocol):
    """A generator of random numbers."""

    seed: int

    def count(self, elements: int) -> int:
        """How many blocks were drawn before this draw, which it counts."""
        ...


class Draw:
    """Numbers of a generator's state, as one program makes them."""

    __slots__ = ("_launch", "_make", "_words", "program")

    def __init__(self, program: PlanProgram, launch: Callable[..., Any], words: int) -> None:
        self.program = program
        self._launch = launch
        self._make = program.makers[0]
        self._words = words

    def __call__(self, source: Source) -> Value:
        """The next numbers."""
        state, out = array("Q", (source.seed, source.count(self._words))), self._make()
        failure = self._launch(state.buffer_info()[0], out.address)
        if failure:
            raise self.program.failed(failure)
        return out


_draws: dict[Hashable, Draw | None] = new_table()
"""By what is drawn; None where machine code cannot be entered in this way."""


class _Heard(threading.local):
    """The draws of a call that somebody listens to, with the values that they gave."""

    draws: list[tuple[Draw, Value]] | None = None


_HEARD = _Heard()


def planned_draw(
    key: Hashable, build: Callable[[Ops[Any], Any], Any], words: int, source: Source
) -> Value | None:
    """Numbers that use so many words, as `build` makes them of a generator's state.

    Equal keys mean equal functions. None where machine code cannot be entered in this way.
    """
    draw = _draws.get(key)
    if draw is None:
        if key not in _draws:
            draw = _made_draw(build, words)
            make_room(_draws, MOST)
            _draws[key] = draw
        if draw is None:
            return None
    value = draw(source)
    if _HEARD.draws is not None:
        _HEARD.draws.append((draw, value))
    return value


def _made_draw(build: Callable[[Ops[Any], Any], Any], words: int) -> Draw | None:
    ops = BlockOps([_STATE])
    numbers = build(ops, ops.block.args[0])
    program = PlanProgram(Traced(ops.module([numbers]), (0,), (ops.type_of(numbers),)))
    return None if program.launch is None else Draw(program, program.launch, words)


def _drawing(run: Callable[[], R]) -> tuple[R, Draw | None]:
    """What a call gives, and the draw that made the contents of its storage; None for others."""
    before, _HEARD.draws = _HEARD.draws, []
    try:
        result = run()
        heard = _HEARD.draws
    finally:
        _HEARD.draws = before
    if len(heard) == 1 and result.cell.value is heard[0][1] and not result.views:
        return result, heard[0][0]
    return result, None


def planned_random(default: Source) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function of constants and a `generator` that gives random numbers, this one's else."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        known: dict[Hashable, tuple[Draw, Callable[[Any], Any]]] = new_table()
        plain = cast("Callable[..., R]", function)

        @wraps(function)
        def call(*args: Any, generator: Any = None, **options: Any) -> R:
            given, named = key_of(args), key_of(tuple(options.items())) if options else ()
            if given is None or named is None or not SETTINGS.planned:
                return plain(*args, generator=generator, **options)
            key = (given, named, default_device())
            kept = known.get(key)
            if kept is not None:
                draw, wrap = kept
                return wrap(draw(generator or default))
            result, draw = _drawing(lambda: plain(*args, generator=generator, **options))
            if draw is not None:
                _keep_draw(known, key, result, draw)
            return result

        return cast("Callable[P, R]", call)

    return decorate


def planned_random_like(default: Source) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """As `planned_random`, for a function of a tensor, whose contents do not count."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        known: dict[Hashable, tuple[Draw, Callable[[Any], Any]]] = new_table()
        plain = cast("Callable[..., R]", function)

        @wraps(function)
        def call(like: Any, **options: Any) -> R:
            signature = getattr(like, "signature", None)
            named = key_of(tuple(options.items())) if options else ()
            if signature is None or named is None or not SETTINGS.planned:
                if SETTINGS.planned:
                    kind_of(like)  # it is known the next time
                return plain(like, **options)
            kept = known.get((signature, named))
            if kept is not None:
                draw, wrap = kept
                return wrap(draw(default))
            result, draw = _drawing(lambda: plain(like, **options))
            if draw is not None:
                _keep_draw(known, (signature, named), result, draw)
            return result

        return cast("Callable[P, R]", call)

    return decorate


def _keep_draw(
    known: dict[Hashable, tuple[Draw, Callable[[Any], Any]]],
    key: Hashable,
    result: TensorCore,
    draw: Draw,
) -> None:
    """Let a result be drawn anew."""
    if result.requires_grad:
        return
    make_room(known, MOST)
    type, device = result.cell.type, result.cell.device
    known[key] = (draw, fresh_tensors(type, device, (), signature_of_type(type)))


def planned_fill(default: Source) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A method of constants and a `generator` that fills its tensor with random numbers."""

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        known: dict[Hashable, Draw] = new_table()
        plain = cast("Callable[..., R]", method)

        @wraps(method)
        def call(tensor: Any, *args: Any, generator: Any = None, **options: Any) -> R:
            key: Hashable = tensor.signature
            if args or options:
                key = (key, key_of(args), key_of(tuple(options.items())))
            draw = known.get(key)
            alone = SETTINGS.planned and not tensor.views and tensor.history.node is None
            if draw is not None and alone:
                cell = tensor.cell
                cell.value = draw(generator or default)
                cell.version += 1
                return tensor
            if not alone or kind_of(tensor) is None or (isinstance(key, tuple) and None in key[1:]):
                return plain(tensor, *args, generator=generator, **options)
            signature = tensor.signature
            result, draw = _drawing(lambda: plain(tensor, *args, generator=generator, **options))
            if draw is not None:
                make_room(known, MOST)
                known[(signature, *key[1:]) if isinstance(key, tuple) else signature] = draw
            return result

        return cast("Callable[P, R]", call)

    return decorate
