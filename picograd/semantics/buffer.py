"""What the ops of the buffer level mean: memory is arrays that kernels read and write.

All memory starts poisoned, and placed buffers share the arena's bytes, so a plan that gives two
living values the same bytes, or a kernel that reads what nobody wrote, gives visibly wrong results.
"""

from __future__ import annotations

import numpy as np
from xdsl.ir import Operation

from picograd.dialects.buffer import (
    AllocOp,
    ArenaOp,
    ConstantOp,
    KernelOp,
    PlaceOp,
    ReadOp,
    WriteOp,
)
from picograd.dialects.literals import array_of
from picograd.semantics.environment import Environment, Handler, poisoned
from picograd.semantics.tensor import numpy_dtype

_STRETCH = 4
"""In float64 precision elements are up to four times as wide (float16): so is the arena then."""

_POISON_BYTE = 0xFF
"""NaN in any float, -1 in any integer."""


def _alloc(op: AllocOp, environment: Environment) -> None:
    environment.values[op.result] = poisoned(op.result.type, environment.precision)


def _stretch(environment: Environment) -> int:
    return _STRETCH if environment.precision == "float64" else 1


def _arena(op: ArenaOp, environment: Environment) -> None:
    nbytes = op.nbytes * _stretch(environment)
    environment.values[op.result] = np.full(nbytes, _POISON_BYTE, np.uint8)


def _place(op: PlaceOp, environment: Environment) -> None:
    arena = environment.values[op.arena]
    type = op.result.type
    dtype = numpy_dtype(type.element_type, environment.precision)
    start = op.span[0] * _stretch(environment)
    count = int(np.prod(type.get_shape(), dtype=np.int64))
    placed = arena[start : start + count * dtype.itemsize].view(dtype)
    environment.values[op.result] = placed.reshape(type.get_shape())


def _constant(op: ConstantOp, environment: Environment) -> None:
    dtype = numpy_dtype(op.result.type.element_type, environment.precision)
    environment.values[op.result] = array_of(op.value).astype(dtype)


def _kernel(op: KernelOp, environment: Environment) -> None:
    environment.bind(op.block.args, environment.get(op.operands))
    for inner in op.block.ops:
        environment.run_op(inner)


def _read(op: ReadOp, environment: Environment) -> None:
    environment.values[op.result] = environment.values[op.source].copy()


def _write(op: WriteOp, environment: Environment) -> None:
    environment.values[op.target][...] = environment.values[op.value]


HANDLERS: dict[type[Operation], Handler] = {
    AllocOp: _alloc,
    ArenaOp: _arena,
    PlaceOp: _place,
    ConstantOp: _constant,
    KernelOp: _kernel,
    ReadOp: _read,
    WriteOp: _write,
}
