"""Drawing the programs of exercises: values that trip careless rewrites, and layers of networks."""

from collections.abc import Callable, Sequence
from random import Random

import numpy as np
from xdsl.ir import SSAValue

from picograd.check.generation.programs import RandomSource, finish, random_inputs
from picograd.check.generation.sketch import Sketch
from picograd.check.meaning import Program
from picograd.compiler.diagnostics import parse_module
from picograd.dialects.dtypes import DType, dtype_of, float32, tensor_type, type_of
from picograd.dialects.literals import Array
from picograd.dialects.tensor import BinaryOp, BroadcastOp, MatmulOp
from picograd.semantics.evaluate import entry_of

_AWKWARD = (np.nan, 1.5, -2.0, np.inf, 0.0, -np.inf, -0.5)


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The shape of a value."""
    return type_of(value).get_shape()


def drawn(
    draw: Callable[[Sketch], Sequence[SSAValue]], count: int, way: str, name: str
) -> list[Program]:
    """Programs that `draw` makes: it adds ops to a sketch and says which values are results."""
    programs: list[Program] = []
    for number in range(count):
        rng = Random(f"{name} {number}")
        sketch = Sketch(RandomSource(rng))
        module = finish(sketch, draw(sketch))
        programs.append(Program(module, random_inputs(module, rng.randint(0, 2**16)), way))
    return programs


def written(text: str, way: str) -> Program:
    """A program in a text, with inputs in which NaN, infinities and zeros come first."""
    module = parse_module(text)
    inputs: list[Array] = []
    for number, argument in enumerate(entry_of(module).args):
        type = type_of(argument)
        dtype = dtype_of(type)
        size = int(np.prod(type.get_shape(), dtype=int))
        values = np.roll(np.resize(np.array(_AWKWARD), size), number)
        if not dtype.is_float:
            values = np.arange(size) - 2
        inputs.append(values.astype(dtype.numpy).reshape(type.get_shape()))
    return Program(module, inputs, way)


def splat(sketch: Sketch, like: SSAValue, number: float) -> SSAValue:
    """A constant of one number, of the type of a value."""
    dtype = dtype_of(type_of(like))
    return sketch.constant(np.full(shape_of(like), number), dtype)


def matrix(sketch: Sketch, *shape: int, dtype: DType = float32) -> SSAValue:
    """An argument of the function."""
    return sketch.argument(tensor_type(shape, dtype))


def linear(sketch: Sketch, x: SSAValue, width: int) -> SSAValue:
    """x @ w + b, of an x of rank 2."""
    rows, depth = shape_of(x)
    product = sketch.add(MatmulOp(x, matrix(sketch, depth, width)))
    bias = sketch.add(BroadcastOp(matrix(sketch, width), (rows, width)))
    return sketch.add(BinaryOp("add", product, bias))


def relu(sketch: Sketch, x: SSAValue) -> SSAValue:
    """The larger of x and 0."""
    return sketch.add(BinaryOp("maximum", x, splat(sketch, x, 0.0)))
