"""What the ops of the kernel level mean: a kernel runs its region on its operands' values."""

from __future__ import annotations

from xdsl.ir import Operation

from picograd.dialects.kernel import FusedOp
from picograd.semantics.environment import Environment, Handler


def _fused(op: FusedOp, environment: Environment) -> None:
    environment.bind(op.block.args, environment.get(op.inputs))
    environment.run(op.block)
    environment.bind(op.results, environment.get(op.yield_op.values))


HANDLERS: dict[type[Operation], Handler] = {FusedOp: _fused}
