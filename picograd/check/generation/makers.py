"""How the generator appends an op of each class: it finds operands that fit, or makes them fit."""

from collections.abc import Callable, Mapping
from math import prod
from typing import TypeAlias

import numpy as np
from xdsl.ir import SSAValue

from picograd.check.generation import makers_order, makers_windows
from picograd.check.generation.operands import (
    another_order,
    any_value,
    dtype_of_value,
    of_type,
    positive,
    shape_of,
    splat,
    tame,
    with_rank,
)
from picograd.check.generation.sketch import MOST_ELEMENTS, Sketch
from picograd.dialects.dtypes import (
    int32,
    int64,
    tensor_type,
    type_of,
    uint8,
)
from picograd.dialects.tensor import (
    ArgReduceKind,
    ArgReduceOp,
    BinaryKind,
    BinaryOp,
    BroadcastOp,
    CastOp,
    CompareKind,
    CompareOp,
    ConcatOp,
    GatherOp,
    IotaOp,
    MatmulOp,
    PadOp,
    PermuteOp,
    RandomBitsOp,
    ReduceKind,
    ReduceOp,
    ReshapeOp,
    ReverseOp,
    ScatterKind,
    ScatterOp,
    SelectOp,
    SliceOp,
    UnaryKind,
    UnaryOp,
)

Maker: TypeAlias = Callable[[Sketch], None]

_EXACT_UNARY = (UnaryKind.NEG, UnaryKind.ABS, UnaryKind.SIGN)
_POSITIVE_UNARY = (UnaryKind.SQRT, UnaryKind.RSQRT, UnaryKind.LOG)
_SMOOTH_UNARY = (UnaryKind.TANH, UnaryKind.EXP, UnaryKind.SIN, UnaryKind.COS, UnaryKind.ERF)
_STEP_UNARY = (UnaryKind.FLOOR, UnaryKind.CEIL, UnaryKind.ROUND)
_FLOAT_BINARY = (
    BinaryKind.ADD,
    BinaryKind.MUL,
    BinaryKind.SUB,
    BinaryKind.MAXIMUM,
    BinaryKind.MINIMUM,
    BinaryKind.DIV,
    BinaryKind.POW,
)
_BITS_BINARY = (BinaryKind.AND, BinaryKind.OR, BinaryKind.XOR)
_INT_BINARY = (
    *_FLOAT_BINARY[:5],
    BinaryKind.FLOORDIV,
    BinaryKind.REMAINDER,
    *_BITS_BINARY,
    BinaryKind.SHL,
)


def _unary(sketch: Sketch) -> None:
    x = any_value(sketch)
    dtype = dtype_of_value(x)
    if dtype.is_bool:
        sketch.add(UnaryOp("not", x))
    elif dtype.is_int:
        sketch.add(UnaryOp(sketch.choose((*_EXACT_UNARY, UnaryKind.NOT)), x))
    else:
        kind = sketch.choose((*_EXACT_UNARY, *_SMOOTH_UNARY, *_POSITIVE_UNARY, *_STEP_UNARY))
        if kind in _POSITIVE_UNARY:
            x = positive(sketch, x)
        elif kind in _SMOOTH_UNARY:
            x = tame(sketch, x)
        sketch.add(UnaryOp(kind, x))


def _smooth(sketch: Sketch) -> None:
    """An elementary function of a float."""
    x = sketch.pick(lambda v: dtype_of_value(v).is_float)
    if x is None:
        x = sketch.add(CastOp(any_value(sketch), sketch.dtypes[0]))
    sketch.add(UnaryOp(sketch.choose(_SMOOTH_UNARY), tame(sketch, x)))


def _rows(sketch: Sketch) -> None:
    """A value less its rows' maxima, or its rows' sums: what softmax and layernorm are made of."""
    x = sketch.pick(lambda v: not dtype_of_value(v).is_bool and shape_of(v)[-1:] not in ((), (0,)))
    if x is None:
        x = sketch.argument(tensor_type((sketch.choose(sketch.sizes) or 1,), sketch.dtypes[0]))
    rest, last = shape_of(x)[:-1], len(shape_of(x)) - 1
    reduced = sketch.add(ReduceOp(sketch.choose(("max", "add")), x, (last,)))
    column = sketch.add(ReshapeOp(reduced, (*rest, 1)))
    sketch.add(BinaryOp("sub", x, sketch.add(BroadcastOp(column, shape_of(x)))))


def _binary(sketch: Sketch) -> None:
    a = any_value(sketch)
    dtype = dtype_of_value(a)
    b = of_type(sketch, a, dtype)
    if dtype.is_bool:
        sketch.add(BinaryOp(sketch.choose(_BITS_BINARY), a, b))
    elif dtype.is_int:
        # A 64-bit logical shift to the right is refused for machines without int64.
        kinds = (*_INT_BINARY, BinaryKind.SHR) if dtype == int32 else _INT_BINARY
        sketch.add(BinaryOp(sketch.choose(kinds), a, b))
    else:
        kind = sketch.choose(_FLOAT_BINARY)
        if kind == BinaryKind.DIV:
            b = positive(sketch, b)
        elif kind == BinaryKind.POW:
            a, b = positive(sketch, a), tame(sketch, b)
        sketch.add(BinaryOp(kind, a, b))


def _compare(sketch: Sketch) -> None:
    a = any_value(sketch)
    kinds = list(CompareKind)[: 2 if dtype_of_value(a).is_bool else None]
    sketch.add(CompareOp(sketch.choose(kinds), a, of_type(sketch, a, dtype_of_value(a))))


def _select(sketch: Sketch) -> None:
    a = any_value(sketch)
    b = of_type(sketch, a, dtype_of_value(a))
    condition = sketch.pick(lambda v: dtype_of_value(v).is_bool and shape_of(v) == shape_of(a))
    if condition is None:
        condition = sketch.add(CompareOp("ne", a, b))
    sketch.add(SelectOp(condition, a, b))


def _cast(sketch: Sketch) -> None:
    sketch.add(CastOp(any_value(sketch), sketch.choose(sketch.dtypes)))


def _reduce(sketch: Sketch) -> None:
    x = with_rank(sketch, 1)
    shape = shape_of(x)
    axes = [a for a in range(len(shape)) if sketch.choose((False, True))] or [len(shape) - 1]
    if dtype_of_value(x).is_bool:
        kinds = (ReduceKind.AND, ReduceKind.OR)
    elif 0 in (shape[axis] for axis in axes):
        kinds = (ReduceKind.ADD, ReduceKind.MUL)
    else:
        kinds = (ReduceKind.ADD, ReduceKind.MAX, ReduceKind.MIN)
    sketch.add(ReduceOp(sketch.choose(kinds), x, axes))


def _argreduce(sketch: Sketch) -> None:
    x = with_rank(sketch, 1)
    if dtype_of_value(x).is_bool:
        x = sketch.add(CastOp(x, int32))
    full = [axis for axis, size in enumerate(shape_of(x)) if size]
    if full:
        sketch.add(ArgReduceOp(sketch.choose(list(ArgReduceKind)), x, sketch.choose(full)))


def _matmul(sketch: Sketch) -> None:
    a = with_rank(sketch, 2)
    if dtype_of_value(a).is_bool:
        a = sketch.add(CastOp(a, int32))
    *batch, rows, inner = shape_of(a)

    def fits(v: SSAValue) -> bool:
        shape = shape_of(v)
        return (
            dtype_of_value(v) == dtype_of_value(a)
            and len(shape) == len(batch) + 2
            and shape[:-1] == (*batch, inner)
            and prod(batch) * rows * shape[-1] <= MOST_ELEMENTS
        )

    b = sketch.pick(fits)
    if b is None:
        last = len(batch)
        if prod(batch) * rows * rows > MOST_ELEMENTS:
            a = sketch.add(SliceOp(a, (0,) * (last + 2), (*batch, 1, inner)))
        b = sketch.add(PermuteOp(a, (*range(last), last + 1, last)))
    sketch.add(MatmulOp(a, b))


def _reshape(sketch: Sketch) -> None:
    x = any_value(sketch)
    shape = shape_of(x)
    if sketch.choose((False, True)) and 0 not in shape:
        rest, sizes = prod(shape), list[int]()
        for divisor in (3, 2):
            if rest % divisor == 0:
                rest //= divisor
                sizes.append(divisor)
        sketch.add(ReshapeOp(x, (*sizes, rest)))
    elif sketch.choose((False, True)) and len(shape) < 4:
        at = sketch.number(0, len(shape))
        sketch.add(ReshapeOp(x, (*shape[:at], 1, *shape[at:])))
    else:
        sketch.add(ReshapeOp(x, (prod(shape),)))


def _permute(sketch: Sketch) -> None:
    x = with_rank(sketch, 2)
    sketch.add(PermuteOp(x, another_order(sketch, x)))


def _broadcast(sketch: Sketch) -> None:
    x = any_value(sketch)
    shape = shape_of(x)
    wide = [3 if size == 1 and sketch.choose((True, False)) else size for size in shape]
    if len(shape) < 4 and (wide == list(shape) or sketch.choose((False, True))):
        wide.insert(0, sketch.choose((2, 1, 5)))
    if prod(wide) <= MOST_ELEMENTS:
        sketch.add(BroadcastOp(x, wide))


def _slice(sketch: Sketch) -> None:
    x = with_rank(sketch, 1)
    starts: list[int] = []
    limits: list[int] = []
    steps: list[int] = []
    for size in shape_of(x):
        starts.append(sketch.number(0, min(1, size)))
        limits.append(sketch.choose((size, max(starts[-1], size - 1))))
        steps.append(sketch.choose((1, 1, 2)))
    sketch.add(SliceOp(x, starts, limits, steps))


def _reverse(sketch: Sketch) -> None:
    x = with_rank(sketch, 1)
    sketch.add(ReverseOp(x, (sketch.number(0, len(shape_of(x)) - 1),)))


def _pad(sketch: Sketch) -> None:
    x = with_rank(sketch, 1)
    rank = len(shape_of(x))
    low, high, between = ([sketch.number(0, 1) for _ in range(rank)] for _ in range(3))
    sizes = (s + a + b + c * s for s, a, b, c in zip(shape_of(x), low, high, between, strict=True))
    if prod(sizes) <= MOST_ELEMENTS:
        dtype = dtype_of_value(x)
        value = bool(low[0]) if dtype.is_bool else sketch.choose((0, 1, -1))
        value = abs(value) if dtype is uint8 else value
        sketch.add(PadOp(x, low, high, between, value))


def _concat(sketch: Sketch) -> None:
    a = with_rank(sketch, 1)
    axis, shape = sketch.number(0, len(shape_of(a)) - 1), shape_of(a)

    def fits(v: SSAValue) -> bool:
        other = shape_of(v)
        return (
            dtype_of_value(v) == dtype_of_value(a)
            and len(other) == len(shape)
            and other[:axis] + other[axis + 1 :] == shape[:axis] + shape[axis + 1 :]
            and prod(other) + prod(shape) <= MOST_ELEMENTS
        )

    b = sketch.pick(fits)
    sketch.add(ConcatOp((a,) if b is None else (a, b), axis))


def _index(sketch: Sketch, shape: tuple[int, ...], size: int) -> SSAValue:
    """An index within [0, size): constant, or the remainder of a new argument of any values."""
    dtype = sketch.choose((int64, int32))
    if sketch.choose((False, True)):
        seed = sketch.number(0, 99)
        numbers = np.random.default_rng(seed).integers(0, size, shape)
        return sketch.constant(numbers, dtype)
    anything = sketch.argument(type_of(sketch.constant(np.zeros(shape), dtype)))
    return sketch.add(BinaryOp("remainder", anything, splat(sketch, anything, size)))


def _gather(sketch: Sketch) -> None:
    x = with_rank(sketch, 1)
    full = [axis for axis, size in enumerate(shape_of(x)) if size]
    if full:
        axis, shape = sketch.choose(full), list(shape_of(x))
        size, shape[axis] = shape[axis], sketch.choose((1, 2))
        sketch.add(GatherOp(x, _index(sketch, tuple(shape), size), axis))


def _scatter(sketch: Sketch) -> None:
    x = with_rank(sketch, 1)
    full = [axis for axis, size in enumerate(shape_of(x)) if size]
    if full:
        axis, shape = sketch.choose(full), list(shape_of(x))
        size, shape[axis] = shape[axis], sketch.choose((1, 3))
        index = _index(sketch, tuple(shape), size)
        updates = of_type(sketch, index, dtype_of_value(x))
        is_bool = dtype_of_value(x).is_bool
        kind = ScatterKind.SET if is_bool else sketch.choose(list(ScatterKind))
        sketch.add(ScatterOp(kind, x, index, updates, axis))


def _constant(sketch: Sketch) -> None:
    shape, dtype = sketch.shape(), sketch.dtype()
    rng = np.random.default_rng(sketch.number(0, 99))
    sketch.constant(rng.integers(-2 if dtype.kind != "bool" else 0, 3, shape), dtype)


def _iota(sketch: Sketch) -> None:
    sketch.add(
        IotaOp(sketch.choose((3, 1, 5, 0, 20)), sketch.choose((int32, sketch.dtypes[0], int64)))
    )


def _random_bits(sketch: Sketch) -> None:
    state = sketch.constant(np.arange(4) + sketch.number(0, 9), int32)
    sketch.add(RandomBitsOp(state, sketch.shape()))


def _repeat(sketch: Sketch) -> None:
    """An op that is there already, once more, or with its operands swapped: work for cse."""
    ops = list(sketch.block.ops)
    if ops:
        copy = sketch.choose(tuple(reversed(ops))).clone(clone_name_hints=False)
        uneven = (BinaryKind.DIV, BinaryKind.POW)  # one operand is made to fit the other
        swaps = isinstance(copy, CompareOp) or (
            isinstance(copy, BinaryOp) and copy.kind.data not in uneven
        )
        if swaps and sketch.choose((False, True)):
            copy.operands = tuple(reversed(copy.operands))
        sketch.block.add_op(copy)
        sketch.values.append(copy.results[0])


def _redundant(sketch: Sketch) -> None:
    """Ops that do nothing, one way or another: work for canonicalize."""
    x = any_value(sketch)
    shape, dtype = shape_of(x), dtype_of_value(x)
    way = sketch.number(0, 3)
    if way == 0 and not dtype.is_bool:
        sketch.add(BinaryOp("mul", x, splat(sketch, x, 1)))
    elif way == 1:
        sketch.add(ReshapeOp(sketch.add(ReshapeOp(x, (prod(shape), 1))), shape))
    elif way == 2:
        kind = "not" if dtype.is_bool else "neg"
        sketch.add(UnaryOp(kind, sketch.add(UnaryOp(kind, x))))
    else:
        back = tuple(reversed(range(len(shape))))
        sketch.add(PermuteOp(sketch.add(PermuteOp(x, back)), back))


MAKERS: Mapping[str, Maker] = {
    "unary": _unary,
    "binary": _binary,
    "reduce": _reduce,
    "broadcast": _broadcast,
    "rows": _rows,
    "matmul": _matmul,
    "select": _select,
    "compare": _compare,
    "cast": _cast,
    "reshape": _reshape,
    "permute": _permute,
    "slice": _slice,
    "pad": _pad,
    "concat": _concat,
    "reverse": _reverse,
    "argreduce": _argreduce,
    "gather": _gather,
    "scatter": _scatter,
    "constant": _constant,
    "iota": _iota,
    "random_bits": _random_bits,
    "repeat": _repeat,
    "redundant": _redundant,
    "smooth": _smooth,
    "windows": makers_windows.windows,
    "convolution": makers_windows.convolution,
    "scan": makers_order.scan,
    "argsort": makers_order.argsort,
}
"""By name, so that a test may ask for some only; the first are drawn more often (see `modules`)."""
