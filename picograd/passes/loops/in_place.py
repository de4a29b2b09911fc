"""When may a kernel write a buffer that it reads? When each element is read where it is written."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from picograd.dialects.affine import Linear
from picograd.dialects.loop import KernelOp, LoadOp, ParallelOp, StoreOp


def updates_in_place(kernel: KernelOp, memref: SSAValue) -> bool:
    """Whether every iteration of a kernel's loops reads and writes one element of a buffer.

    All loads and stores stand in one block, the loads first; the loops around it are parallel, and
    the index is the same everywhere and names each of their variables once. So no iteration reads
    what another has written, in whatever order they run.
    """
    accesses = [use.operation for use in memref.uses]
    if not all(isinstance(op, LoadOp | StoreOp) for op in accesses):
        return False
    blocks = {op.parent for op in accesses}
    indices = {tuple(op.indices) for op in accesses if isinstance(op, LoadOp | StoreOp)}
    if len(blocks) > 1 or len(indices) > 1:
        return False
    return not accesses or (
        _loads_come_first(accesses) and _is_own_element(kernel, accesses[0], *indices)
    )


def _loads_come_first(accesses: list[Operation]) -> bool:
    block = accesses[0].parent
    assert block is not None
    place = {op: number for number, op in enumerate(block.ops)}
    loads = [place[op] for op in accesses if isinstance(op, LoadOp)]
    stores = [place[op] for op in accesses if isinstance(op, StoreOp)]
    return max(loads, default=-1) < min(stores, default=len(place))


def _is_own_element(kernel: KernelOp, access: Operation, index: tuple[Linear, ...]) -> bool:
    """Whether the index is made of the variables of the loops around, all parallel, each once."""
    variables: list[SSAValue] = []
    around = access.parent_op()
    while around is not kernel:
        if not isinstance(around, ParallelOp):
            return False
        variables += around.induction_variables
        around = around.parent_op()
    looped = [expression for expression in index if not expression.is_constant]
    return len(looped) == len(variables) and all(
        any(expression == Linear.of(variable) for expression in looped) for variable in variables
    )
