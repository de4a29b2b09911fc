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

_REDUCING = (ReduceOp, ArgReduceOp, MatmulOp, ConvolutionOp)
_PARTLY_READING = (PadOp, ConcatOp)


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
    shapes = body.shapes
    demand: dict[SSAValue, int] = {}
    for value in body.results:
        demand[value] = prod(shapes[value])
    repeated = 0
    for op in reversed(body.ops):
        wanted = demand.get(op.result, 0)
        once = prod(shapes[op.result])
        if alignment.covers_rows(op.result):
            wanted = once
        if wanted > once:
            repeated += (wanted - once) * cost_of(op)
        for operand in body.operands(op):
            # How many elements of the operand these elements of the result ask for.
            asked = wanted
            if type(op) in _REDUCING:
                asked = prod(shapes[operand])
            elif type(op) in _PARTLY_READING:
                asked = wanted * prod(shapes[operand]) // max(1, once)
            demand[operand] = demand.get(operand, 0) + asked
    return repeated


def traffic_of(body: Body) -> int:
    """The cost of moving a body's inputs and outputs between memory and the core."""
    shapes = body.shapes
    read = sum(prod(shapes[value]) for value in body.inputs)
    written = sum(prod(shapes[value]) for value in body.outputs)
    return READ * read + WRITE * written
