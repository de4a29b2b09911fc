"""Whether a program's 64-bit integers fit machines that have none.

On such a machine labels and indices are held in 32 bits, and sums wrap sooner: that is documented,
and no fault of the pass that narrows them (`legalize_types`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

from picograd.dialects.dtypes import int64, type_of
from picograd.dialects.literals import Array
from picograd.errors import IndexOutOfRange
from picograd.semantics.evaluate import evaluate

_LIMITS = np.iinfo(np.int32)


def leaves_32_bits(function: FuncOp, inputs: Sequence[Array]) -> bool:
    """Whether a 64-bit integer that a function of tensor level meets is too large for 32 bits."""
    copy = function.clone()
    end = copy.body.block.last_op
    assert isinstance(end, ReturnOp)
    found: list[SSAValue] = [*copy.args, *(value for op in copy.body.ops for value in op.results)]
    end.operands = [value for value in found if _is_wide(value)]
    try:
        values = evaluate(copy, [array.copy() for array in inputs])
    except IndexOutOfRange:
        return False
    return any(((v < _LIMITS.min) | (v > _LIMITS.max)).any() for v in values)


def _is_wide(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and type_of(value).element_type == int64.ir
