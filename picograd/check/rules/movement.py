"""Rows of the rules about views, pad and concat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
from xdsl.ir import Operation, SSAValue

from picograd.check.rules.scene import EVERY, FLOATS, INTS, Draw, Row, Scene, Shape
from picograd.dialects.dtypes import dtype_of, type_of
from picograd.dialects.tensor import (
    BroadcastOp,
    ConcatOp,
    PadOp,
    PermuteOp,
    ReshapeOp,
    ReverseOp,
    SliceOp,
    TensorOp,
    UnaryOp,
    WindowsOp,
)
from picograd.passes.rewriting.greedy import Rule
from picograd.passes.rules import views


def _shape(value: SSAValue) -> Shape:
    return type_of(value).get_shape()


def _reshape(scene: Scene, x: SSAValue, shape: Shape | None = None) -> SSAValue:
    """A reshape, by default to another shape of as many elements."""
    count = prod(_shape(x))
    shapes: list[Shape] = [(count,), (1, count), (count, 1), (1, *_shape(x)), (*_shape(x), 1)]
    others = [other for other in shapes if other != _shape(x)]
    return scene.add(ReshapeOp(x, scene.choose(others) if shape is None else shape))


def _reshape_to_same(scene: Scene) -> SSAValue:
    x = scene.value()
    return _reshape(scene, x, _shape(x))


def _reshape_of_reshape(scene: Scene) -> SSAValue:
    return _reshape(scene, _reshape(scene, scene.value()))


def _permute(scene: Scene, x: SSAValue, *, moves: bool = False) -> SSAValue:
    """A permute; one that `moves` changes the order of axes of more than one element."""
    rank = len(_shape(x))
    order = list(range(rank))
    while True:
        scene.rng.shuffle(order)
        long = [axis for axis in order if _shape(x)[axis] != 1]
        if not moves or long != sorted(long):
            return scene.add(PermuteOp(x, order))


def _permute_ones(scene: Scene) -> SSAValue:
    """A permute that moves axes of one element only, or none at all."""
    x = scene.value(shape=scene.choose(((1, 3, 1, 2), (4, 1), (1, 5), (3, 2), (), (1, 0))))
    shape = _shape(x)
    ones = [axis for axis, size in enumerate(shape) if size == 1]
    order = [axis for axis, size in enumerate(shape) if size != 1]
    for axis in ones:
        order.insert(scene.rng.randint(0, len(order)), axis)
    return scene.add(PermuteOp(x, order))


def _permute_of_permute(scene: Scene) -> SSAValue:
    return _permute(scene, _permute(scene, scene.value()))


def _broadcast(scene: Scene, x: SSAValue, *, grows: bool = True) -> SSAValue:
    """A broadcast: along a new axis and axes of one element, or only to further ones."""
    if not grows:
        return scene.add(BroadcastOp(x, (1,) * scene.choose((0, 1, 2)) + _shape(x)))
    shape = tuple(scene.choose((1, 2, 3)) if size == 1 else size for size in _shape(x))
    return scene.add(BroadcastOp(x, (scene.choose((2, 3)), *shape)))


def _broadcast_of(scene: Scene, *, reshape: bool) -> SSAValue:
    x = scene.value(shape=scene.choose(((), (3,), (1, 3), (2, 1), (1, 1), (0, 2))))
    inner = _reshape(scene, x, (1, *_shape(x))) if reshape else _broadcast(scene, x)
    return _broadcast(scene, inner)


def _broadcast_of_other_reshape(scene: Scene) -> SSAValue:
    """A broadcast of a reshape that puts ones elsewhere than in front, or cuts axes."""
    x = scene.value(shape=scene.choose(((3,), (2, 3), (4,))))
    shape = (*_shape(x), 1) if scene.rng.random() < 0.5 else (prod(_shape(x)), 1)
    return _broadcast(scene, _reshape(scene, x, shape))


def _slice(scene: Scene, x: SSAValue, *, shorter: bool = False) -> SSAValue:
    """A slice of some elements; one that is `shorter` leaves some out along each axis."""
    starts: list[int] = []
    limits: list[int] = []
    steps: list[int] = []
    for size in _shape(x):
        start = scene.rng.randint(1 if shorter else 0, max(1 if shorter else 0, size - 1))
        start = min(start, size)
        starts.append(start)
        limits.append(scene.rng.randint(start, size))
        steps.append(scene.choose((1, 1, 2, 3)))
    return scene.add(SliceOp(x, starts, limits, steps))


def _slice_all(scene: Scene) -> SSAValue:
    x = scene.value()
    rank = len(_shape(x))
    steps = [scene.choose((1, 2)) if size < 2 else 1 for size in _shape(x)]
    return scene.add(SliceOp(x, [0] * rank, _shape(x), steps))


def _slice_of_slice(scene: Scene, *, empty: bool = False) -> SSAValue:
    """A slice of a slice; the outer one takes at least one element of each axis, or none."""
    x = scene.value(shape=scene.choose(((9,), (8, 7), (6, 1), ())))
    if empty and not _shape(x):
        x = scene.value(shape=(5,))
    starts = [scene.rng.randint(0, size - 1) for size in _shape(x)]
    inner = scene.add(SliceOp(x, starts, _shape(x), [scene.choose((1, 2, 3)) for _ in _shape(x)]))
    sizes = _shape(inner)
    firsts = [scene.rng.randint(0, size - 1) for size in sizes]
    limits = [
        first if empty else scene.rng.randint(first + 1, size)
        for first, size in zip(firsts, sizes, strict=True)
    ]
    return scene.add(SliceOp(inner, firsts, limits, [scene.choose((1, 2)) for _ in sizes]))


def _pad(scene: Scene, x: SSAValue, *, number: float | None = None, between: int = 2) -> SSAValue:
    """A pad that adds at least one element to each axis."""
    dtype = dtype_of(type_of(x))
    numbers = (True, False) if dtype.is_bool else (0, 3, 1)
    if dtype.is_float:
        numbers = (*numbers, -0.0, float("nan"), float("inf"))
    rank = len(_shape(x))
    return scene.add(
        PadOp(
            x,
            [scene.choose((1, 2)) for _ in range(rank)],
            [scene.choose((0, 1, 2)) for _ in range(rank)],
            [scene.rng.randint(0, between) for _ in range(rank)],
            scene.choose(numbers) if number is None else number,
        )
    )


def _slice_of_pad(scene: Scene, *, shift: int = 0) -> SSAValue:
    """A slice that takes back what a pad surrounded; `shift` makes it begin elsewhere."""
    x = scene.value(shape=scene.choose(((3, 5), (1, 4), (7,), (2, 0), (1,))))
    rank = len(_shape(x))
    low = [scene.choose((1, 2)) for _ in range(rank)]
    interior = [scene.choose((0, 1, 2)) for _ in range(rank)]
    padded = scene.add(PadOp(x, low, [scene.choose((0, 1)) for _ in range(rank)], interior, 0))
    steps = [inner + 1 for inner in interior]
    starts = [first - shift for first in low]
    limits = [
        start + (size - 1) * step + 1 if size else start
        for start, size, step in zip(starts, _shape(x), steps, strict=True)
    ]
    return scene.add(SliceOp(padded, starts, limits, steps))


def _concat(scene: Scene, sizes: Sequence[int]) -> tuple[SSAValue, int]:
    """A concat of values with these sizes along an axis, and the axis."""
    dtype = (scene.choose(EVERY),)
    shape = scene.choose(((3,), (2, 3), (2, 1, 2)))
    axis = scene.rng.randint(0, len(shape) - 1)
    pieces = [scene.value(dtype, (*shape[:axis], size, *shape[axis + 1 :])) for size in sizes]
    return scene.add(ConcatOp(pieces, axis)), axis


def _slice_of_concat(scene: Scene, *, within: bool) -> SSAValue:
    """A slice within one piece of a concat, the second of three, or across its end."""
    joined, axis = _concat(scene, (3, 4, 2))
    start, limit = (scene.choose((3, 4)), scene.choose((5, 7))) if within else (2, 5)
    starts, limits = [0] * len(_shape(joined)), list(_shape(joined))
    starts[axis], limits[axis] = start, limit
    steps = [scene.choose((1, 2)) for _ in starts]
    return scene.add(SliceOp(joined, starts, limits, steps))


def _reverse(scene: Scene, x: SSAValue, axes: Sequence[int] | None = None) -> SSAValue:
    if axes is None:
        count = scene.rng.randint(0, len(_shape(x)))
        axes = sorted(scene.rng.sample(range(len(_shape(x))), count))
    return scene.add(ReverseOp(x, axes))


def _reverse_one(scene: Scene) -> SSAValue:
    """A reverse of an axis of at most one element, beside others, or of none."""
    x = scene.value(shape=scene.choose(((1, 3), (2, 0), (1,), (4, 1, 2))))
    short = [axis for axis, size in enumerate(_shape(x)) if size < 2]
    others = [axis for axis, size in enumerate(_shape(x)) if size > 1 and scene.rng.random() < 0.5]
    axes = sorted([*scene.rng.sample(short, 1), *others]) if scene.rng.random() < 0.8 else []
    return _reverse(scene, x, axes)


def _reverse_of_reverse(scene: Scene) -> SSAValue:
    return _reverse(scene, _reverse(scene, scene.value()))


def _pad_nothing(scene: Scene) -> SSAValue:
    x = scene.value(shape=scene.choose(((3, 5), (), (1, 1), (0, 2))))
    none = [0] * len(_shape(x))
    # Between the elements of an axis that has at most one there is no place.
    interior = [scene.choose((0, 2)) if size < 2 else 0 for size in _shape(x)]
    return scene.add(PadOp(x, none, none, interior, 0))


def _pad_of_pad(
    scene: Scene, *, numbers: tuple[float, float] | None = None, between: int = 0
) -> SSAValue:
    x = scene.value(FLOATS if numbers else (*FLOATS, *INTS), (3, 1))
    first, second = numbers or (scene.choose((0, 3)),) * 2
    inner = _pad(scene, x, number=first)
    interior = [between] * 2
    return scene.add(PadOp(inner, [1, 0], [0, 2], interior, second))


def _pieces(scene: Scene) -> SSAValue:
    """A concat of one piece, with empty pieces, or of a concat along the same axis."""
    how = scene.choose(("one", "empty", "nested"))
    if how == "one":
        return _concat(scene, (3,))[0]
    if how == "empty":
        return _concat(scene, scene.choose(((3, 0), (0, 2, 4), (0, 0, 1))))[0]
    inner, axis = _concat(scene, (2, 3))
    others = [scene.like(inner) for _ in range(scene.rng.randint(1, 2))]
    pieces = [inner, *others]
    scene.rng.shuffle(pieces)
    return scene.add(ConcatOp(pieces, axis))


def _concat_across(scene: Scene) -> SSAValue:
    """A concat of a concat along another axis."""
    dtype = (scene.choose(EVERY),)
    a, b = scene.value(dtype, (2, 3)), scene.value(dtype, (1, 3))
    return scene.add(ConcatOp([scene.add(ConcatOp([a, b], 0)), scene.value(dtype, (3, 2))], 1))


def _windows(scene: Scene, *, size: int, stride: int, dilation: int = 1) -> SSAValue:
    x = scene.value(shape=scene.choose(((7,), (6, 5), (2, 9, 1), (0, 6), (5, 6, 3))))
    long = [axis for axis, length in enumerate(_shape(x)) if length >= (size - 1) * dilation + 1]
    return scene.add(WindowsOp(x, scene.choose(long), size, stride, dilation))


def _side_by_side(scene: Scene) -> SSAValue:
    size = scene.choose((1, 2, 3, 4, 5))
    return _windows(scene, size=size, stride=size)


def _broadcast_number(scene: Scene, shape: Shape, *, known: bool = True) -> SSAValue:
    """A number of any dtype, broadcast; not `known` when it is an argument."""
    like = scene.value(EVERY, ())
    dtype = dtype_of(type_of(like))
    if known:
        number = scene.choose((0, 1) if not dtype.is_float else (0.0, -0.0, float("nan"), 2.5))
        like = scene.constant(np.full((), number, dtype.numpy))
    return scene.add(BroadcastOp(like, shape))


def _view(op: type[TensorOp], *, known: bool = True, whole: bool = False) -> Draw:
    """A view of a broadcast number, or of a whole constant."""

    def draw(scene: Scene) -> SSAValue:
        shape = scene.choose(((3, 5), (2, 4, 3), (6,)))
        x = _broadcast_number(scene, shape, known=known)
        if whole:
            x = scene.add(UnaryOp("neg", scene.value(FLOATS, shape)))
        if op is ReshapeOp:
            return _reshape(scene, x)
        if op is PermuteOp:
            return _permute(scene, x)
        if op is SliceOp:
            return _slice(scene, x)
        if op is ReverseOp:
            return _reverse(scene, x)
        return scene.add(WindowsOp(x, len(shape) - 1, 2, scene.choose((1, 2)), 1))

    return draw


def _pad_of_splat(scene: Scene, *, other: bool = False) -> SSAValue:
    dtype = (scene.choose((*FLOATS, *INTS)),)
    number = scene.choose((0.0, -0.0, float("nan"), 1.0) if dtype[0].is_float else (0, 1, 3))
    scalar = scene.constant(np.full((), number, dtype[0].numpy))
    x = scene.add(BroadcastOp(scalar, scene.choose(((3, 2), (4,), (0, 2)))))
    around = scene.choose((5.0, float("inf"))) if other and dtype[0].is_float else number
    if other and not dtype[0].is_float:
        around = 7
    return _pad(scene, x, number=around)


def _view_row(op: type[TensorOp]) -> Row:
    return Row((_view(op),), (_view(op, known=False), _view(op, whole=True)))


_PLAIN: Mapping[str, Draw] = {
    "permute": lambda scene: _permute(
        scene, scene.value(shape=scene.choose(((3, 5), (4, 4), (2, 3, 4)))), moves=True
    ),
    "reshape": lambda scene: _reshape(scene, scene.value()),
    "broadcast": lambda scene: _broadcast(
        scene, scene.value(shape=scene.choose(((3,), (), (2, 1))))
    ),
    "slice": lambda scene: _slice(scene, scene.value(shape=(6, 5)), shorter=True),
    "pad": lambda scene: _pad(scene, scene.value(shape=(3, 2))),
    "reverse": lambda scene: _reverse(scene, scene.value(shape=(3, 2)), [scene.choose((0, 1))]),
    "concat": lambda scene: _concat(scene, (2, 3))[0],
}

ROWS: Mapping[tuple[type[Operation], Rule], Row] = {
    (ReshapeOp, views.reshape_to_same): Row((_reshape_to_same,), (_PLAIN["reshape"],)),
    (ReshapeOp, views.reshape_of_reshape): Row((_reshape_of_reshape,), (_PLAIN["reshape"],)),
    (ReshapeOp, views.view_of_splat): _view_row(ReshapeOp),
    (PermuteOp, views.permute_nothing): Row((_permute_ones,), (_PLAIN["permute"],)),
    (PermuteOp, views.permute_of_permute): Row((_permute_of_permute,), (_PLAIN["permute"],)),
    (PermuteOp, views.view_of_splat): _view_row(PermuteOp),
    (BroadcastOp, views.broadcast_nothing): Row(
        (lambda scene: _broadcast(scene, scene.value(), grows=False),), (_PLAIN["broadcast"],)
    ),
    (BroadcastOp, views.broadcast_of_broadcast): Row(
        (
            lambda scene: _broadcast_of(scene, reshape=False),
            lambda scene: _broadcast_of(scene, reshape=True),
        ),
        (_broadcast_of_other_reshape, _PLAIN["broadcast"]),
    ),
    (SliceOp, views.slice_nothing): Row((_slice_all,), (_PLAIN["slice"],)),
    (SliceOp, views.slice_of_slice): Row(
        (_slice_of_slice,), (lambda scene: _slice_of_slice(scene, empty=True), _PLAIN["slice"])
    ),
    (SliceOp, views.slice_of_pad): Row(
        (_slice_of_pad,), (lambda scene: _slice_of_pad(scene, shift=1), _PLAIN["slice"])
    ),
    (SliceOp, views.slice_of_concat): Row(
        (lambda scene: _slice_of_concat(scene, within=True),),
        (lambda scene: _slice_of_concat(scene, within=False), _PLAIN["slice"]),
    ),
    (SliceOp, views.view_of_splat): _view_row(SliceOp),
    (ReverseOp, views.reverse_nothing): Row((_reverse_one,), (_PLAIN["reverse"],)),
    (ReverseOp, views.reverse_of_reverse): Row((_reverse_of_reverse,), (_PLAIN["reverse"],)),
    (ReverseOp, views.view_of_splat): _view_row(ReverseOp),
    (WindowsOp, views.windows_side_by_side): Row(
        (_side_by_side,),
        (
            lambda scene: _windows(scene, size=2, stride=1),
            lambda scene: _windows(scene, size=2, stride=3),
            lambda scene: _windows(scene, size=2, stride=2, dilation=2),
        ),
    ),
    (WindowsOp, views.windows_of_one): Row(
        (
            lambda scene: _windows(scene, size=1, stride=scene.choose((1, 2, 3))),
            lambda scene: _windows(scene, size=1, stride=2, dilation=2),
        ),
        (lambda scene: _windows(scene, size=2, stride=1),),
    ),
    (WindowsOp, views.view_of_splat): _view_row(WindowsOp),
    (PadOp, views.pad_nothing): Row((_pad_nothing,), (_PLAIN["pad"],)),
    (PadOp, views.pad_of_pad): Row(
        (
            _pad_of_pad,
            lambda scene: _pad_of_pad(scene, numbers=scene.choose(((-0.0, -0.0), (2.5, 2.5)))),
        ),
        (
            lambda scene: _pad_of_pad(scene, numbers=scene.choose(((0.0, -0.0), (1.0, 2.0)))),
            lambda scene: _pad_of_pad(scene, between=1),
            _PLAIN["pad"],
        ),
    ),
    (PadOp, views.pad_of_splat): Row(
        (_pad_of_splat,), (lambda scene: _pad_of_splat(scene, other=True), _PLAIN["pad"])
    ),
    (ConcatOp, views.concat_pieces): Row((_pieces,), (_concat_across, _PLAIN["concat"])),
}
