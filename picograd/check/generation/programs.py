"""Random tensor-level modules with inputs: valid by construction, the same for the same seed.

    for sample in random_samples(100, seed=7):
        outputs = evaluate(sample.module, sample.inputs)

`strategy` draws the same modules with Hypothesis, which can shrink them.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import TypeVar

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Region, SSAValue

from picograd.check.generation.makers import MAKERS
from picograd.check.generation.makers_chains import CHAINS
from picograd.check.generation.makers_edges import EDGES
from picograd.check.generation.sketch import DTYPES, SIZES, Sketch, Source
from picograd.dialects.argument_notes import DONATED, KEPT, NAME
from picograd.dialects.dtypes import AnyTensor, DType, dtype_of, tensor_type, type_of
from picograd.dialects.literals import Array
from picograd.dialects.tensor import int_attr
from picograd.quick_dataclasses import dataclass

T = TypeVar("T")

_KNOWN = {**MAKERS, **EDGES, **CHAINS}
_MOST_UNREAD = 5
"""Of values that no op reads so many are returned, the last ones."""

_NAMES = ("hidden", "loss", None, None)
# Elementwise ops, reductions and broadcasts are what programs mostly consist of.
_OFTEN = ("unary", "binary", "binary", "reduce", "broadcast")


@dataclass(frozen=True)
class RandomSource:
    """Choices of a seeded random number generator."""

    rng: Random

    def choose(self, options: Sequence[T]) -> T:
        return self.rng.choice(options)

    def number(self, least: int, most: int) -> int:
        return self.rng.randint(least, most)

    def several(self, options: Sequence[T], least: int, most: int) -> list[T]:
        return self.rng.choices(options, k=self.rng.randint(least, most))


def draw_module(
    source: Source,
    *,
    fewest_ops: int = 1,
    most_ops: int = 16,
    makers: Sequence[str] = tuple(MAKERS),
    dtypes: Sequence[DType] = DTYPES,
    sizes: Sequence[int] = SIZES,
    all_read: bool = False,
) -> ModuleOp:
    """A module with one function `@main` of up to four arguments and results; with `all_read` as
    many results as it takes for nearly every op to matter.

    `makers` names the kinds of ops to draw from (keys of `makers.MAKERS`, `makers_edges.EDGES` and
    `makers_chains.CHAINS`); a kind may append helpers of other kinds. Values are of `dtypes`, the
    first more often, and of int32 and int64 for indices; the sizes of arguments are among `sizes`.
    """
    sketch = Sketch(source, dtypes=dtypes, sizes=sizes)
    kinds = (*(name for name in _OFTEN if name in makers), *makers)
    for _ in range(sketch.number(1, 3)):
        sketch.argument(tensor_type(sketch.shape(), sketch.dtype()))
    for name in source.several(kinds, fewest_ops, most_ops):
        _KNOWN[name](sketch)
    name_some(sketch)
    outputs = [sketch.values[-1]]
    if all_read:
        unread = [value for value in sketch.values[:-1] if value.first_use is None]
        outputs += unread[-_MOST_UNREAD:]
    for _ in range(sketch.number(0, 2)):
        outputs.append(sketch.choose(tuple(reversed(sketch.values))))
    return finish(sketch, outputs)


class Sample:
    """A module and inputs for it. No dataclass, of which Hypothesis would print all fields: failing
    samples are printed as IR.
    """

    def __init__(self, module: ModuleOp, seed: int) -> None:
        self.module = module
        self.seed = seed

    @property
    def inputs(self) -> list[Array]:
        """Arrays for the arguments, the same at each call."""
        return random_inputs(self.module, self.seed)

    def __repr__(self) -> str:
        return f"the module below with the inputs of seed {self.seed}\n{self.module}\n"


def random_samples(
    count: int,
    seed: int,
    *,
    fewest_ops: int = 1,
    most_ops: int = 16,
    makers: Sequence[str] = tuple(MAKERS),
    dtypes: Sequence[DType] = DTYPES,
    sizes: Sequence[int] = SIZES,
    all_read: bool = False,
) -> Iterator[Sample]:
    """So many modules with inputs; for the options see `draw_module`."""
    for number in range(count):
        rng = Random(f"{seed} {number}")
        module = draw_module(
            RandomSource(rng),
            fewest_ops=fewest_ops,
            most_ops=most_ops,
            makers=makers,
            dtypes=dtypes,
            sizes=sizes,
            all_read=all_read,
        )
        yield Sample(module, rng.randint(0, 2**16))


def finish(sketch: Sketch, outputs: Sequence[SSAValue]) -> ModuleOp:
    """The module whose `@main` returns `outputs`, which may overwrite arguments of their types.

    Of the others the first is what changes in every call.
    """
    sketch.block.add_op(ReturnOp(*outputs))
    types = [value.type for value in outputs]
    free = list(range(len(types)))
    notes: list[DictionaryAttr] = []
    for argument in sketch.block.args:
        entries: dict[str, Attribute] = {NAME: StringAttr(f"x{argument.index}")}
        fitting = [number for number in free if types[number] == argument.type]
        if fitting:
            entries[DONATED] = int_attr(fitting[0])
            free.remove(fitting[0])
        elif argument.index:
            entries[KEPT] = UnitAttr()
        notes.append(DictionaryAttr(entries))
    function = FuncOp(
        "main",
        (list(sketch.block.arg_types), types),
        Region(sketch.block),
        arg_attrs=ArrayAttr(notes),
    )
    return ModuleOp([function])


def random_inputs(module: ModuleOp, seed: int) -> list[Array]:
    """Arrays for the arguments of a module's one function; some seeds bring NaN and infinity."""
    rng = np.random.default_rng(seed)
    (function,) = (op for op in module.ops if isinstance(op, FuncOp))
    with_special = seed % 4 == 3
    return [_random(rng, type_of(argument), with_special) for argument in function.args]


def _random(rng: np.random.Generator, type: AnyTensor, with_special: bool) -> Array:
    shape, dtype = type.get_shape(), dtype_of(type)
    if dtype.is_bool:
        return rng.random(shape) < 0.5
    if dtype.is_int:
        return rng.integers(-9 if dtype.is_signed else 0, 10, shape, dtype=dtype.numpy)
    values = np.asarray(rng.normal(0.0, 2.0, shape), dtype.numpy)
    flat = values.reshape(-1)
    # Ties and signed zeros are common in real data; NaN and infinity are not.
    special = [0.0, -0.0, 1.0, -1.0] + ([np.nan, np.inf, -np.inf] if with_special else [])
    for position in rng.integers(0, max(1, flat.size), min(2, flat.size)):
        flat[position] = rng.choice(special)
    return values


def name_some(sketch: Sketch) -> None:
    """Give some results names, as a user's program does."""
    for value in sketch.values:
        if value.name_hint is None:
            value.name_hint = sketch.choose(_NAMES)
