"""Samples of the ops that make tensors, and of those that work element by element."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from picograd.dialects.dtypes import DType, bool_, float32, float64, int32, int64
from picograd.dialects.literals import literal
from picograd.dialects.tensor import (
    ROUNDED_TO,
    BinaryKind,
    BinaryKindAttr,
    BinaryOp,
    CastOp,
    CompareKind,
    CompareKindAttr,
    CompareOp,
    ConstantOp,
    IotaOp,
    RandomBitsOp,
    SelectOp,
    UnaryKind,
    UnaryKindAttr,
    UnaryOp,
    int_array,
    int_attr,
)
from picograd.semantics.samples.sample import (
    SHAPES,
    Array,
    Sample,
    Shape,
    generator,
    one,
    random_array,
    special_array,
    special_pairs,
)

_FLOAT_UNARY = tuple(
    kind
    for kind in UnaryKind
    if kind not in (UnaryKind.NOT, UnaryKind.NEG, UnaryKind.ABS, UnaryKind.SIGN)
)
_POSITIVE = (UnaryKind.LOG, UnaryKind.SQRT, UnaryKind.RSQRT)
_BITWISE = (BinaryKind.AND, BinaryKind.OR, BinaryKind.XOR)
_SHIFTS = (BinaryKind.SHL, BinaryKind.SHR)


def constants() -> Iterator[Sample]:
    arrays = [
        random_array(shape, dtype, "constant") for shape in SHAPES for dtype in (float32, int64)
    ]
    arrays += [
        special_array(float32),
        special_array(float64),
        special_array(int32),
        np.array([True, False, True]),
    ]
    arrays += [np.full((2, 3), -0.0, np.float32), random_array((9, 9), float32, "long")]
    for number, array in enumerate(arrays):
        yield one(ConstantOp, f"{number}", {"value": literal(array)})


def iotas() -> Iterator[Sample]:
    for size in (0, 1, 2, 7, 65):
        for dtype in (int32, int64, float32):
            yield one(
                IotaOp,
                f"{size} {dtype.name}",
                {"size": int_attr(size), "element_type": dtype.ir},
            )


def random_bits() -> Iterator[Sample]:
    states = [(0, 0, 0, 0), (1, 2, 3, 4), (-1, -1, -1, -1), (7, -9, -2, 0)]
    shapes: list[Shape] = [(), (0,), (1,), (4,), (7,), (3, 5), (2, 3, 9)]
    for number, shape in enumerate(shapes):
        state = np.array(states[number % len(states)], np.int32)
        yield one(RandomBitsOp, f"to {shape}", {"shape": int_array(shape)}, state)


def _unary_input(kind: UnaryKind, shape: Shape, dtype: DType) -> Array:
    x = random_array(shape, dtype, kind)
    return np.abs(x) + dtype.numpy.type(0.01) if kind in _POSITIVE else x


def unaries() -> Iterator[Sample]:
    for kind in UnaryKind:
        properties = {"kind": UnaryKindAttr(kind)}
        ints = [] if kind in _FLOAT_UNARY else [int32, int64]
        floats = [] if kind == UnaryKind.NOT else [float32, float64]
        if kind in ROUNDED_TO:
            floats = [float32]
            near = [2049.0, 2050.9, 257.0, -1.00390625, 1.00048828125, 0.1]
            yield one(UnaryOp, f"{kind} between", properties, np.array(near, np.float32))
        for dtype in (*floats, *ints):
            yield one(UnaryOp, f"{kind} special", properties, special_array(dtype))
            shapes = SHAPES if dtype in (float32, int32) else SHAPES[3:5]
            for shape in shapes:
                yield one(UnaryOp, kind, properties, _unary_input(kind, shape, dtype))
    flip = {"kind": UnaryKindAttr(UnaryKind.NOT)}
    for shape in SHAPES:
        yield one(UnaryOp, "not", flip, random_array(shape, bool_, "not"))
    wide = np.array([-100.0, -87.0, -20.0, 20.0, 88.0, 100.0], np.float32)
    for kind in (UnaryKind.EXP, UnaryKind.TANH, UnaryKind.ERF):
        yield one(UnaryOp, f"{kind} wide", {"kind": UnaryKindAttr(kind)}, wide)
    near_one = 1 + generator("log").normal(0, 1e-3, 33).astype(np.float32)
    yield one(UnaryOp, "log near 1", {"kind": UnaryKindAttr(UnaryKind.LOG)}, near_one)


def _binary_dtypes(kind: BinaryKind) -> tuple[DType, ...]:
    if kind in _BITWISE:
        return (bool_, int32, int64)
    if kind in _SHIFTS:
        return (int32, int64)
    if kind in (BinaryKind.DIV, BinaryKind.POW):
        return (float32, float64)
    return (float32, float64, int32, int64)


def binaries() -> Iterator[Sample]:
    for kind in BinaryKind:
        properties = {"kind": BinaryKindAttr(kind)}
        for dtype in _binary_dtypes(kind):
            if not dtype.is_bool:
                yield one(BinaryOp, f"{kind} special", properties, *special_pairs(dtype))
            shapes = SHAPES if dtype in (float32, int32, bool_) else SHAPES[3:5]
            for shape in shapes:
                a, b = random_array(shape, dtype, kind, "a"), random_array(shape, dtype, kind, "b")
                a = np.abs(a) if kind == BinaryKind.POW else a
                yield one(BinaryOp, kind, properties, a, b)
    for kind in _SHIFTS:
        values = np.array([1, -1, 12345, -12345, 7, 7, 7, 7], np.int32)
        counts = np.array([0, 1, 5, 31, 32, 33, -1, 30], np.int32)
        yield one(BinaryOp, f"{kind} counts", {"kind": BinaryKindAttr(kind)}, values, counts)


def compares() -> Iterator[Sample]:
    for kind in CompareKind:
        properties = {"kind": CompareKindAttr(kind)}
        for dtype in (float32, float64, int32, int64):
            yield one(CompareOp, f"{kind} special", properties, *special_pairs(dtype))
        for shape in SHAPES:
            a, b = (np.rint(random_array(shape, float32, kind, side)) for side in "ab")
            yield one(CompareOp, f"{kind} ties", properties, a, b)
        if kind in (CompareKind.EQ, CompareKind.NE):
            pair = [random_array((3, 5), bool_, kind, side) for side in "ab"]
            yield one(CompareOp, kind, properties, *pair)


def selects() -> Iterator[Sample]:
    for dtype in (float32, float64, int32, int64, bool_):
        for shape in SHAPES if dtype == float32 else SHAPES[3:5]:
            branches = [random_array(shape, dtype, "select", side) for side in "ab"]
            yield one(SelectOp, "", {}, random_array(shape, bool_, "select"), *branches)
    special = special_array(float32)
    condition = random_array(special.shape, bool_, "special")
    yield one(SelectOp, "special", {}, condition, special, special[::-1].copy())


def casts() -> Iterator[Sample]:
    dtypes = (float32, float64, int32, int64, bool_)
    for source in dtypes:
        for target in dtypes:
            properties = {"element_type": target.ir}
            name = f"to {target.name}"
            yield one(CastOp, name, properties, random_array((3, 5), source, "cast"))
            if not source.is_bool:
                yield one(CastOp, f"{name} special", properties, special_array(source))
    saturating = np.array([1e10, -1e10, 1e20, -1e20, 2147483648.0, -2147483648.0, 0.9, -0.9])
    for source in (float32, float64):
        for target in (int32, int64):
            values = saturating.astype(source.numpy)
            properties = {"element_type": target.ir}
            yield one(CastOp, f"to {target.name} saturates", properties, values)
    for shape in SHAPES:
        properties = {"element_type": int32.ir}
        yield one(CastOp, "to int32", properties, random_array(shape, float32, "cast"))
