"""Samples of the ops that move elements: views, pads, and what picks places by an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from picograd.dialects.dtypes import DType, bool_, float32, float64, int32, int64
from picograd.dialects.literals import scalar_attr
from picograd.dialects.tensor import (
    BroadcastOp,
    ConcatOp,
    GatherOp,
    PadOp,
    PermuteOp,
    ReshapeOp,
    ReverseOp,
    ScatterKind,
    ScatterKindAttr,
    ScatterOp,
    SliceOp,
    TensorOp,
    int_array,
    int_attr,
)
from picograd.semantics.samples.sample import Array, Sample, Shape, generator, one, random_array

_VIEW_DTYPES = (float32, float64, int32, int64, bool_)


def _moves(
    op: type[TensorOp], cases: Sequence[tuple[Shape, dict[str, Sequence[int]]]]
) -> Iterator[Sample]:
    """Samples of an op with one operand and integer lists as properties, in every dtype once."""
    for number, (shape, lists) in enumerate(cases):
        properties = {name: int_array(values) for name, values in lists.items()}
        text = " ".join(f"{name} {list(values)}" for name, values in lists.items())
        dtype = _VIEW_DTYPES[number % len(_VIEW_DTYPES)]
        for each in dict.fromkeys((float32, dtype)):
            yield one(op, text, properties, random_array(shape, each, op.name))


def reshapes() -> Iterator[Sample]:
    pairs: list[tuple[Shape, Shape]] = [((), (1, 1)), ((1,), ()), ((0,), (3, 0)), ((6,), (2, 3))]
    pairs += [((3, 5), (5, 3)), ((2, 3, 4), (6, 4)), ((2, 3, 4), (24,)), ((2, 6), (3, 1, 4))]
    return _moves(ReshapeOp, [(old, {"shape": new}) for old, new in pairs])


def permutes() -> Iterator[Sample]:
    pairs: list[tuple[Shape, Shape]] = [((), ()), ((7,), (0,)), ((3, 5), (1, 0)), ((0, 2), (1, 0))]
    pairs += [((2, 3, 4), (2, 0, 1)), ((2, 3, 4), (0, 2, 1)), ((2, 1, 3, 5), (3, 1, 0, 2))]
    return _moves(PermuteOp, [(shape, {"permutation": order}) for shape, order in pairs])


def broadcasts() -> Iterator[Sample]:
    pairs: list[tuple[Shape, Shape]] = [((), ()), ((), (3, 5)), ((1,), (0,)), ((5,), (3, 5))]
    pairs += [((3, 1), (3, 5)), ((1, 1), (2, 3, 5)), ((2, 1, 3), (2, 4, 3)), ((7,), (7,))]
    return _moves(BroadcastOp, [(old, {"shape": new}) for old, new in pairs])


def slices() -> Iterator[Sample]:
    cases: list[tuple[Shape, Shape, Shape, Shape]] = [
        ((), (), (), ()),
        ((7,), (2,), (6,), (1,)),
        ((7,), (1,), (7,), (3,)),
        ((7,), (3,), (3,), (1,)),
        ((3, 5), (1, 0), (3, 5), (1, 2)),
        ((0, 5), (0, 1), (0, 4), (1, 1)),
        ((2, 3, 4), (0, 1, 0), (2, 3, 4), (1, 1, 3)),
        ((3, 5), (0, 0), (3, 5), (1, 1)),
    ]
    return _moves(
        SliceOp,
        [(s, {"starts": a, "limits": b, "steps": c}) for s, a, b, c in cases],
    )


def reverses() -> Iterator[Sample]:
    pairs: list[tuple[Shape, Shape]] = [((), ()), ((7,), (0,)), ((3, 5), (1,)), ((3, 5), (0, 1))]
    pairs += [((3, 5), ()), ((0, 2), (0,)), ((2, 3, 4), (0, 2))]
    return _moves(ReverseOp, [(shape, {"axes": axes}) for shape, axes in pairs])


def pads() -> Iterator[Sample]:
    cases: list[tuple[Shape, Shape, Shape, Shape]] = [
        ((), (), (), ()),
        ((7,), (2,), (1,), (0,)),
        ((7,), (0,), (0,), (2,)),
        ((0,), (2,), (1,), (3,)),
        ((1,), (0,), (4,), (3,)),
        ((3, 5), (1, 0), (0, 2), (0, 0)),
        ((3, 5), (0, 1), (1, 0), (1, 2)),
        ((2, 3, 4), (0, 1, 0), (2, 0, 0), (0, 0, 1)),
    ]
    for shape, low, high, interior in cases:
        for dtype, value in ((float32, -1.5), (int32, 7), (bool_, True), (float64, 0.0)):
            properties = {
                "value": scalar_attr(value, dtype.ir),
                "low": int_array(low),
                "high": int_array(high),
                "interior": int_array(interior),
            }
            name = f"low {list(low)} high {list(high)} interior {list(interior)}"
            yield one(PadOp, name, properties, random_array(shape, dtype, "pad"))


def concats() -> Iterator[Sample]:
    cases: list[tuple[tuple[Shape, ...], int]] = [
        (((7,),), 0),
        (((3,), (4,)), 0),
        (((0,), (3,)), 0),
        (((3, 5), (3, 1)), 1),
        (((1, 5), (2, 5), (3, 5)), 0),
        (((2, 3, 4), (2, 0, 4), (2, 1, 4)), 1),
    ]
    for shapes, axis in cases:
        for dtype in (float32, int64, bool_):
            parts = [random_array(shape, dtype, "concat", n) for n, shape in enumerate(shapes)]
            yield one(ConcatOp, f"axis {axis}", {"axis": int_attr(axis)}, *parts)


_INDEXED: tuple[tuple[Shape, Shape, int], ...] = (
    ((7,), (4,), 0),
    ((1,), (3,), 0),
    ((5,), (0,), 0),
    ((3, 5), (3, 1), 1),
    ((3, 5), (3, 9), 1),
    ((3, 5), (4, 5), 0),
    ((2, 3, 4), (2, 5, 4), 1),
)
"""Shapes of operand and index, and the axis."""


def _index(shape: Shape, size: int, dtype: DType, *words: object) -> Array:
    return np.asarray(generator(shape, size, *words).integers(0, size, shape)).astype(dtype.numpy)


def gathers() -> Iterator[Sample]:
    for number, (shape, picked, axis) in enumerate(_INDEXED):
        for dtype, index_dtype in ((float32, int64), (int32, int32), (float32, int32)):
            index = _index(picked, shape[axis], index_dtype, "gather", number)
            x = random_array(shape, dtype, "gather")
            yield one(GatherOp, f"axis {axis}", {"axis": int_attr(axis)}, x, index)


def scatters() -> Iterator[Sample]:
    for kind in ScatterKind:
        for number, (shape, picked, axis) in enumerate(_INDEXED):
            for dtype, index_dtype in ((float32, int64), (int32, int32), (float64, int64)):
                index = _index(picked, shape[axis], index_dtype, "scatter", number)
                properties = {"kind": ScatterKindAttr(kind), "axis": int_attr(axis)}
                x, updates = random_array(shape, dtype, "x"), random_array(picked, dtype, "updates")
                yield one(ScatterOp, f"{kind} axis {axis}", properties, x, index, updates)


def out_of_range_samples() -> tuple[Sample, ...]:
    """Gathers and scatters that must raise IndexOutOfRange."""
    x = random_array((3, 5), float32, "out of range")
    updates = random_array((3, 2), float32, "updates")
    properties = {"axis": int_attr(1)}
    bad = [np.array([[0, wrong], [1, 2], [4, 3]], np.int32) for wrong in (5, -1, 2**31 - 1)]
    gathers = [one(GatherOp, f"index {i[0, 1]}", properties, x, i) for i in bad]
    scatters = [
        one(
            ScatterOp,
            f"{kind} index {index[0, 1]}",
            {**properties, "kind": ScatterKindAttr(kind)},
            x,
            index,
            updates,
        )
        for kind in ScatterKind
        for index in bad
    ]
    return (*gathers, *scatters)
