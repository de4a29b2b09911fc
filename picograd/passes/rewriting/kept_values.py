"""What the kept arguments of a function decide alone."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, SSAValue
from xdsl.traits import Pure

from picograd.dialects.argument_notes import kept_arguments
from picograd.dialects.tensor import TensorOp


def decided_by(function: FuncOp) -> Mapping[SSAValue, frozenset[BlockArgument]]:
    """The kept arguments that each value depends on, of the values that depend on nothing else.

    No arguments for values that constants decide. Empty where no argument is kept.
    """
    found: dict[SSAValue, frozenset[BlockArgument]] = {
        argument: frozenset({argument}) for argument in kept_arguments(function)
    }
    for op in function.body.block.ops if found else ():
        if not isinstance(op, TensorOp) or not op.has_trait(Pure):
            continue
        if all(operand in found for operand in op.operands):
            known = [found[operand] for operand in op.operands]
            found[op.result] = frozenset[BlockArgument]().union(*known)
    return found
