"""What a kernel should compute on a device, as far as one must know to find where it does not.

Error bounds are proofs, and below the tensors some cannot be had: where a float's bits become an
integer and back, as in an expanded exponential, nothing is known of what follows. That the device
is wrong has been proved by then, on tensors; here it is only asked where. So where there is no
bound, how far two runs in different precision differ has to serve, with room to spare.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.validation.expectation import expect
from picograd.dialects.literals import Array
from picograd.semantics.accuracy import ACCURACY
from picograd.semantics.bounded import Bounded
from picograd.semantics.evaluate import entry_of, evaluate

_ROOM = 16.0
"""A difference counts when it is so many times that of two runs, and more roundings beside."""
_ROUNDINGS = 256.0
_UNIT = 2.0**-24


def expected(module: ModuleOp, inputs: Sequence[Array], device: str) -> list[Bounded]:
    """The results of a module of loop level, each element with what it may be off by.

    What WGSL leaves to the driver, infinities and NaN, has no bound on a GPU. Raises what the
    evaluator raises.
    """
    proved = expect(module, inputs, ACCURACY[device])
    function = entry_of(module)
    wide = evaluate(function, [array.copy() for array in inputs], precision="float64")
    native = evaluate(function, [array.copy() for array in inputs])
    return [
        _completed(bound, value, rounded, nonfinite=ACCURACY[device].nonfinite)
        for bound, value, rounded in zip(proved, wide, native, strict=True)
    ]


def _completed(bound: Bounded, wide: Array, native: Array, *, nonfinite: bool) -> Bounded:
    """A bound, with what two runs say in the place of elements of which it says nothing."""
    unknown = bound.doubtful | bound.lost
    if not bound.is_float:
        value = np.where(unknown, native, bound.value)
        return Bounded(value, bound.error, unknown & (native != wide))
    wide = wide.astype(np.float64)
    with np.errstate(all="ignore"):
        gap = np.abs(native.astype(np.float64) - wide)
    finite = np.isfinite(gap)
    reach = np.abs(wide[np.isfinite(wide)]).max(initial=0.0)
    error = np.where(finite, _ROUNDINGS * _UNIT * reach + _ROOM * gap, np.inf)
    if nonfinite:
        # Infinities and NaN that both runs have are as good as proved.
        same = (wide == native) | (np.isnan(wide) & np.isnan(native))
        error = np.where(finite | ~same, error, 0.0)
    error = np.where(unknown, error, bound.error)
    value = np.where(unknown, wide, bound.value)
    return Bounded(value, error, np.isinf(error))
