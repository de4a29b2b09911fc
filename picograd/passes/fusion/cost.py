"""Work that a fusion repeats, set against the launches and memory traffic that it saves.

The unit is one simple operation on one element. The figures are rough; what matters is that a
launch costs thousands of them, a trip through memory a few, and an exponential about a dozen.
"""

from math import prod

from xdsl.ir import SSAValue

from picograd.dialects.dtypes import type_of
from picograd.dialects.tensor import (
    ArgReduceOp,
    BinaryKind,
    BinaryOp,
    ConcatOp,
    ConvolutionOp,
    GatherOp,
    MatmulOp,
    PadOp,
    RandomBitsOp,
    ReduceOp,
    TensorOp,
    UnaryKind,
    UnaryOp,
)
from picograd.passes.fusion.alignment import Alignment
from picograd.passes.fusion.body import Body
from picograd.passes.outline_kernels import is_free

LAUNCH = 4096
READ = 2
WRITE = 2

_UNARY = {
    UnaryKind.SQRT: 4,
    UnaryKind.RSQRT: 6,
    UnaryKind.EXP: 12,
    UnaryKind.LOG: 16,
    UnaryKind.SIN: 16,
    UnaryKind.COS: 16,
    UnaryKind.TANH: 20,
    UnaryKind.ERF: 24,
    UnaryKind.ROUND_FLOAT16: 24,
    UnaryKind.ROUND_BFLOAT16: 8,
}
_BINARY = {
    BinaryKind.DIV: 4,
    BinaryKind.FLOORDIV: 8,
    BinaryKind.REMAINDER: 8,
    BinaryKind.POW: 32,
}


def cost_of(op: TensorOp) -> int:
    """The cost of one element of an op's result."""
    if is_free(op):
        return 0
    if isinstance(op, UnaryOp):
        return _UNARY.get(op.kind.data, 1)
    if isinstance(op, BinaryOp):
        return _BINARY.get(op.kind.data, 1)
    if isinstance(op, RandomBitsOp):
        return 40
    return 2 if isinstance(op, GatherOp | PadOp | ConcatOp) else 1


def elements(value: SSAValue) -> int:
    """The number of elements of a value."""
    return prod(type_of(value).get_shape())


def work_of(body: Body) -> int:
    """The cost of computing each value of a body once."""
    return sum(cost_of(op) * elements(op.result) for op in body.ops)


def repeated_work(body: Body, alignment: Alignment) -> int:
    """The cost of computing elements more often than once, because they have several readers.

    A value that lies in the rows is computed once for each row, whoever reads it; others are
    computed anew by each reader, as often as it is computed itself.
    """
    demand: dict[SSAValue, int] = {}
    for value in body.results:
        demand[value] = elements(value)
    repeated = 0
    for op in reversed(body.ops):
        wanted = demand.get(op.result, 0)
        if alignment.covers_rows(op.result):
            wanted = elements(op.result)
        repeated += max(0, wanted - elements(op.result)) * cost_of(op)
        for operand in body.operands(op):
            demand[operand] = demand.get(operand, 0) + _wanted_of(op, operand, wanted)
    return repeated


def _wanted_of(op: TensorOp, operand: SSAValue, wanted: int) -> int:
    """How many elements of an operand `wanted` elements of the result ask for."""
    if isinstance(op, ReduceOp | ArgReduceOp | MatmulOp | ConvolutionOp):
        return elements(operand)
    if isinstance(op, PadOp | ConcatOp):
        return wanted * elements(operand) // max(1, elements(op.result))
    return wanted


def traffic_of(body: Body) -> int:
    """The cost of moving a body's inputs and outputs between memory and the core."""
    return READ * sum(map(elements, body.inputs)) + WRITE * sum(map(elements, body.outputs))
