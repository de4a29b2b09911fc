"""How the generator appends moves of elements, one right after the other: what rules that join two
ops, or let them change places, are about.

Two permutes that a wrong rule joins in the wrong order make a difference only where they do not
commute, which takes three axes; and where the sizes of axes differ, the wrong result seldom has the
right type. So chains start from blocks of several axes, and themes choose equal sizes or others.
An inner value often has a second reader, which whoever joins two ops must leave alone.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TypeAlias

from xdsl.ir import SSAValue

from picograd.check.generation.makers import Maker
from picograd.check.generation.operands import (
    MOST_ARGUMENTS,
    another_order,
    any_order,
    dtype_of_value,
    of_type,
    shape_of,
    splat,
    with_rank,
)
from picograd.check.generation.sketch import MOST_ELEMENTS, Sketch
from picograd.dialects.dtypes import int32, tensor_type
from picograd.dialects.tensor import (
    ArgReduceOp,
    BinaryOp,
    BroadcastOp,
    CastOp,
    CompareKind,
    CompareOp,
    ConcatOp,
    MatmulOp,
    PadOp,
    PermuteOp,
    ReduceKind,
    ReduceOp,
    ReshapeOp,
    ReverseOp,
    ScanKind,
    ScanOp,
    SelectOp,
    SliceOp,
    UnaryOp,
)

Move: TypeAlias = Callable[[Sketch, SSAValue], SSAValue]


def _block(sketch: Sketch, axes: int) -> SSAValue:
    """A value with so many axes of more than one element: one that is there, or a new argument."""

    def fits(value: SSAValue) -> bool:
        long = sum(size > 1 for size in shape_of(value))
        return long >= axes and 0 not in shape_of(value)

    found = sketch.pick(fits)
    if found is not None and sketch.number(0, 3):
        return found
    if len(sketch.block.args) < MOST_ARGUMENTS:
        sizes = [size for size in sketch.sizes if 1 < size < 6] or [2, 3]
        shape = [sketch.choose(sizes) for _ in range(axes)]
        if axes < 4 and prod(shape) <= MOST_ELEMENTS // 8 and sketch.choose((False, True)):
            shape.insert(sketch.number(0, axes), sketch.choose((1, *sizes)))
        return sketch.argument(tensor_type(tuple(shape), sketch.dtype()))
    return with_rank(sketch, axes) if found is None else found


def _some_axes(sketch: Sketch, x: SSAValue) -> list[int]:
    """One axis or more of those that a value has."""
    rank = len(shape_of(x))
    chosen = [axis for axis in range(rank) if sketch.choose((False, True))]
    return chosen or [sketch.number(0, rank - 1)]


def permuted(sketch: Sketch, x: SSAValue) -> SSAValue:
    """The axes in any other order; of a value with one axis, in the one that there is."""
    return sketch.add(PermuteOp(x, another_order(sketch, x)))


def sliced(sketch: Sketch, x: SSAValue) -> SSAValue:
    """A part that is seldom empty: something is left out in front, behind or in between."""
    starts, limits, steps = list[int](), list[int](), list[int]()
    for size in shape_of(x):
        start = sketch.choose((0, 0, 1)) if size > 1 else 0
        starts.append(start)
        limits.append(size - (sketch.choose((0, 0, 1)) if size - start > 1 else 0))
        steps.append(sketch.choose((1, 1, 1, 2)))
    return sketch.add(SliceOp(x, starts, limits, steps))


def padded(sketch: Sketch, x: SSAValue) -> SSAValue:
    """Elements around and in between; the same number often, which lets two pads become one."""
    rank = len(shape_of(x))
    low, high = ([sketch.choose((0, 0, 1, 2)) for _ in range(rank)] for _ in range(2))
    between = [sketch.choose((0, 0, 0, 1)) for _ in range(rank)]
    sizes = [s + a + b + c * s for s, a, b, c in zip(shape_of(x), low, high, between, strict=True)]
    if prod(sizes) > MOST_ELEMENTS:
        return x
    number = sketch.choose((0, 0, 1))
    value = bool(number) if dtype_of_value(x).is_bool else number
    return sketch.add(PadOp(x, low, high, between, value))


def reshaped(sketch: Sketch, x: SSAValue) -> SSAValue:
    """Two axes joined, one split, sizes in another order, ones added, or a single axis."""
    shape = list(shape_of(x))
    way = sketch.number(0, 4)
    at = sketch.number(0, max(0, len(shape) - 2))
    if way == 0 and len(shape) > 1:
        shape[at : at + 2] = [shape[at] * shape[at + 1]]
    elif way == 1 and len(shape) < 4 and shape:
        divisors = [number for number in (2, 3, 1) if shape[at] % number == 0]
        shape[at : at + 1] = sketch.choose(
            [[divisor, shape[at] // divisor] for divisor in divisors]
        )
    elif way == 2 and len(shape) > 1:
        shape = [*shape[1:], shape[0]]
    elif way == 3 and len(shape) < 4:
        shape.insert(sketch.number(0, len(shape)), 1)
    else:
        shape = [prod(shape)]
    return sketch.add(ReshapeOp(x, tuple(shape)))


def reversed_(sketch: Sketch, x: SSAValue) -> SSAValue:
    """One axis or more from behind."""
    return sketch.add(ReverseOp(x, _some_axes(sketch, x)))


def spread(sketch: Sketch, x: SSAValue) -> SSAValue:
    """Repeated along a new axis, at the front or anywhere else."""
    shape = list(shape_of(x))
    count = sketch.choose([size for size in sketch.sizes if 1 < size < 6] or [2, 3])
    if len(shape) > 3 or prod(shape) * count > MOST_ELEMENTS:
        return x
    at = sketch.number(0, len(shape))
    if at:
        x = sketch.add(ReshapeOp(x, (*shape[:at], 1, *shape[at:])))
    return sketch.add(BroadcastOp(x, (*shape[:at], count, *shape[at:])))


def reduced(sketch: Sketch, x: SSAValue) -> SSAValue:
    """Along one axis or more, but not along all of several."""
    x = _no_bool(sketch, x)
    axes = _some_axes(sketch, x)[: sketch.choose((1, 4))]
    axes = axes[1:] if 1 < len(axes) == len(shape_of(x)) else axes
    kinds = (ReduceKind.ADD, ReduceKind.MAX, ReduceKind.MIN)
    empty = 0 in shape_of(x)
    return sketch.add(ReduceOp(ReduceKind.ADD if empty else sketch.choose(kinds), x, axes))


def joined(sketch: Sketch, x: SSAValue) -> SSAValue:
    """With a value of the same type, or with itself from behind."""
    shape = shape_of(x)
    if 2 * prod(shape) > MOST_ELEMENTS:
        return x
    other = sketch.pick(lambda v: v is not x and v.type == x.type)
    other = reversed_(sketch, x) if other is None else other
    parts = sketch.choose(((x, other), (other, x), (x, x)))
    return sketch.add(ConcatOp(parts, sketch.number(0, len(shape) - 1)))


def scanned(sketch: Sketch, x: SSAValue) -> SSAValue:
    """Running sums or maxima."""
    x = _no_bool(sketch, x)
    kind = sketch.choose((ScanKind.ADD, ScanKind.MAX))
    return sketch.add(ScanOp(kind, x, sketch.number(0, len(shape_of(x)) - 1)))


def placed(sketch: Sketch, x: SSAValue) -> SSAValue:
    """Where along an axis the greatest or least element is."""
    full = [axis for axis, size in enumerate(shape_of(x)) if size]
    if not full:
        return x
    x = _no_bool(sketch, x)
    return sketch.add(ArgReduceOp(sketch.choose(("max", "min")), x, sketch.choose(full)))


def multiplied(sketch: Sketch, x: SSAValue) -> SSAValue:
    """The matrices in the last two axes, by others, or by themselves with rows for columns."""
    shape = shape_of(x)
    if len(shape) < 2 or prod(shape[:-1]) * shape[-2] > MOST_ELEMENTS:
        return x
    x = _no_bool(sketch, x)
    *batch, rows, inner = shape
    other = sketch.pick(
        lambda v: dtype_of_value(v) == dtype_of_value(x) and shape_of(v) == (*batch, inner, rows)
    )
    if other is None:
        last = len(batch)
        other = sketch.add(PermuteOp(x, (*range(last), last + 1, last)))
    return sketch.add(MatmulOp(x, other))


def _no_bool(sketch: Sketch, x: SSAValue) -> SSAValue:
    return sketch.add(CastOp(x, int32)) if dtype_of_value(x).is_bool else x


_MOVES: Sequence[Move] = (permuted, sliced, padded, reshaped, reversed_, spread)
_ENDS: Sequence[Move] = (reduced, joined, scanned, placed, multiplied, reduced)


def _applied(sketch: Sketch, x: SSAValue, moves: Sequence[Move]) -> None:
    """One move after the other; values in between often get a second reader."""
    for number, move in enumerate(moves):
        if not shape_of(x):
            return
        if number and sketch.number(0, 2) == 2:
            _read_again(sketch, x)
        x = move(sketch, x)


def _read_again(sketch: Sketch, x: SSAValue) -> None:
    """A reader of a value, apart from what is about to read it."""
    if dtype_of_value(x).is_bool:
        sketch.add(UnaryOp("not", x))
    elif sketch.choose((True, False)):
        sketch.add(UnaryOp("neg", x))
    else:
        sketch.add(BinaryOp("add", x, of_type(sketch, x, dtype_of_value(x))))


def like_moves(sketch: Sketch) -> None:
    """Two or three moves of one kind: permutes of permutes, slices of slices and so on."""
    move = sketch.choose((permuted, *_MOVES))
    _applied(sketch, _block(sketch, 3), (move,) * sketch.number(2, 3))


def permutes(sketch: Sketch) -> None:
    """Two or three permutes of three axes or more, in any order, which seldom commute."""
    _applied(sketch, _block(sketch, 3), (permuted,) * sketch.number(2, 3))


def unlike_moves(sketch: Sketch) -> None:
    """A move after one of another kind: a pad of a slice, a slice of a permute."""
    moves = [sketch.choose(_MOVES) for _ in range(sketch.number(2, 3))]
    _applied(sketch, _block(sketch, 2), moves)


def read_after_moves(sketch: Sketch) -> None:
    """A reduction, concatenation, scan, argmax or product right after one or two moves."""
    often = (permuted, permuted, permuted, *_MOVES)
    moves = [sketch.choose(often) for _ in range(sketch.number(1, 2))]
    _applied(sketch, _block(sketch, 3), (*moves, sketch.choose(_ENDS)))


def moves_after_reductions(sketch: Sketch) -> None:
    """What a reduction leaves, repeated, moved and reduced once more."""
    move = sketch.choose((spread, spread, permuted, reshaped, reversed_))
    _applied(sketch, _block(sketch, 3), (reduced, move, sketch.choose((reduced, *_MOVES))))


def moved_alike(sketch: Sketch) -> None:
    """Two values moved in the same way, or nearly, which meet elementwise or in a concatenation."""
    a = _block(sketch, 3)
    b = of_type(sketch, a, dtype_of_value(a))
    axes = any_order(sketch, a)
    a, b = sketch.add(PermuteOp(a, axes)), sketch.add(PermuteOp(b, axes))
    if sketch.choose((False, True)):
        back = _some_axes(sketch, a)
        a, b = sketch.add(ReverseOp(a, back)), sketch.add(ReverseOp(b, back))
    if dtype_of_value(a).is_bool:
        sketch.add(BinaryOp("xor", a, b))
    elif sketch.choose((True, False)) or 2 * prod(shape_of(a)) > MOST_ELEMENTS:
        sketch.add(BinaryOp(sketch.choose(("sub", "add", "maximum")), a, b))
    else:
        sketch.add(ConcatOp((a, b), sketch.number(0, len(shape_of(a)) - 1)))


def unordered(sketch: Sketch) -> None:
    """Comparisons, choices and extrema of floats, of a value and itself too: NaN decides them."""
    x = sketch.pick(lambda v: dtype_of_value(v).is_float)
    if x is None:
        x = sketch.argument(tensor_type(sketch.shape(), sketch.dtypes[0]))
    way = sketch.number(0, 6)
    if way == 0:
        at_most = sketch.add(BinaryOp("minimum", x, splat(sketch, x, 1.0)))
        sketch.add(BinaryOp("maximum", splat(sketch, x, -1.0), at_most))
        return
    y = x
    if sketch.choose((True, False)):
        y = of_type(sketch, x, dtype_of_value(x))
    elif sketch.choose((True, False)):
        y = splat(sketch, x, sketch.choose((0.0, 1.0, -1.0)))
    first, second = sketch.choose(((x, y), (y, x)))
    if way == 1:
        sketch.add(BinaryOp(sketch.choose(("sub", "mul")), first, second))
    elif way in (2, 3):
        sketch.add(BinaryOp(sketch.choose(("maximum", "minimum")), first, second))
    else:
        equal = (CompareKind.EQ, CompareKind.NE)
        kinds = list(CompareKind) if y is not x else [*equal, *equal, *CompareKind]
        p = sketch.add(CompareOp(sketch.choose(kinds), first, second))
        p = sketch.add(UnaryOp("not", p)) if sketch.number(0, 3) == 3 else p
        other = y if y is not x else splat(sketch, x, sketch.choose((0.0, 1.0)))
        sketch.add(SelectOp(p, *sketch.choose(((x, other), (other, x)))))


CHAINS: Mapping[str, Maker] = {
    "permutes": permutes,
    "like_moves": like_moves,
    "unlike_moves": unlike_moves,
    "read_after_moves": read_after_moves,
    "moves_after_reductions": moves_after_reductions,
    "moved_alike": moved_alike,
    "unordered": unordered,
}
"""By name, as `makers.MAKERS`."""
