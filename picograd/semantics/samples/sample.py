"""What a sample is, and the numbers it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute

from picograd.dialects.dtypes import DType, dtype_of, from_numpy, is_float_array, tensor_type
from picograd.dialects.tensor import TensorOp
from picograd.quick_dataclasses import dataclass

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

NAN, INF = float("nan"), float("inf")
SHAPES: tuple[Shape, ...] = ((), (0,), (1,), (7,), (3, 5), (2, 1, 3), (3, 0, 2))
_SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.0, INF, -INF, NAN]


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
        floats = [array for array in self.inputs if is_float_array(array)]
        return any(not bool(np.isfinite(array).all()) for array in floats)

    def __repr__(self) -> str:
        return self.name


def generator(*words: object) -> np.random.Generator:
    """A random generator that depends on the sample's name only."""
    return np.random.default_rng(crc32(" ".join(map(str, words)).encode()))


def random_array(shape: Shape, dtype: DType, *words: object) -> Array:
    """Ordinary numbers that depend on the words only."""
    numbers = generator(shape, dtype.name, *words)
    if dtype.is_bool:
        return np.asarray(numbers.random(shape) < 0.5)
    if dtype.is_int:
        return np.asarray(numbers.integers(-9, 10, shape)).astype(dtype.numpy)
    return np.asarray(numbers.normal(0.0, 2.0, shape)).astype(dtype.numpy)


def special_array(dtype: DType) -> Array:
    """The values at which arithmetic goes wrong: zeros, extremes, halves, infinities, NaN."""
    if dtype.is_int:
        info = np.iinfo(dtype.numpy.name)
        return np.array([0, 1, -1, 2, -7, info.max, info.min], dtype.numpy)
    return np.array(_SPECIAL, dtype.numpy)


def special_pairs(dtype: DType) -> tuple[Array, Array]:
    """Every special value with every other, as two vectors."""
    values = special_array(dtype)
    left, right = np.meshgrid(values, values)
    return left.reshape(-1), right.reshape(-1)


def one(
    op: type[TensorOp], name: str, properties: Mapping[str, Attribute], *inputs: Array
) -> Sample:
    """A sample named after its op, its arguments, and `name`."""
    dtypes = "-".join(dict.fromkeys(str(array.dtype) for array in inputs))
    shapes = ",".join("x".join(map(str, array.shape)) or "scalar" for array in inputs)
    return Sample(" ".join(filter(None, (op.name, name, dtypes, shapes))), op, properties, inputs)
