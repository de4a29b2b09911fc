"""Functions that make tensors of no others: of constants alone, or of random words."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from picograd.dialects.dtypes import int32, nbytes_of, tensor_type
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.devices import default_device
from picograd.frontend.modes.eager import BlockOps
from picograd.frontend.modes.mode import SETTINGS
from picograd.frontend.plans.planned import key_of, make_room
from picograd.frontend.plans.program import PlanProgram
from picograd.frontend.plans.tracing import Traced
from picograd.frontend.storage.cells import Cell, Value
from picograd.frontend.storage.signature import new_table
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
    known: dict[Hashable, tuple[Value, Any, str]] = new_table()
    plain = cast("Callable[..., R]", function)

    @wraps(function)
    def call(*args: Any, **options: Any) -> R:
        given, named = key_of(args), key_of(tuple(options.items())) if options else ()
        if given is None or named is None or not SETTINGS.planned:
            return plain(*args, **options)
        key = (given, named, default_device())
        kept = known.get(key)
        if kept is not None:
            return cast(R, TensorCore.result_class(Cell(*kept)))
        result = plain(*args, **options)
        cell = result.cell
        if not (result.requires_grad or result.views) and nbytes_of(cell.type) <= _SMALL:
            make_room(known, MOST)
            known[key] = (cell.value, cell.type, cell.device)
        return result

    return cast("Callable[P, R]", call)


_draws: dict[Hashable, PlanProgram] = new_table()


def planned_draw(
    key: Hashable, build: Callable[[Ops[Any], Any], Any]
) -> Callable[[int, int], Value] | None:
    """What makes numbers of a seed and a count of blocks, as `build` does of a generator's state.

    Equal keys mean equal functions. None where machine code cannot be entered in this way.
    """
    program = _draws.get(key)
    if program is None:
        ops = BlockOps([_STATE])
        numbers = build(ops, ops.block.args[0])
        traced = Traced(ops.module([numbers]), (0,), (ops.type_of(numbers),))
        make_room(_draws, MOST)
        program = _draws[key] = PlanProgram(traced)
    launch, make, failed = program.launch, program.makers[0], program.failed
    if launch is None:
        return None

    def draw(seed: int, count: int) -> Value:
        state, out = array("Q", (seed, count)), make()
        failure = launch(state.buffer_info()[0], out.address)
        if failure:
            raise failed(failure)
        return out

    return draw
