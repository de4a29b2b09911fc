"""How the generator appends what tensor compilers are known to get wrong, several ops at a time.

`makers` has one maker for each class of ops, and mild ones: here values are extreme, axes empty,
elements equal, and one value is read in several ways. `check.fuzz` draws from both.
"""

from collections.abc import Mapping
from math import prod

import numpy as np
from xdsl.ir import SSAValue

from picograd.check.generation.makers import Maker
from picograd.check.generation.operands import (
    MOST_ARGUMENTS,
    any_value,
    dtype_of_value,
    of_type,
    shape_of,
    splat,
    tame,
    with_rank,
)
from picograd.check.generation.sketch import MOST_ELEMENTS, Sketch
from picograd.dialects.dtypes import DType, int32, int64, tensor_type
from picograd.dialects.tensor import (
    ArgReduceOp,
    ArgSortOp,
    BinaryKind,
    BinaryOp,
    BroadcastOp,
    CastOp,
    CompareKind,
    CompareOp,
    ConcatOp,
    GatherOp,
    MatmulOp,
    PadOp,
    PermuteOp,
    ReduceKind,
    ReduceOp,
    ReshapeOp,
    ReverseOp,
    ScanKind,
    ScanOp,
    ScatterKind,
    ScatterOp,
    SelectOp,
    SliceOp,
    UnaryOp,
    WindowsOp,
)

_ON_INTEGERS = (
    BinaryKind.MUL,
    BinaryKind.SUB,
    BinaryKind.FLOORDIV,
    BinaryKind.REMAINDER,
    BinaryKind.SHL,
    BinaryKind.ADD,
)


def _number(sketch: Sketch) -> SSAValue:
    """A value that is no bool."""
    x = any_value(sketch)
    return sketch.add(CastOp(x, sketch.choose((int32, sketch.dtypes[0])))) if _is_bool(x) else x


def _is_bool(value: SSAValue) -> bool:
    return dtype_of_value(value).is_bool


def _extreme(sketch: Sketch, dtype: DType) -> float:
    """A number at the edge of what a dtype holds. Floats stay finite, so that others do too."""
    if dtype.is_bool:
        return sketch.choose((True, False))
    if dtype.is_float:
        return sketch.choose((0.0, -0.0, 0.5, -0.5, 1.5, 2.5, 65504.0, 1e-8))
    limits = np.iinfo(dtype.numpy.name)
    least, most = int(limits.min), int(limits.max)
    return sketch.choose((most, least, most - 1, 1, 0, 31, min(64, most), max(-1, least)))


def extremes(sketch: Sketch) -> None:
    """An integer combined with a number at the edge of its range, as the first or second operand;
    of floats the larger one.
    """
    x = _number(sketch)
    dtype = dtype_of_value(x)
    edge = splat(sketch, x, _extreme(sketch, dtype))
    if dtype.is_float:
        sketch.add(BinaryOp(sketch.choose(("maximum", "minimum", "add")), x, edge))
        return
    # A 64-bit logical shift to the right is refused for machines without int64.
    kinds = (*_ON_INTEGERS, BinaryKind.SHR) if dtype == int32 else _ON_INTEGERS
    first, second = sketch.choose(((x, edge), (edge, x)))
    sketch.add(BinaryOp(sketch.choose(kinds), first, second))


def casts(sketch: Sketch) -> None:
    """A value through one or two other dtypes, and mostly back to its own."""
    x = any_value(sketch)
    start = dtype_of_value(x)
    for _ in range(sketch.number(1, 2)):
        others = [dtype for dtype in sketch.dtypes if dtype != dtype_of_value(x)]
        x = sketch.add(CastOp(x, sketch.choose(others or sketch.dtypes)))
    sketch.add(CastOp(x, sketch.choose((start, start, int32, sketch.dtypes[0]))))


def predicates(sketch: Sketch) -> None:
    """Truth values of comparisons: reduced, counted, negated, combined, selected by."""
    a = _number(sketch)
    b = of_type(sketch, a, dtype_of_value(a))
    p = sketch.add(CompareOp(sketch.choose(list(CompareKind)), a, b))
    way = sketch.number(0, 3)
    if way == 0 and shape_of(p):
        axis = sketch.number(0, len(shape_of(p)) - 1)
        sketch.add(ReduceOp(sketch.choose((ReduceKind.AND, ReduceKind.OR)), p, (axis,)))
    elif way == 1:
        sketch.add(SelectOp(sketch.add(UnaryOp("not", p)), b, a))
    elif way == 2:
        q = sketch.add(CompareOp(sketch.choose(list(CompareKind)), b, a))
        sketch.add(BinaryOp(sketch.choose(("and", "or", "xor")), p, q))
    else:
        count = sketch.add(CastOp(p, sketch.choose((int32, int64, sketch.dtypes[0]))))
        if shape_of(count):
            sketch.add(ReduceOp("add", count, (len(shape_of(count)) - 1,)))


def ties(sketch: Sketch) -> None:
    """The place of the greatest or least of few different numbers, along any axis; or their order,
    and the numbers in that order, as a sort gives them.
    """
    x = with_rank(sketch, 1)
    full = [axis for axis, size in enumerate(shape_of(x)) if size]
    if not full:
        return
    axis = sketch.choose(full)
    x = sketch.add(CastOp(x, int32)) if _is_bool(x) else x
    few = sketch.add(BinaryOp("remainder", x, splat(sketch, x, sketch.choose((2, 3)))))
    if dtype_of_value(few).is_float:
        few = sketch.add(UnaryOp("floor", few))
    if sketch.choose((True, False)):
        sketch.add(ArgReduceOp(sketch.choose(("max", "min")), few, axis))
        return
    order = sketch.add(ArgSortOp(few, axis, descending=sketch.choose((False, True))))
    sketch.add(GatherOp(few, order, axis))


def fan_out(sketch: Sketch) -> None:
    """One value, read elementwise, by a reduction and by a view, which meet again."""
    x = _number(sketch)
    shape, dtype = shape_of(x), dtype_of_value(x)
    y = tame(sketch, x) if dtype.is_float else x
    ways: list[SSAValue] = [sketch.add(BinaryOp("mul", y, y)), sketch.add(UnaryOp("neg", x))]
    if shape and 0 not in shape:
        axis = sketch.number(0, len(shape) - 1)
        total = sketch.add(ReduceOp(sketch.choose(("max", "add")), y, (axis,)))
        column = sketch.add(ReshapeOp(total, (*shape[:axis], 1, *shape[axis + 1 :])))
        ways.append(sketch.add(BroadcastOp(column, shape)))
        ways.append(sketch.add(ReverseOp(x, (axis,))))
    if len(shape) > 1 and shape[-1] == shape[-2]:
        last = len(shape) - 1
        ways.append(sketch.add(PermuteOp(x, (*range(last - 1), last, last - 1))))
    first, second = sketch.choose(ways), sketch.choose(tuple(reversed(ways)))
    sketch.add(BinaryOp(sketch.choose(("add", "sub", "maximum")), first, second))


def views(sketch: Sketch) -> None:
    """Several views of views, down to parts without elements."""
    x = with_rank(sketch, 1)
    for _ in range(sketch.number(2, 4)):
        x = sketch.choose((_any_slice, _transposed, _reversed, _refolded, _padded))(sketch, x)


def _any_slice(sketch: Sketch, x: SSAValue) -> SSAValue:
    starts, limits, steps = list[int](), list[int](), list[int]()
    for size in shape_of(x):
        starts.append(sketch.choose((0, 0, sketch.number(0, size))))
        limits.append(sketch.choose((size, size, sketch.number(starts[-1], size))))
        steps.append(sketch.choose((1, 1, 2, 3, 7)))
    return sketch.add(SliceOp(x, starts, limits, steps))


def _transposed(sketch: Sketch, x: SSAValue) -> SSAValue:
    axes = list(range(len(shape_of(x))))
    return sketch.add(PermuteOp(x, axes[(at := sketch.number(0, len(axes))) :] + axes[:at]))


def _reversed(sketch: Sketch, x: SSAValue) -> SSAValue:
    axes = [axis for axis in range(len(shape_of(x))) if sketch.choose((False, True))]
    return sketch.add(ReverseOp(x, axes))


def _refolded(sketch: Sketch, x: SSAValue) -> SSAValue:
    """All elements in one axis, or two axes joined, or one split."""
    shape = shape_of(x)
    if len(shape) > 1:
        at = sketch.number(0, len(shape) - 2)
        return sketch.add(ReshapeOp(x, (*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :])))
    size = prod(shape)
    divisor = sketch.choose([number for number in (2, 3, 1, 5) if size % number == 0])
    return sketch.add(ReshapeOp(x, (divisor, size // divisor)))


def _padded(sketch: Sketch, x: SSAValue) -> SSAValue:
    rank = len(shape_of(x))
    low, high, between = ([sketch.choose((0, 0, 1, 2)) for _ in range(rank)] for _ in range(3))
    sizes = [s + a + b + c * s for s, a, b, c in zip(shape_of(x), low, high, between, strict=True)]
    if prod(sizes) > MOST_ELEMENTS:
        return x
    value = _extreme(sketch, dtype_of_value(x))
    return sketch.add(PadOp(x, low, high, between, value))


def nothing(sketch: Sketch) -> None:
    """A part without elements, and what becomes of it: sums, products, joined, padded."""
    x = with_rank(sketch, 1)
    shape = shape_of(x)
    axis = sketch.number(0, len(shape) - 1)
    limits = [0 if at == axis else size for at, size in enumerate(shape)]
    empty = sketch.add(SliceOp(x, (0,) * len(shape), limits))
    way = sketch.number(0, 3)
    if way == 0 and not _is_bool(x):
        axes = range(len(shape)) if sketch.choose((False, True)) else (axis,)
        sketch.add(ReduceOp(sketch.choose(("add", "mul")), empty, axes))
    elif way == 1:
        sketch.add(ConcatOp((empty, x, empty), axis))
    elif way == 2:
        amount = [int(at == axis) for at in range(len(shape))]
        sketch.add(PadOp(empty, amount, amount, None, _extreme(sketch, dtype_of_value(x))))
    elif len(shape) > 1 and not _is_bool(x) and axis == len(shape) - 1 and prod(shape) <= 100:
        back = (*range(axis - 1), axis, axis - 1)
        rows = prod(shape[:-1]) * shape[-2]
        if rows <= MOST_ELEMENTS:  # a sum of no products at all
            sketch.add(MatmulOp(empty, sketch.add(PermuteOp(empty, back))))
    else:
        sketch.add(CastOp(empty, sketch.choose(sketch.dtypes)))


def products(sketch: Sketch) -> None:
    """Products over axes, of numbers close to 1 or of integers, and running ones."""
    x = with_rank(sketch, 1)
    if _is_bool(x):
        x = sketch.add(CastOp(x, int32))
    if dtype_of_value(x).is_float:
        scaled = sketch.add(BinaryOp("mul", tame(sketch, x), splat(sketch, x, 0.125)))
        x = sketch.add(BinaryOp("add", scaled, splat(sketch, x, 1.0)))
    axis = sketch.number(0, len(shape_of(x)) - 1)
    if sketch.choose((False, True)):
        sketch.add(ScanOp(ScanKind.MUL, x, axis, exclusive=sketch.choose((False, True))))
    else:
        axes = range(axis, len(shape_of(x)))
        sketch.add(ReduceOp(ReduceKind.MUL, x, tuple(axes)))


def duplicates(sketch: Sketch) -> None:
    """A scatter whose indices mostly agree, or a gather by what a sort or an argmax computed."""
    x = with_rank(sketch, 1)
    full = [axis for axis, size in enumerate(shape_of(x)) if size]
    if not full or 0 in shape_of(x):
        return
    axis, shape = sketch.choose(full), list(shape_of(x))
    size, dtype = shape[axis], sketch.choose((int64, int32))
    if sketch.choose((True, False)) or _is_bool(x):
        shape[axis] = sketch.choose((3, 1, 5))
        if prod(shape) > MOST_ELEMENTS:
            return
        rng = np.random.default_rng(sketch.number(0, 99))
        places = rng.choice([0, 0, size - 1, size // 2], shape)
        index = sketch.constant(places, dtype)
        updates = of_type(sketch, index, dtype_of_value(x))
        kind = ScatterKind.SET if _is_bool(x) else sketch.choose(list(ScatterKind))
        sketch.add(ScatterOp(kind, x, index, updates, axis))
        return
    best = sketch.add(ArgReduceOp(sketch.choose(("max", "min")), x, axis))
    index = sketch.add(ReshapeOp(best, (*shape[:axis], 1, *shape[axis + 1 :])))
    sketch.add(GatherOp(x, index, axis))


def out_of_range(sketch: Sketch) -> None:
    """A gather by indices one of which may lie outside of the axis: then it must be told."""
    x = with_rank(sketch, 1)
    shape = list(shape_of(x))
    axis = sketch.number(0, len(shape) - 1)
    size, shape[axis] = shape[axis], 2
    if size and 0 not in shape:
        rng = np.random.default_rng(sketch.number(0, 99))
        places = rng.integers(0, size, shape)
        places.reshape(-1)[0] = sketch.choose((size - 1, 0, size, -1))
        sketch.add(GatherOp(x, sketch.constant(places, sketch.choose((int64, int32))), axis))


def pooling(sketch: Sketch) -> None:
    """Windows along one or two axes, padded, with strides and dilation, and reduced."""
    x = with_rank(sketch, 2)
    x = sketch.add(CastOp(x, int32)) if _is_bool(x) else x
    shape = shape_of(x)
    rank = len(shape)
    axes = [rank - 1] if rank > 3 or sketch.choose((True, False)) else [rank - 2, rank - 1]
    kind = sketch.choose((ReduceKind.MAX, ReduceKind.ADD, ReduceKind.MIN))
    amount = sketch.number(0, 2)
    low = [amount if axis in axes else 0 for axis in range(rank)]
    if 0 in shape or prod(s + 2 * a for s, a in zip(shape, low, strict=True)) > MOST_ELEMENTS:
        return
    x = sketch.add(PadOp(x, low, low, None, 0)) if amount else x
    reduced: list[int] = []
    for axis in axes:
        place = axis + len(reduced)
        length = shape_of(x)[place]
        dilation = sketch.number(1, 2)
        size = sketch.number(1, max(1, min(3, (length - 1) // dilation + 1)))
        if prod(shape_of(x)) * size > 4 * MOST_ELEMENTS:
            return
        x = sketch.add(WindowsOp(x, place, size, sketch.number(1, 3), dilation))
        reduced.append(place + 1)
    sketch.add(ReduceOp(kind, x, reduced))


def joined(sketch: Sketch) -> None:
    """Parts of a value taken apart and joined in another order."""
    x = with_rank(sketch, 1)
    shape = shape_of(x)
    axis = sketch.number(0, len(shape) - 1)
    at = sketch.number(0, shape[axis])
    cut = [at if n == axis else size for n, size in enumerate(shape)]
    start = [at if n == axis else 0 for n in range(len(shape))]
    low = sketch.add(SliceOp(x, (0,) * len(shape), cut))
    high = sketch.add(SliceOp(x, start, shape))
    parts = sketch.choose(((high, low), (low, high), (high, high, low), (low, low)))
    if sum(prod(shape_of(part)) for part in parts) <= MOST_ELEMENTS:
        sketch.add(ConcatOp(parts, axis))


def weights(sketch: Sketch) -> None:
    """A product with a new argument: as it comes, transposed, scaled, or read by every batch; on
    the right, or on the left.
    """
    x = with_rank(sketch, 2)
    x = tame(sketch, sketch.add(CastOp(x, int32)) if dtype_of_value(x).is_bool else x)
    *batch, rows, inner = shape_of(x)
    on_the_left = sketch.number(0, 2) == 2
    if on_the_left:
        rows, inner = inner, rows
    columns = sketch.choose(sketch.sizes)
    if len(sketch.block.args) >= MOST_ARGUMENTS or prod(batch) * rows * columns > MOST_ELEMENTS:
        return
    own = [] if sketch.choose((False, True)) else batch
    swapped = (*range(len(own)), len(own) + 1, len(own))
    way = sketch.number(0, 2)
    sizes = (columns, inner) if bool(way) != on_the_left else (inner, columns)
    if prod(batch) * inner * columns > MOST_ELEMENTS:
        return
    w = sketch.argument(tensor_type((*own, *sizes), dtype_of_value(x)))
    if way == 2:
        w = sketch.add(BinaryOp("mul", w, splat(sketch, w, 2.0)))
    if way:
        w = sketch.add(PermuteOp(w, swapped))
    sizes = (columns, inner) if on_the_left else (inner, columns)
    if len(own) < len(batch):
        w = sketch.add(BroadcastOp(w, (*batch, *sizes)))
    sketch.add(MatmulOp(w, x) if on_the_left else MatmulOp(x, w))


EDGES: Mapping[str, Maker] = {
    "extremes": extremes,
    "casts": casts,
    "predicates": predicates,
    "ties": ties,
    "fan_out": fan_out,
    "views": views,
    "nothing": nothing,
    "products": products,
    "duplicates": duplicates,
    "out_of_range": out_of_range,
    "pooling": pooling,
    "joined": joined,
    "weights": weights,
}
"""By name, as `makers.MAKERS`."""
