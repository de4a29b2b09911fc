"""What the rows are made with: values of random types, the op that a rule is to look at, inputs.

A row draws the op and what stands before it. What stands after it is drawn here for all rows alike:
the result is returned, sometimes twice; so are values on the way, so that a rule meets ops with
other uses; and a later op reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from random import Random
from typing import TypeAlias, TypeVar

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, OpResult, Region, SSAValue

from picograd.dialects.buffer import NAME
from picograd.dialects.dtypes import (
    DType,
    bfloat16,
    bool_,
    dtype_of,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    tensor_type,
    type_of,
    uint8,
)
from picograd.dialects.limits import iinfo
from picograd.dialects.literals import Array, literal
from picograd.dialects.tensor import BroadcastOp, ConstantOp, ReshapeOp, TensorOp
from picograd.quick_dataclasses import dataclass

T = TypeVar("T")
Shape: TypeAlias = tuple[int, ...]

FLOATS: tuple[DType, ...] = (float32, float64, float16, bfloat16)
SIGNED: tuple[DType, ...] = (int32, int64, int8, int16)
INTS: tuple[DType, ...] = (*SIGNED, uint8)
BOOLS: tuple[DType, ...] = (bool_,)
EVERY: tuple[DType, ...] = (*FLOATS, *INTS, *BOOLS)

SHAPES: tuple[Shape, ...] = ((), (1,), (7,), (3, 5), (2, 1, 3), (4, 4), (0,), (3, 0, 2))

_SPECIAL = (0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, np.inf, -np.inf, np.nan)
_EXTREME = (0, 1, -1, 2)


@dataclass
class Scene:
    """A function that is being drawn; the op that the rule is to look at comes last."""

    rng: Random
    block: Block = field(default_factory=Block)
    limits: dict[int, int] = field(default_factory=dict[int, int])
    """The arguments that are indices, by number, and how many elements they may point at."""

    def choose(self, options: Sequence[T]) -> T:
        """One of some options."""
        return self.rng.choice(options)

    def shape(self) -> Shape:
        """A shape: rank 0, a single element, odd sizes, ones, none."""
        return self.choose(SHAPES)

    def value(self, dtypes: Sequence[DType] = EVERY, shape: Shape | None = None) -> SSAValue:
        """A new argument."""
        type = tensor_type(self.shape() if shape is None else shape, self.choose(dtypes))
        argument = self.block.insert_arg(type, len(self.block.args))
        argument.name_hint = f"x{argument.index}"
        return argument

    def like(self, other: SSAValue) -> SSAValue:
        """A new argument of another value's type."""
        type = type_of(other)
        return self.value((dtype_of(type),), type.get_shape())

    def index(self, shape: Shape, size: int) -> SSAValue:
        """A new argument of indices below a size."""
        argument = self.value((int32, int64), shape)
        self.limits[len(self.block.args) - 1] = size
        return argument

    def add(self, op: TensorOp) -> SSAValue:
        """Append an op."""
        self.block.add_op(op)
        return op.result

    def constant(self, array: Array) -> SSAValue:
        """A constant."""
        return self.add(ConstantOp(literal(array)))

    def splat(self, number: bool | float, like: SSAValue) -> SSAValue:
        """A value of another one's type whose elements are one number."""
        type = type_of(like)
        return self.filled(np.asarray(number, dtype_of(type).numpy), type.get_shape())

    def filled(self, number: Array, shape: Shape) -> SSAValue:
        """A number, given as an array of rank 0, in a whole shape: as a constant, or broadcast,
        which is the only way without elements.
        """
        if not shape or (0 not in shape and self.rng.random() < 0.5):
            return self.constant(np.full(shape, number, number.dtype))
        return self.add(BroadcastOp(self.constant(number), shape))


Draw: TypeAlias = Callable[[Scene], SSAValue]
"""Appends an op, and what it reads, to a scene: its result."""


@dataclass(frozen=True)
class Row:
    """Modules that a rule must match, modules that it must not, and what it does not keep."""

    matches: tuple[Draw, ...]
    misses: tuple[Draw, ...]
    exception: str = ""
    """Why the result may differ in bits, though not beyond its error budget; mostly empty."""


@dataclass(frozen=True)
class Case:
    """A module and inputs for it."""

    module: ModuleOp
    inputs: tuple[Array, ...]


def draw_case(draw: Draw, seed: str, *, read: bool = True) -> Case:
    """A module with the op that a row draws, other uses of its values, and inputs.

    Unless it is `read`, no op follows it: a rule that must miss could match that one.
    """
    rng = Random(seed)
    scene = Scene(rng)
    value = draw(scene)
    outputs = [value]
    if rng.random() < 0.3:
        outputs.append(value)
    if read and rng.random() < 0.3:
        outputs.append(scene.add(ReshapeOp(value, (1, *type_of(value).get_shape()))))
    if rng.random() < 0.4:
        # Ops before the last one have other uses; the last one's operands are results themselves.
        results = [op.results[0] for op in scene.block.ops if op.results]
        outputs.append(rng.choice([*results, *scene.block.args]))
    module = _finish(scene, outputs)
    return Case(module, draw_inputs(scene, seed))


def _finish(scene: Scene, outputs: Sequence[SSAValue]) -> ModuleOp:
    scene.block.add_op(ReturnOp(*outputs))
    for number, value in enumerate(outputs):
        if isinstance(value, OpResult):
            value.name_hint = value.name_hint or f"y{number}"
    names = [StringAttr(f"x{argument.index}") for argument in scene.block.args]
    notes: list[Mapping[str, Attribute]] = [{NAME: name} for name in names]
    types = [value.type for value in outputs]
    attributes = ArrayAttr([DictionaryAttr(dict(note)) for note in notes])
    region = Region(scene.block)
    arguments = list(scene.block.arg_types)
    return ModuleOp([FuncOp("main", (arguments, types), region, arg_attrs=attributes)])


def draw_inputs(scene: Scene, seed: str) -> tuple[Array, ...]:
    """Arrays with ties, signed zeros, infinities and NaN, and integers that are about to wrap."""
    rng = np.random.default_rng([ord(letter) for letter in seed])
    arrays: list[Array] = []
    for number, argument in enumerate(scene.block.args):
        type = type_of(argument)
        shape, dtype = type.get_shape(), dtype_of(type)
        if number in scene.limits:
            array = rng.integers(0, max(1, scene.limits[number]), shape)
        elif dtype.is_bool:
            array = rng.random(shape) < 0.5
        elif dtype.is_int:
            array = _integers(rng, shape, dtype)
        else:
            ordinary = rng.normal(0.0, 2.0, shape)
            array = np.where(rng.random(shape) < 0.5, rng.choice(_SPECIAL, shape), ordinary)
        arrays.append(np.asarray(array).astype(dtype.numpy))
    return tuple(arrays)


def _integers(rng: np.random.Generator, shape: Shape, dtype: DType) -> Array:
    limits = iinfo(dtype)
    least, most = int(limits.min), int(limits.max)
    edges = np.array([*(e for e in _EXTREME if e >= least), least, most], dtype.numpy)
    ordinary = rng.integers(max(least, -300), min(most, 300), shape, dtype=np.int64)
    return np.where(rng.random(shape) < 0.5, rng.choice(edges, shape), ordinary.astype(dtype.numpy))
