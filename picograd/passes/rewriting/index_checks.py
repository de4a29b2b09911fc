"""Which kernels may be the first to meet an index that is out of range.

A gradient goes back to where a value was picked, by the same indices: where the forward pass has
read all of them, the backward pass meets none that is new. So a kernel whose indices an earlier
kernel has checked against the same size, or a smaller one, fails only after that one has.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import cast

from xdsl.ir import BlockArgument, Operation, SSAValue

from picograd.dialects.buffer import AllocOp, KernelOp, ReadOp, WriteOp
from picograd.dialects.dtypes import AnyTensor
from picograd.dialects.tensor import (
    BinaryOp,
    BroadcastOp,
    CastOp,
    CompareOp,
    GatherOp,
    PermuteOp,
    ReduceOp,
    ReshapeOp,
    ScatterOp,
    SelectOp,
    UnaryOp,
    int_value,
)

CHECKING = (GatherOp, ScatterOp)
"""Ops whose indices are read from tensors, and may be out of range."""

# Loops compute what is asked for, and no more: of a part of a gather only the indices of that part
# are read. These ops ask for each element of their operands.
_READS_ALL = (
    BinaryOp,
    BroadcastOp,
    CastOp,
    CompareOp,
    PermuteOp,
    ReduceOp,
    ReshapeOp,
    SelectOp,
    UnaryOp,
)


def first_checks(kernels: Sequence[KernelOp]) -> set[KernelOp]:
    """Those that may meet an index out of range that no kernel before them has met."""
    found: set[KernelOp] = set()
    written: dict[SSAValue, int] = {}
    for kernel in kernels:
        for value in (*kernel.updates, *kernel.writes):
            written[value] = written.get(value, 0) + 1
    least: dict[Hashable, int] = {}
    for kernel in kernels:
        own: dict[Hashable, int] = {}
        for op in kernel.block.ops:
            if not isinstance(op, CHECKING):
                continue
            size = _shape(op.x)[int_value(op.axis)]
            key = _key(op.index, kernel, written)
            if key is None or least.get(key, size + 1) > size:
                found.add(kernel)
            if key is not None and _is_read_whole(op.result):
                own[key] = min(size, own.get(key, size))
        for key, size in own.items():
            least[key] = min(size, least.get(key, size))
    return found


def _key(value: SSAValue, kernel: KernelOp, written: dict[SSAValue, int]) -> Hashable | None:
    """Equal for values that hold the same wherever kernels compute them; None when unsure."""
    op = value.owner
    if not isinstance(op, Operation):
        return None
    if isinstance(op, ReadOp):
        assert isinstance(op.source, BlockArgument)
        memory = kernel.operands[op.source.index]
        writers = written.get(memory, 0)
        # What lies in an arena may be overwritten under another name.
        once = isinstance(memory.owner, AllocOp) and writers == 1
        never = isinstance(memory, BlockArgument) and writers == 0
        return ("read", memory) if once or never else None
    if op.regions:
        return None
    operands = tuple(_key(operand, kernel, written) for operand in op.operands)
    if None in operands:
        return None
    return (op.name, operands, value.type, tuple(sorted(op.properties.items())))


def _is_read_whole(value: SSAValue) -> bool:
    """Whether the kernel surely computes each element of the value."""
    if 0 in _shape(value):
        return True  # of nothing, nothing is missed
    for use in value.uses:
        if isinstance(use.operation, WriteOp):
            return True
        if isinstance(use.operation, _READS_ALL):
            result = use.operation.results[0]
            if 0 not in _shape(result) and _is_read_whole(result):
                return True
    return False


def _shape(value: SSAValue) -> tuple[int, ...]:
    return cast(AnyTensor, value.type).get_shape()
