"""Samples of ops on narrow dtypes: those of float32 and int32 once more, in the narrow ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import cast

import numpy as np
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr
from xdsl.ir import Attribute

from picograd.dialects.dtypes import (
    DType,
    bfloat16,
    bool_,
    float16,
    float32,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from picograd.dialects.literals import (
    Literal,
    array_of,
    literal,
    scalar_attr,
    scalar_type,
    scalar_value,
)
from picograd.dialects.tensor import (
    ROUNDED_TO,
    CastOp,
    ConstantOp,
    GatherOp,
    IotaOp,
    RandomBitsOp,
    ScatterOp,
    UnaryOp,
)
from picograd.semantics.samples.sample import Array, Sample, generator, one

NARROW = (float16, bfloat16, int8, int16, uint8)
_EACH = 2
"""Samples of each kind and dtype; the plain ones are many."""


def narrowed(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Some of the samples, of each kind of op, with narrow dtypes."""
    taken = Counter[tuple[object, ...]]()
    for sample in samples:
        special = "special" in sample.name
        if 0 in (size for array in sample.inputs for size in array.shape) and not special:
            continue
        for dtype in NARROW:
            key = (sample.op, sample.properties.get("kind"), special, dtype)
            if taken[key] < _EACH and (variant := _in_dtype(sample, dtype)) is not None:
                taken[key] += 1
                yield variant


def _in_dtype(sample: Sample, dtype: DType) -> Sample | None:
    """A sample with another dtype in place of the one it has; None where it has others."""
    wide = float32 if dtype.is_float else int32
    if sample.op in (CastOp, RandomBitsOp) or _rounds(sample):
        return None
    index = 1 if sample.op in (GatherOp, ScatterOp) else None
    positions = [
        position
        for position, array in enumerate(sample.inputs)
        if array.dtype == wide.numpy and position != index
    ]
    inputs = [
        narrow(array, dtype) if position in positions else array
        for position, array in enumerate(sample.inputs)
    ]
    properties = {name: _property(value, wide, dtype) for name, value in sample.properties.items()}
    if not positions and (sample.op not in (IotaOp, ConstantOp) or properties == sample.properties):
        return None
    name = f"{sample.name.removeprefix(sample.op.name).strip()} in {dtype.name}"
    return Sample(f"{sample.op.name} {name}", sample.op, properties, tuple(inputs))


def _rounds(sample: Sample) -> bool:
    kinds = [str(kind) for kind in ROUNDED_TO]
    return sample.op is UnaryOp and any(kind in sample.name for kind in kinds)


def narrow(array: Array, dtype: DType) -> Array:
    """The numbers in another dtype: floats rounded, integers wrapped."""
    with np.errstate(all="ignore"):
        return array.astype(dtype.numpy)


def _property(value: Attribute, wide: DType, dtype: DType) -> Attribute:
    """An element type, a number or a literal, in another dtype if it had the one it had."""
    if value == wide.ir:
        return dtype.ir
    if scalar_type(value) == wide.ir:
        number = np.asarray(scalar_value(value), wide.numpy)
        return scalar_attr(narrow(number, dtype).item(), dtype.ir)
    if isinstance(value, DenseIntOrFPElementsAttr):
        array = array_of(cast(Literal, value))
        return literal(narrow(array, dtype) if array.dtype == wide.numpy else array)
    return value


def casts() -> Iterator[Sample]:
    """From and to every narrow dtype: ordinary numbers, and those that do not fit."""
    numbers = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, 127.0, 128.0, -129.0, 255.0, 256.0])
    wild = np.array([300.0, -300.0, 40000.0, -65000.0, 2049.0, -257.0])
    wilder = np.array([1e30, np.inf, -np.inf, np.nan])
    for dtype in NARROW:
        for other in (*NARROW, float32, int32, int64, bool_):
            for source, target in ((dtype, other), (other, dtype)):
                arrays = [numbers, wild, generator("cast").normal(0, 90, (3, 5))]
                if source.is_float:
                    arrays.append(wilder)
                for number, array in enumerate(arrays):
                    name = f"to {target.name}" + (" special" if number == 3 else f" {number}")
                    yield one(CastOp, name, {"element_type": target.ir}, _cast_input(array, source))


def _cast_input(array: Array, dtype: DType) -> Array:
    if dtype.is_float:
        return narrow(array, dtype)
    whole = np.clip(np.rint(array), -(2.0**31), 2.0**31 - 1).astype(np.int64)
    return narrow(whole, dtype)
