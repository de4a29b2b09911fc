"""A NaN in one element of one argument: what a pass makes of NaN in a module of many operations.

Special values among all inputs flood the results of a training step with NaN, with or without a
mistake, so such modules are validated on finite special values. Here one NaN is all there is. A
pass that drops it, as a maximum does that is `select(a > b, a, b)`, shows in each result to which
NaN has no other way: the operation that drops it *dominates* that result. Arguments are chosen by
that: first the one with most operations that every way to some result goes through.

Source of the idea: T. Lengauer and R. Tarjan, A Fast Algorithm for Finding Dominators (1979); with
no loops in the graph one walk finds them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

from picograd.compiler.validation.inputs import draw_inputs
from picograd.dialects.dtypes import dtype_of, is_float_array, type_of
from picograd.dialects.literals import Array
from picograd.dialects.tensor import TensorOp
from picograd.semantics.evaluate import entry_of

MOST = 6
"""So many arguments get a NaN, each in a set of its own."""

LEAST_GAIN = 4
"""An argument must show what so many operations do with NaN that others do not show."""


def sets_of_inputs(module: ModuleOp | FuncOp, seed: int) -> list[list[Array]]:
    """All on which a module is validated: those that `draw_inputs` draws, and single NaNs."""
    function = entry_of(module)
    sets = draw_inputs(function, seed)
    return [*sets, *single_nans(function, sets, seed)]


def single_nans(function: FuncOp, sets: Sequence[Sequence[Array]], seed: int) -> list[list[Array]]:
    """The first set of inputs with one NaN in it, several times; none where a set has NaN already.

    Nor is there one for functions below the tensor level: where their NaN may go is not known.
    """
    if any(np.isnan(a).any() for arrays in sets for a in arrays if is_float_array(a)):
        return []
    if not all(isinstance(op, TensorOp | ReturnOp) for op in function.body.block.ops):
        return []
    shown = {
        number: _operations_that_decide(function, number)
        for number, array in enumerate(sets[0])
        if is_float_array(array) and array.size
    }
    rng = np.random.default_rng([seed, 2])
    found: list[list[Array]] = []
    known = 0
    while shown and len(found) < MOST:
        best = max(shown, key=lambda number: (shown[number] & ~known).bit_count())
        if (shown[best] & ~known).bit_count() < LEAST_GAIN:
            break
        known |= shown.pop(best)
        arrays = [array.copy() for array in sets[0]]
        arrays[best].flat[rng.integers(arrays[best].size)] = np.nan
        found.append(arrays)
    return found


def _operations_that_decide(function: FuncOp, argument: int) -> int:
    """The operations, as bits, without which NaN in an argument does not get to some result."""
    through: dict[SSAValue, int] = {function.args[argument]: 0}
    returned = function.body.block.last_op
    for number, op in enumerate(function.body.block.ops):
        if not isinstance(op, TensorOp) or not _holds_nan(op.result):
            continue
        ways = [through[value] for value in op.operands if value in through]
        if ways:
            common = ways[0]
            for way in ways[1:]:
                common &= way
            through[op.result] = common | 1 << number
    shown = 0
    for value in returned.operands if returned is not None else ():
        shown |= through.get(value, 0)
    return shown


def _holds_nan(value: SSAValue) -> bool:
    return dtype_of(type_of(value)).is_float
