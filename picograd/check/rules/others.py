"""Rows of the rules about reductions, products, orders, gather and scatter, and of folding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np
from xdsl.ir import Operation, SSAValue

from picograd.check.rules.scene import BOOLS, EVERY, FLOATS, INTS, Draw, Row, Scene, Shape
from picograd.dialects.dtypes import dtype_of, from_numpy, int32, tensor_type, type_of
from picograd.dialects.tensor import (
    OPS,
    ArgReduceOp,
    ArgSortOp,
    BinaryOp,
    CastOp,
    CompareOp,
    ConcatOp,
    ConstantOp,
    ConvolutionOp,
    IotaOp,
    MatmulOp,
    PadOp,
    RandomBitsOp,
    ReduceOp,
    ScanOp,
    ScatterOp,
    SelectOp,
    TensorOp,
    UnaryOp,
    WindowsOp,
)
from picograd.passes.rewriting.greedy import Rule
from picograd.passes.rules import folding, indexing, reductions
from picograd.semantics.samples import SAMPLES
from picograd.semantics.samples.movement import out_of_range_samples
from picograd.semantics.samples.sample import Sample

NUMBERS = (*FLOATS, *INTS)


def _reduce(kinds: tuple[str, ...], shape: Shape, *axes: int) -> Draw:
    def draw(scene: Scene) -> SSAValue:
        kind = scene.choose(kinds)
        dtypes = (*INTS, *BOOLS) if kind in ("and", "or") else NUMBERS
        return scene.add(ReduceOp(kind, scene.value(dtypes, shape), axes))

    return draw


def _whole_reduce(kinds: tuple[str, ...], shape: Shape, *axes: int) -> Draw:
    """A reduction of integers, whose sum of one element is that element, bit by bit."""
    return lambda scene: scene.add(ReduceOp(scene.choose(kinds), scene.value(INTS, shape), axes))


def _float_sum(scene: Scene) -> SSAValue:
    return scene.add(ReduceOp("add", scene.value(FLOATS, (3, 1)), [1]))


def _reduce_twice(inner: str, outer: str, *, floats: bool) -> Draw:
    def draw(scene: Scene) -> SSAValue:
        logical = "and" in (inner, outer) or "or" in (inner, outer)
        dtypes = (*INTS, *BOOLS) if logical else FLOATS if floats else INTS
        x = scene.value(dtypes, scene.choose(((3, 4, 2), (1, 5, 3), (2, 2, 2, 2))))
        first = scene.rng.sample(range(len(type_of(x).get_shape())), 2)
        once = scene.add(ReduceOp(inner, x, sorted(first)))
        return scene.add(ReduceOp(outer, once, [0]))

    return draw


def _zeros_of_both_signs(scene: Scene) -> SSAValue:
    """The greatest of rows in which nothing is greater than a zero, or the least."""
    x = scene.value(FLOATS, (3, 4, 2))
    kind, other = scene.choose((("max", "minimum"), ("min", "maximum")))
    bounded = scene.add(BinaryOp(other, x, scene.splat(scene.choose((0.0, -0.0)), x)))
    once = scene.add(ReduceOp(kind, bounded, [scene.choose((0, 1, 2))]))
    return scene.add(ReduceOp(kind, once, [scene.choose((0, 1))]))


_SAME_KIND = ("max", "min", "and", "or", "add", "mul")
_TWICE = tuple(_reduce_twice(kind, kind, floats=False) for kind in _SAME_KIND)


def _axis_of_one(make: Callable[[Scene, SSAValue], TensorOp], long: bool = False) -> Draw:
    """An op along an axis of one element, the second of three; or of four elements."""

    def draw(scene: Scene) -> SSAValue:
        return scene.add(make(scene, scene.value(NUMBERS, (3, 4 if long else 1, 2))))

    return draw


def _argreduce(scene: Scene, x: SSAValue) -> TensorOp:
    return ArgReduceOp(scene.choose(("max", "min")), x, 1)


def _argsort(scene: Scene, x: SSAValue) -> TensorOp:
    return ArgSortOp(x, 1, descending=scene.choose((True, False)))


def _scan(scene: Scene, x: SSAValue) -> TensorOp:
    """A scan other than the inclusive sum of floats."""
    kinds = ("max", "min", "mul") if dtype_of(type_of(x)).is_float else ("max", "min", "mul", "add")
    if scene.rng.random() < 0.4:
        return ScanOp(scene.choose(("add", "mul")), x, 1, exclusive=True)
    return ScanOp(scene.choose(kinds), x, 1)


def _float_scan(scene: Scene) -> SSAValue:
    return scene.add(ScanOp("add", scene.value(FLOATS, (3, 1)), 1))


def _matmul(inner: int, rows: int = 2) -> Draw:
    def draw(scene: Scene) -> SSAValue:
        a = scene.value(NUMBERS, (2, rows, inner))
        return scene.add(MatmulOp(a, scene.value((dtype_of(type_of(a)),), (2, inner, 3))))

    return draw


def _convolution(scene: Scene, x: SSAValue, channels: int = 2, groups: int = 1) -> SSAValue:
    w = scene.value((dtype_of(type_of(x)),), (2 * groups, channels // groups, 2, 3))
    strides, low, high, dilations = (
        [scene.choose((least, least + 1)) for _ in range(2)] for least in (1, 0, 0, 1)
    )
    return scene.add(ConvolutionOp(x, w, strides, low, high, dilations, groups))


def _no_channels(channels: int) -> Draw:
    return lambda scene: _convolution(scene, scene.value(NUMBERS, (2, channels, 6, 7)), channels)


def _convolution_of_pad(number: float = 0, *, batch: int = 0, between: int = 0) -> Draw:
    def draw(scene: Scene) -> SSAValue:
        x = scene.value(NUMBERS if str(number) == "0" else FLOATS, (2, 2, 4, 5))
        low = [batch, 0, scene.choose((0, 2)), 1]
        high = [0, 0, 1, scene.choose((0, 3))]
        padded = scene.add(PadOp(x, low, high, [0, 0, between, 0], number))
        return _convolution(scene, padded, 2, scene.choose((1, 2)))

    return draw


def _scatter(updates: int, size: int = 5) -> Draw:
    """A scatter of so many updates for each row of `size` elements."""

    def draw(scene: Scene) -> SSAValue:
        kind = scene.choose(("add", "set"))
        axis = scene.choose((0, 1))
        x = scene.value(NUMBERS if kind == "add" else EVERY, (size, 3) if axis == 0 else (3, size))
        shape = (updates, 3) if axis == 0 else (3, updates)
        index = scene.index(shape, size)
        return scene.add(
            ScatterOp(kind, x, index, scene.value((dtype_of(type_of(x)),), shape), axis)
        )

    return draw


def _scatter_of(scene: Scene, kind: str, shape: Shape, updates: Shape) -> SSAValue:
    x, index = scene.value(NUMBERS, shape), scene.index(updates, shape[0])
    dtype = (dtype_of(type_of(x)),)
    return scene.add(ScatterOp(kind, x, index, scene.value(dtype, updates), 0))


def _known_scatter(scene: Scene) -> SSAValue:
    """A scatter of one update a row that folding computes."""
    x, updates = np.arange(6.0, dtype=np.float32).reshape(3, 2), np.ones((1, 2), np.float32)
    base, index, new = map(scene.constant, (x, np.array([[2, 0]]), updates))
    return scene.add(ScatterOp(scene.choose(("add", "set")), base, index, new, 0))


# Folding: the samples of each op, with constants for operands.


def _applied(scene: Scene, sample: Sample, *, known: bool) -> SSAValue:
    """The op of a sample, on constants or on arguments."""
    operands = [
        scene.constant(array) if known else scene.value((from_numpy(array.dtype),), array.shape)
        for array in sample.inputs
    ]
    return scene.add(sample.op.make(operands, sample.properties))


def _size(sample: Sample) -> int:
    """How many elements the result of a sample has."""
    types = [tensor_type(array.shape, from_numpy(array.dtype)) for array in sample.inputs]
    return prod(sample.op.infer(types, sample.properties).get_shape())


def _one_of(samples: Sequence[Sample], *, known: bool) -> tuple[Draw, ...]:
    """A row's way to draw the op of one of the samples, if there are any."""
    if not samples:
        return ()
    return (lambda scene: _applied(scene, scene.choose(samples), known=known),)


def _fold_row(op: type[TensorOp]) -> Row:
    samples = [s for s in SAMPLES[op] if _size(s) <= folding.FOLDED_ELEMENTS]
    outside = [s for s in out_of_range_samples() if s.op is op]
    unknown = _one_of([s for s in samples if s.inputs], known=False)
    if op is IotaOp:
        # Its numbers would take more room than the op.
        return Row((), _one_of(samples, known=True))
    return Row(_one_of(samples, known=True), (*unknown, *_one_of(outside, known=True)))


def _empty_row(op: type[TensorOp]) -> Row:
    samples = SAMPLES[op]
    return Row(
        (*_one_of([s for s in samples if not _size(s)], known=False), *_EMPTY.get(op, ())),
        _one_of([s for s in samples if _size(s)], known=False),
    )


_EMPTY: Mapping[type[TensorOp], tuple[Draw, ...]] = {
    ArgSortOp: (lambda s: s.add(ArgSortOp(s.value(NUMBERS, (3, 0)), s.choose((0, 1)))),),
    ArgReduceOp: (lambda s: s.add(ArgReduceOp("max", s.value(NUMBERS, (3, 0)), 0)),),
    PadOp: (lambda s: s.add(PadOp(s.value(EVERY, (0, 3)), [0, 1], [0, 2], [2, 1])),),
    ConcatOp: (lambda s: s.add(ConcatOp([x := s.value(EVERY, (0, 3)), s.like(x)], 1)),),
    ScatterOp: (lambda s: _scatter_of(s, "add", (4, 0), (2, 0)),),
    IotaOp: (lambda s: s.add(IotaOp(0, s.choose(INTS))),),
    RandomBitsOp: (lambda s: s.add(RandomBitsOp(s.value((int32,), (4,)), (2, 0))),),
    WindowsOp: (lambda s: s.add(WindowsOp(s.value(EVERY, (0, 5)), 1, 2)),),
    ConvolutionOp: (lambda s: _convolution(s, s.value(NUMBERS, (0, 2, 6, 7))),),
}


def _splats(op: type[TensorOp], *, unknown: bool = False) -> Draw:
    """An elementwise op on numbers that are broadcast; the first is none where one is `unknown`."""
    samples = [s for s in SAMPLES[op] if all(a.size and a.shape for a in s.inputs)]

    def draw(scene: Scene) -> SSAValue:
        sample, shape = scene.choose(samples), scene.choose(((), (3, 5), (0, 2), (40, 30)))
        place = scene.rng.randint(0, sample.inputs[0].size - 1)
        operands = [
            scene.filled(np.asarray(array.reshape(-1)[place]), shape) for array in sample.inputs
        ]
        if unknown:
            operands[0] = scene.like(operands[0])
        return scene.add(sample.op.make(operands, sample.properties))

    return draw


def _large_constant(scene: Scene) -> SSAValue:
    dtype = scene.choose(EVERY)
    return scene.constant(np.full((33, 32), scene.choose((0, 1)), dtype.numpy))


def _other_constant(scene: Scene) -> SSAValue:
    shape = scene.choose(((32, 32), (33, 32)))
    array = np.zeros(shape, scene.choose(EVERY).numpy)
    if shape[0] > 32:
        array[3, 4] = 1
    return scene.constant(array)


def _negative_zero(scene: Scene) -> SSAValue:
    """Zeros of both signs are not one number."""
    array = np.zeros((33, 32), scene.choose(FLOATS).numpy)
    array[5, 6] = -0.0
    return scene.constant(array)


_ELEMENTWISE = (UnaryOp, BinaryOp, CompareOp, SelectOp, CastOp)

FOLDING: Mapping[tuple[type[Operation], Rule], Row] = {
    (ConstantOp, folding.large_splat): Row((_large_constant,), (_other_constant, _negative_zero)),
    **{
        (op, folding.fold_splats): Row((_splats(op),), (_splats(op, unknown=True),))
        for op in _ELEMENTWISE
    },
    **{(op, folding.fold): _fold_row(op) for op in OPS if op is not ConstantOp},
    **{(op, folding.empty_value): _empty_row(op) for op in OPS if op is not ConstantOp},
}

ROWS: Mapping[tuple[type[Operation], Rule], Row] = {
    (ReduceOp, reductions.reduce_nothing): Row(
        (
            _reduce(("max", "min", "mul", "and", "or"), (3, 1), 1),
            _reduce(("add", "max", "and"), (3, 2)),
            _reduce(("max", "min", "and"), (1, 2, 1), 0, 2),
            _whole_reduce(("add", "mul"), (1, 4), 0),
        ),
        (_float_sum, _reduce(("add", "max", "or"), (3, 2), 1)),
    ),
    (ReduceOp, reductions.reduce_of_empty): Row(
        (_reduce(("add", "mul", "and", "or"), (3, 0), 1), _reduce(("add", "or"), (0, 0), 0, 1)),
        (_reduce(("add", "max"), (3, 2), 1), _reduce(("add", "and"), (3, 0), 0)),
    ),
    (ReduceOp, reductions.reduce_of_reduce): Row(
        (*_TWICE, _reduce_twice("max", "max", floats=True), _zeros_of_both_signs),
        (
            _reduce_twice("add", "add", floats=True),
            _reduce_twice("mul", "mul", floats=True),
            _reduce_twice("max", "min", floats=False),
            _reduce_twice("and", "or", floats=False),
        ),
    ),
    (ArgReduceOp, reductions.argreduce_of_one): Row(
        (_axis_of_one(_argreduce),), (_axis_of_one(_argreduce, long=True),)
    ),
    (ScanOp, reductions.scan_of_one): Row(
        (_axis_of_one(_scan),), (_float_scan, _axis_of_one(_scan, long=True))
    ),
    (ArgSortOp, reductions.argsort_of_one): Row(
        (_axis_of_one(_argsort),), (_axis_of_one(_argsort, long=True),)
    ),
    (MatmulOp, reductions.matmul_of_empty): Row((_matmul(0),), (_matmul(1), _matmul(0, rows=0))),
    (ConvolutionOp, reductions.convolution_of_empty): Row((_no_channels(0),), (_no_channels(2),)),
    (ConvolutionOp, reductions.convolution_of_pad): Row(
        (_convolution_of_pad(),),
        (
            _convolution_of_pad(1.0),
            _convolution_of_pad(-0.0),
            _convolution_of_pad(batch=1),
            _convolution_of_pad(between=1),
            _no_channels(2),
        ),
    ),
    (ScatterOp, indexing.scatter_nothing): Row((_scatter(0),), (_scatter(1), _scatter(3))),
    (ScatterOp, indexing.scatter_of_one): Row(
        (_scatter(1), _scatter(1, 1)), (_scatter(0), _scatter(2), _scatter(1, 0), _known_scatter)
    ),
}
