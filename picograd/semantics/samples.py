"""Sample inputs of every op: what its tests run on every device.

For each op class and kind a few inputs that catch mistakes: rank 0, size 0, size 1, odd sizes,
ties, signed zeros, infinities, NaN, wrap-around, and ordinary random numbers (seeded by the
sample's name). The same samples go through the reference, the error bounds, and each backend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute

from picograd.dialects.dtypes import (
    DType,
    bool_,
    dtype_of,
    float32,
    float64,
    from_numpy,
    int32,
    int64,
    tensor_type,
)
from picograd.dialects.literals import literal, scalar_attr
from picograd.dialects.tensor import (
    ArgReduceKind,
    ArgReduceKindAttr,
    ArgReduceOp,
    BinaryKind,
    BinaryKindAttr,
    BinaryOp,
    BroadcastOp,
    CastOp,
    CompareKind,
    CompareKindAttr,
    CompareOp,
    ConcatOp,
    ConstantOp,
    GatherOp,
    IotaOp,
    MatmulOp,
    PadOp,
    PermuteOp,
    RandomBitsOp,
    ReduceKind,
    ReduceKindAttr,
    ReduceOp,
    ReshapeOp,
    ReverseOp,
    ScatterKind,
    ScatterKindAttr,
    ScatterOp,
    SelectOp,
    SliceOp,
    TensorOp,
    UnaryKind,
    UnaryKindAttr,
    UnaryOp,
    int_array,
    int_attr,
)

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

NAN, INF = float("nan"), float("inf")
SHAPES: tuple[Shape, ...] = ((), (0,), (1,), (7,), (3, 5), (2, 1, 3), (3, 0, 2))
_SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.0, INF, -INF, NAN]
_FLOAT_UNARY = tuple(
    kind
    for kind in UnaryKind
    if kind not in (UnaryKind.NOT, UnaryKind.NEG, UnaryKind.ABS, UnaryKind.SIGN)
)
_POSITIVE = (UnaryKind.LOG, UnaryKind.SQRT, UnaryKind.RSQRT)
_BITWISE = (BinaryKind.AND, BinaryKind.OR, BinaryKind.XOR)
_SHIFTS = (BinaryKind.SHL, BinaryKind.SHR)


@dataclass(frozen=True, eq=False)
class Sample:
    """One op on given inputs."""

    name: str
    op: type[TensorOp]
    properties: Mapping[str, Attribute]
    inputs: tuple[Array, ...]

    def module(self) -> ModuleOp:
        """A tensor-level module whose `@main` applies the op to its arguments."""
        types = [tensor_type(array.shape, from_numpy(array.dtype)) for array in self.inputs]
        function = FuncOp("main", (types, []))
        op = self.op.make(function.body.block.args, self.properties, name_hint="result")
        function.body.block.add_ops([op, ReturnOp(op.result)])
        function.update_function_type()
        return ModuleOp([function])

    @property
    def dtypes(self) -> frozenset[DType]:
        """The dtypes of operands and result: a device that lacks one skips the sample."""
        operands = [tensor_type(a.shape, from_numpy(a.dtype)) for a in self.inputs]
        result = self.op.infer(operands, self.properties)
        return frozenset(from_numpy(array.dtype) for array in self.inputs) | {dtype_of(result)}

    @property
    def has_nonfinite(self) -> bool:
        """Whether an input holds an infinity or NaN, which WGSL does not promise to keep."""
        floats = [array for array in self.inputs if array.dtype.kind == "f"]
        return any(not bool(np.isfinite(array).all()) for array in floats)

    def __repr__(self) -> str:
        return self.name


def _generator(*words: object) -> np.random.Generator:
    """A random generator that depends on the sample's name only."""
    return np.random.default_rng(crc32(" ".join(map(str, words)).encode()))


def _random(shape: Shape, dtype: DType, *words: object) -> Array:
    generator = _generator(shape, dtype.name, *words)
    if dtype.is_bool:
        return np.asarray(generator.random(shape) < 0.5)
    if dtype.is_int:
        return np.asarray(generator.integers(-9, 10, shape)).astype(dtype.numpy)
    return np.asarray(generator.normal(0.0, 2.0, shape)).astype(dtype.numpy)


def _special(dtype: DType) -> Array:
    if dtype.is_int:
        info = np.iinfo(dtype.numpy.name)
        return np.array([0, 1, -1, 2, -7, info.max, info.min], dtype.numpy)
    return np.array(_SPECIAL, dtype.numpy)


def _pairs(dtype: DType) -> tuple[Array, Array]:
    """Every special value with every other, as two vectors."""
    values = _special(dtype)
    left, right = np.meshgrid(values, values)
    return left.reshape(-1), right.reshape(-1)


def _one(
    op: type[TensorOp], name: str, properties: Mapping[str, Attribute], *inputs: Array
) -> Sample:
    dtypes = "-".join(dict.fromkeys(str(array.dtype) for array in inputs))
    shapes = ",".join("x".join(map(str, array.shape)) or "scalar" for array in inputs)
    return Sample(" ".join(filter(None, (op.name, name, dtypes, shapes))), op, properties, inputs)


def _constants() -> Iterator[Sample]:
    arrays = [_random(shape, dtype, "constant") for shape in SHAPES for dtype in (float32, int64)]
    arrays += [_special(float32), _special(float64), _special(int32), np.array([True, False, True])]
    arrays += [np.full((2, 3), -0.0, np.float32), _random((9, 9), float32, "long")]
    for number, array in enumerate(arrays):
        yield _one(ConstantOp, f"{number}", {"value": literal(array)})


def _iotas() -> Iterator[Sample]:
    for size in (0, 1, 2, 7, 65):
        for dtype in (int32, int64, float32):
            yield _one(
                IotaOp,
                f"{size} {dtype.name}",
                {"size": int_attr(size), "element_type": dtype.ir},
            )


def _random_bits() -> Iterator[Sample]:
    states = [(0, 0, 0, 0), (1, 2, 3, 4), (-1, -1, -1, -1), (7, -9, -2, 0)]
    shapes: list[Shape] = [(), (0,), (1,), (4,), (7,), (3, 5), (2, 3, 9)]
    for number, shape in enumerate(shapes):
        state = np.array(states[number % len(states)], np.int32)
        yield _one(RandomBitsOp, f"to {shape}", {"shape": int_array(shape)}, state)


def _unary_input(kind: UnaryKind, shape: Shape, dtype: DType) -> Array:
    x = _random(shape, dtype, kind)
    return np.abs(x) + dtype.numpy.type(0.01) if kind in _POSITIVE else x


def _unaries() -> Iterator[Sample]:
    for kind in UnaryKind:
        properties = {"kind": UnaryKindAttr(kind)}
        ints = [] if kind in _FLOAT_UNARY else [int32, int64]
        floats = [] if kind == UnaryKind.NOT else [float32, float64]
        for dtype in (*floats, *ints):
            yield _one(UnaryOp, f"{kind} special", properties, _special(dtype))
            shapes = SHAPES if dtype in (float32, int32) else SHAPES[3:5]
            for shape in shapes:
                yield _one(UnaryOp, kind, properties, _unary_input(kind, shape, dtype))
    flip = {"kind": UnaryKindAttr(UnaryKind.NOT)}
    for shape in SHAPES:
        yield _one(UnaryOp, "not", flip, _random(shape, bool_, "not"))
    wide = np.array([-100.0, -87.0, -20.0, 20.0, 88.0, 100.0], np.float32)
    for kind in (UnaryKind.EXP, UnaryKind.TANH, UnaryKind.ERF):
        yield _one(UnaryOp, f"{kind} wide", {"kind": UnaryKindAttr(kind)}, wide)
    near_one = 1 + _generator("log").normal(0, 1e-3, 33).astype(np.float32)
    yield _one(UnaryOp, "log near 1", {"kind": UnaryKindAttr(UnaryKind.LOG)}, near_one)


def _binary_dtypes(kind: BinaryKind) -> tuple[DType, ...]:
    if kind in _BITWISE:
        return (bool_, int32, int64)
    if kind in _SHIFTS:
        return (int32, int64)
    if kind in (BinaryKind.DIV, BinaryKind.POW):
        return (float32, float64)
    return (float32, float64, int32, int64)


def _binaries() -> Iterator[Sample]:
    for kind in BinaryKind:
        properties = {"kind": BinaryKindAttr(kind)}
        for dtype in _binary_dtypes(kind):
            if not dtype.is_bool:
                yield _one(BinaryOp, f"{kind} special", properties, *_pairs(dtype))
            shapes = SHAPES if dtype in (float32, int32, bool_) else SHAPES[3:5]
            for shape in shapes:
                a, b = _random(shape, dtype, kind, "a"), _random(shape, dtype, kind, "b")
                a = np.abs(a) if kind == BinaryKind.POW else a
                yield _one(BinaryOp, kind, properties, a, b)
    for kind in _SHIFTS:
        values = np.array([1, -1, 12345, -12345, 7, 7, 7, 7], np.int32)
        counts = np.array([0, 1, 5, 31, 32, 33, -1, 30], np.int32)
        yield _one(BinaryOp, f"{kind} counts", {"kind": BinaryKindAttr(kind)}, values, counts)


def _compares() -> Iterator[Sample]:
    for kind in CompareKind:
        properties = {"kind": CompareKindAttr(kind)}
        for dtype in (float32, float64, int32, int64):
            yield _one(CompareOp, f"{kind} special", properties, *_pairs(dtype))
        for shape in SHAPES:
            a, b = (np.rint(_random(shape, float32, kind, side)) for side in "ab")
            yield _one(CompareOp, f"{kind} ties", properties, a, b)
        if kind in (CompareKind.EQ, CompareKind.NE):
            pair = [_random((3, 5), bool_, kind, side) for side in "ab"]
            yield _one(CompareOp, kind, properties, *pair)


def _selects() -> Iterator[Sample]:
    for dtype in (float32, float64, int32, int64, bool_):
        for shape in SHAPES if dtype == float32 else SHAPES[3:5]:
            branches = [_random(shape, dtype, "select", side) for side in "ab"]
            yield _one(SelectOp, "", {}, _random(shape, bool_, "select"), *branches)
    special = _special(float32)
    condition = _random(special.shape, bool_, "special")
    yield _one(SelectOp, "special", {}, condition, special, special[::-1].copy())


def _casts() -> Iterator[Sample]:
    dtypes = (float32, float64, int32, int64, bool_)
    for source in dtypes:
        for target in dtypes:
            properties = {"element_type": target.ir}
            name = f"to {target.name}"
            yield _one(CastOp, name, properties, _random((3, 5), source, "cast"))
            if not source.is_bool:
                yield _one(CastOp, f"{name} special", properties, _special(source))
    saturating = np.array([1e10, -1e10, 1e20, -1e20, 2147483648.0, -2147483648.0, 0.9, -0.9])
    for source in (float32, float64):
        for target in (int32, int64):
            values = saturating.astype(source.numpy)
            properties = {"element_type": target.ir}
            yield _one(CastOp, f"to {target.name} saturates", properties, values)
    for shape in SHAPES:
        properties = {"element_type": int32.ir}
        yield _one(CastOp, "to int32", properties, _random(shape, float32, "cast"))


def _reduce_inputs(kind: ReduceKind) -> Iterator[tuple[Array, Shape]]:
    logical = kind in (ReduceKind.AND, ReduceKind.OR)
    dtypes = (bool_, int32, int64) if logical else (float32, float64, int32, int64)
    cases: list[tuple[Shape, Shape]] = [((), ()), ((1,), (0,)), ((7,), (0,)), ((3, 5), ())]
    cases += [((3, 5), (0,)), ((3, 5), (1,)), ((3, 5), (0, 1)), ((2, 3, 5), (0, 2))]
    cases += [((3, 0), (0,)), ((257,), (0,)), ((2, 65), (1,)), ((2, 3, 4, 5), (1, 3))]
    if kind not in (ReduceKind.MAX, ReduceKind.MIN):
        cases += [((0,), (0,)), ((3, 0), (1,))]
    for dtype in dtypes:
        for shape, axes in cases:
            x = _random(shape, dtype, "reduce", kind)
            if kind == ReduceKind.MUL and dtype.is_float:
                # Products of many random numbers would leave the range: keep them near 1.
                x = (x / 16 + 1).astype(x.dtype)
            yield x, axes


def _reduces() -> Iterator[Sample]:
    for kind in ReduceKind:
        for x, axes in _reduce_inputs(kind):
            properties = {"kind": ReduceKindAttr(kind), "axes": int_array(axes)}
            yield _one(ReduceOp, f"{kind} axes {list(axes)}", properties, x)
        if kind in (ReduceKind.AND, ReduceKind.OR):
            continue
        properties = {"kind": ReduceKindAttr(kind), "axes": int_array((1,))}
        rows = [[1.0, NAN, 2.0], [INF, 1.0, 2.0], [-INF, INF, 0.0], [-0.0, -0.0, -0.0]]
        yield _one(ReduceOp, f"{kind} special", properties, np.array(rows, np.float32))


def _argreduces() -> Iterator[Sample]:
    cases: list[tuple[Shape, int]] = [((1,), 0), ((7,), 0), ((3, 5), 0), ((3, 5), 1)]
    cases += [((2, 3, 4), 1), ((0, 3), 1), ((65, 2), 0), ((257,), 0)]
    for kind in ArgReduceKind:
        for shape, axis in cases:
            for dtype in (float32, float64, int32, int64):
                properties = {"kind": ArgReduceKindAttr(kind), "axis": int_attr(axis)}
                yield _one(
                    ArgReduceOp,
                    f"{kind} axis {axis}",
                    properties,
                    np.rint(_random(shape, dtype, "argreduce")).astype(dtype.numpy),
                )
        properties = {"kind": ArgReduceKindAttr(kind), "axis": int_attr(1)}
        rows = [[1.0, NAN, NAN], [INF, 1.0, INF], [-INF, -INF, 0.0], [0.0, -0.0, 0.0]]
        yield _one(ArgReduceOp, f"{kind} special", properties, np.array(rows, np.float32))


def _matmuls() -> Iterator[Sample]:
    sizes: list[tuple[Shape, Shape]] = [((1, 1), (1, 1)), ((3, 5), (5, 7)), ((1, 9), (9, 1))]
    sizes += [((4, 0), (0, 3)), ((0, 4), (4, 3)), ((2, 3, 4), (2, 4, 5)), ((33, 65), (65, 17))]
    sizes += [((2, 1, 3, 5), (2, 1, 5, 2)), ((64, 64), (64, 64)), ((0, 2, 3), (0, 3, 2))]
    for left, right in sizes:
        dtypes = (float32, float64, int32, int64) if left == (3, 5) else (float32,)
        for dtype in dtypes:
            yield _one(
                MatmulOp, "", {}, _random(left, dtype, "left"), _random(right, dtype, "right")
            )
    special = np.array([[1.0, NAN], [INF, 1.0], [0.0, 0.0]], np.float32)
    other = np.array([[1.0, 0.0, -1.0], [2.0, 3.0, INF]], np.float32)
    yield _one(MatmulOp, "special", {}, special, other)


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
            yield _one(op, text, properties, _random(shape, each, op.name))


def _reshapes() -> Iterator[Sample]:
    pairs: list[tuple[Shape, Shape]] = [((), (1, 1)), ((1,), ()), ((0,), (3, 0)), ((6,), (2, 3))]
    pairs += [((3, 5), (5, 3)), ((2, 3, 4), (6, 4)), ((2, 3, 4), (24,)), ((2, 6), (3, 1, 4))]
    return _moves(ReshapeOp, [(old, {"shape": new}) for old, new in pairs])


def _permutes() -> Iterator[Sample]:
    pairs: list[tuple[Shape, Shape]] = [((), ()), ((7,), (0,)), ((3, 5), (1, 0)), ((0, 2), (1, 0))]
    pairs += [((2, 3, 4), (2, 0, 1)), ((2, 3, 4), (0, 2, 1)), ((2, 1, 3, 5), (3, 1, 0, 2))]
    return _moves(PermuteOp, [(shape, {"permutation": order}) for shape, order in pairs])


def _broadcasts() -> Iterator[Sample]:
    pairs: list[tuple[Shape, Shape]] = [((), ()), ((), (3, 5)), ((1,), (0,)), ((5,), (3, 5))]
    pairs += [((3, 1), (3, 5)), ((1, 1), (2, 3, 5)), ((2, 1, 3), (2, 4, 3)), ((7,), (7,))]
    return _moves(BroadcastOp, [(old, {"shape": new}) for old, new in pairs])


def _slices() -> Iterator[Sample]:
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


def _reverses() -> Iterator[Sample]:
    pairs: list[tuple[Shape, Shape]] = [((), ()), ((7,), (0,)), ((3, 5), (1,)), ((3, 5), (0, 1))]
    pairs += [((3, 5), ()), ((0, 2), (0,)), ((2, 3, 4), (0, 2))]
    return _moves(ReverseOp, [(shape, {"axes": axes}) for shape, axes in pairs])


def _pads() -> Iterator[Sample]:
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
            yield _one(PadOp, name, properties, _random(shape, dtype, "pad"))


def _concats() -> Iterator[Sample]:
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
            parts = [_random(shape, dtype, "concat", n) for n, shape in enumerate(shapes)]
            yield _one(ConcatOp, f"axis {axis}", {"axis": int_attr(axis)}, *parts)


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
    return np.asarray(_generator(shape, size, *words).integers(0, size, shape)).astype(dtype.numpy)


def _gathers() -> Iterator[Sample]:
    for number, (shape, picked, axis) in enumerate(_INDEXED):
        for dtype, index_dtype in ((float32, int64), (int32, int32), (float32, int32)):
            index = _index(picked, shape[axis], index_dtype, "gather", number)
            x = _random(shape, dtype, "gather")
            yield _one(GatherOp, f"axis {axis}", {"axis": int_attr(axis)}, x, index)


def _scatters() -> Iterator[Sample]:
    for kind in ScatterKind:
        for number, (shape, picked, axis) in enumerate(_INDEXED):
            for dtype, index_dtype in ((float32, int64), (int32, int32), (float64, int64)):
                index = _index(picked, shape[axis], index_dtype, "scatter", number)
                properties = {"kind": ScatterKindAttr(kind), "axis": int_attr(axis)}
                x, updates = _random(shape, dtype, "x"), _random(picked, dtype, "updates")
                yield _one(ScatterOp, f"{kind} axis {axis}", properties, x, index, updates)


SAMPLES: dict[type[TensorOp], tuple[Sample, ...]] = {
    ConstantOp: tuple(_constants()),
    IotaOp: tuple(_iotas()),
    RandomBitsOp: tuple(_random_bits()),
    UnaryOp: tuple(_unaries()),
    BinaryOp: tuple(_binaries()),
    CompareOp: tuple(_compares()),
    SelectOp: tuple(_selects()),
    CastOp: tuple(_casts()),
    ReduceOp: tuple(_reduces()),
    ArgReduceOp: tuple(_argreduces()),
    MatmulOp: tuple(_matmuls()),
    ReshapeOp: tuple(_reshapes()),
    PermuteOp: tuple(_permutes()),
    BroadcastOp: tuple(_broadcasts()),
    SliceOp: tuple(_slices()),
    ReverseOp: tuple(_reverses()),
    PadOp: tuple(_pads()),
    ConcatOp: tuple(_concats()),
    GatherOp: tuple(_gathers()),
    ScatterOp: tuple(_scatters()),
}


def all_samples() -> tuple[Sample, ...]:
    """Every sample, in the order of the ops."""
    return tuple(sample for group in SAMPLES.values() for sample in group)


def out_of_range_samples() -> tuple[Sample, ...]:
    """Gathers and scatters that must raise IndexOutOfRange."""
    x = _random((3, 5), float32, "out of range")
    updates = _random((3, 2), float32, "updates")
    properties = {"axis": int_attr(1)}
    bad = [np.array([[0, wrong], [1, 2], [4, 3]], np.int32) for wrong in (5, -1, 2**31 - 1)]
    gathers = [_one(GatherOp, f"index {i[0, 1]}", properties, x, i) for i in bad]
    scatters = [
        _one(
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
