"""A function that is being drawn: the values so far, and choices that somebody makes.

Who chooses is a `Source`: Hypothesis, which can shrink what it chose (`strategy`), or a seeded
random number generator, for tools that run where Hypothesis is not installed (`programs`).
"""

from collections.abc import Callable, Sequence
from dataclasses import field
from math import prod
from typing import Protocol, TypeVar

import numpy as np
from xdsl.ir import Block, SSAValue

from picograd.dialects.dtypes import (
    AnyTensor,
    DType,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from picograd.dialects.literals import Array, literal
from picograd.dialects.tensor import ConstantOp, TensorOp
from picograd.quick_dataclasses import dataclass

T = TypeVar("T")

DTYPES = (float32, int32, bool_, int64, float64)
"""The dtypes of values, the likeliest first."""

NARROW_DTYPES = (float16, int8, uint8, bfloat16, int16, float32, bool_)
"""Those that no machine computes with: programs of them are for whole pipelines, from
`legalize_types` on."""

SIZES = (2, 3, 1, 2, 3, 1, 5, 2, 3, 1, 7, 3, 2, 1, 0)
"""The sizes of axes, the likelier ones several times; seldom an empty one."""

MOST_ELEMENTS = 256
"""No value has more elements, so that thousands of samples run in a minute."""


class Source(Protocol):
    """Who makes the choices."""

    def choose(self, options: Sequence[T]) -> T:
        """One of some options; the first is the simplest."""
        ...

    def number(self, least: int, most: int) -> int:
        """A whole number; the least is the simplest."""
        ...

    def several(self, options: Sequence[T], least: int, most: int) -> list[T]:
        """From `least` to `most` of some options, each as often as it comes."""
        ...


@dataclass
class Sketch:
    """A function that is being drawn: its block, and the values that later ops may read."""

    source: Source
    block: Block = field(default_factory=Block)
    values: list[SSAValue] = field(default_factory=list[SSAValue])
    dtypes: Sequence[DType] = DTYPES
    sizes: Sequence[int] = SIZES

    def choose(self, options: Sequence[T]) -> T:
        """One of some options; shrinks to the first."""
        return self.source.choose(options)

    def dtype(self) -> DType:
        """A dtype, half of the time the first."""
        return self.choose((*(self.dtypes[0],) * len(self.dtypes), *self.dtypes))

    def shape(self) -> tuple[int, ...]:
        """A shape of rank up to 4 and few elements."""
        return _small(self.source.several(self.sizes, 0, 4))

    def number(self, least: int, most: int) -> int:
        """A whole number; shrinks to the least."""
        return self.source.number(least, most)

    def argument(self, type: AnyTensor) -> SSAValue:
        """A new argument of the function."""
        argument = self.block.insert_arg(type, len(self.block.args))
        argument.name_hint = f"x{argument.index}"
        self.values.append(argument)
        return argument

    def add(self, op: TensorOp) -> SSAValue:
        """Append an op; later ops may read its result."""
        self.block.add_op(op)
        self.values.append(op.result)
        return op.result

    def constant(self, array: Array | float, dtype: DType) -> SSAValue:
        """Append a constant."""
        return self.add(ConstantOp(literal(np.asarray(array).astype(dtype.numpy))))

    def pick(self, fits: Callable[[SSAValue], bool] = lambda value: True) -> SSAValue | None:
        """One of the values that fit, or None; mostly a late one, so that chains grow."""
        fitting = [value for value in reversed(self.values) if fits(value)]
        return self.choose((*fitting[:2], *fitting[:2], *fitting)) if fitting else None


def _small(sizes: Sequence[int]) -> tuple[int, ...]:
    """Sizes cut to ones from the left where the product gets too large."""
    shape: list[int] = []
    for size in reversed(sizes):
        shape.append(size if size * max(1, prod(shape)) <= MOST_ELEMENTS // 2 else 1)
    return tuple(reversed(shape))
