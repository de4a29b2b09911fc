"""What computing one element costs, roughly, in units of an addition.

Only orders of magnitude matter: whether to compute again, or to keep a value in a buffer.
"""

from xdsl.ir import Operation

from picograd.dialects.tensor import (
    ArgReduceOp,
    ArgSortOp,
    BinaryKind,
    BinaryOp,
    ConvolutionOp,
    MatmulOp,
    RandomBitsOp,
    ReduceOp,
    ScanOp,
    ScatterOp,
    UnaryKind,
    UnaryOp,
)

LOOP_COST = 1000
"""An element that takes a loop of its own."""
COSTLY = 12
"""From here on a value that several loops read is worth a buffer."""

_LOOPS = (ReduceOp, ArgReduceOp, ScanOp, ArgSortOp, MatmulOp, ConvolutionOp, ScatterOp)

_CHEAP_UNARY = frozenset(
    {
        UnaryKind.NEG,
        UnaryKind.ABS,
        UnaryKind.SIGN,
        UnaryKind.FLOOR,
        UnaryKind.CEIL,
        UnaryKind.ROUND,
        UnaryKind.NOT,
    }
)


def own_cost(op: Operation) -> int:
    """The cost of an op itself, its operands' left out."""
    if isinstance(op, _LOOPS):
        return LOOP_COST
    if isinstance(op, RandomBitsOp):
        return 10 * COSTLY
    if isinstance(op, UnaryOp) and op.kind.data not in _CHEAP_UNARY:
        return COSTLY
    if isinstance(op, BinaryOp) and op.kind.data is BinaryKind.POW:
        return COSTLY
    return 1


def is_costly(op: Operation) -> bool:
    """Whether an op's element is worth moving out of loops that it does not depend on."""
    return own_cost(op) >= COSTLY
