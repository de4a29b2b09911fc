"""The programs of a fuzzing run: what number N of seed S is, the same each time.

Chance alone seldom makes what breaks compilers, so each program has a theme: which ops it mostly
consists of, of which dtypes and sizes, and which values it is given. All themes come in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from picograd.check.generation.makers import MAKERS
from picograd.check.generation.makers_chains import CHAINS
from picograd.check.generation.makers_edges import EDGES
from picograd.check.generation.programs import RandomSource, draw_module, random_inputs
from picograd.check.generation.sketch import NARROW_DTYPES, SIZES
from picograd.compiler.validation.inputs import input_types
from picograd.compiler.validation.wide_integers import leaves_32_bits
from picograd.dialects.dtypes import (
    DType,
    bfloat16,
    bool_,
    dtype_of,
    float16,
    float32,
    float64,
    from_ir,
    int8,
    int16,
    int32,
    int64,
    type_of,
    uint8,
)
from picograd.dialects.literals import Array
from picograd.quick_dataclasses import dataclass
from picograd.semantics.evaluate import entry_of

_WIDE: tuple[DType, ...] = (float32, int32, bool_, int64)
_LONG = (67, 81, 100, 33, 64, 1, 128)
_SMALL = (2, 3, 1, 2, 3, 1, 5, 4, 7)
_UNLIKE = (2, 3, 4, 5, 2, 3, 1)

FLAVOURS = ("ordinary", "ordinary", "equal", "special", "unordered", "extreme")
"""What the arguments hold; the likelier several times."""

_DIFFERENT = ("ordinary", "ordinary", "ordinary", "special", "unordered")
"""For programs about places: elements that differ tell where each of them has gone."""


@dataclass(frozen=True)
class Theme:
    """What a program is about."""

    makers: tuple[str, ...]
    """Kinds of ops, those that shall come often several times."""
    dtypes: tuple[DType, ...] = _WIDE
    sizes: tuple[int, ...] = SIZES
    most_ops: int = 12
    flavours: tuple[str, ...] = FLAVOURS
    """What the arguments hold; the likelier several times."""


# An index out of range hides whatever else is wrong with a program.
_ALL = (*MAKERS, *(name for name in EDGES if name != "out_of_range"), *CHAINS)
_CHAINS = (
    *(name for name in CHAINS if name != "unordered"),
    *("permutes", "like_moves", "read_after_moves", "binary"),
)
_ELEMENTWISE = ("binary", "binary", "unary", "broadcast", "select", "compare")

THEMES: Mapping[str, Theme] = {
    "everything": Theme(_ALL, (*_WIDE, float64), most_ops=16),
    "reductions": Theme(("reduce", "rows", "products", "reduce", "binary", "broadcast", "smooth")),
    "long rows": Theme(("rows", "rows", "reduce", "smooth", "binary"), sizes=_LONG, most_ops=6),
    "ties": Theme(("ties", "argreduce", "argsort", "compare", "reduce", "gather"), most_ops=8),
    "casts": Theme(("casts", "cast", "predicates", *_ELEMENTWISE), (*_WIDE, float64)),
    "narrow": Theme(_ALL, NARROW_DTYPES),
    "narrow integers": Theme(
        ("extremes", "casts", "reduce", "scan", "matmul", *_ELEMENTWISE),
        (float32, int8, uint8, int16, int8, uint8, bool_),
    ),
    "halves": Theme(
        ("rows", "reduce", "matmul", "smooth", "casts", *_ELEMENTWISE), (float16, bfloat16, float32)
    ),
    "integers": Theme(
        ("extremes", "extremes", "matmul", "reduce", "scan", *_ELEMENTWISE), (int32, int64, bool_)
    ),
    "nothing": Theme(
        ("nothing", "nothing", "reduce", "concat", "matmul", "pad", "scan", *_ELEMENTWISE),
        sizes=(0, 1, 2, 0, 3),
        most_ops=8,
    ),
    "scalars": Theme(
        ("reduce", "reshape", "smooth", "casts", *_ELEMENTWISE, "constant"), sizes=(1, 1, 2)
    ),
    "views": Theme(("views", "views", "joined", "reshape", "permute", "slice", "pad", "binary")),
    "chains": Theme(_CHAINS, sizes=_UNLIKE, most_ops=6, flavours=_DIFFERENT),
    # Axes of one size: there a result with its axes mixed up still has the right type.
    "square": Theme(_CHAINS, sizes=(3, 3, 3, 2), most_ops=6, flavours=_DIFFERENT),
    "unordered": Theme(
        (*("unordered",) * 12, "compare", "select", "binary", "reduce", "broadcast"),
        (float32, float32, float64, int32),
        most_ops=8,
        flavours=("unordered", "unordered", "unordered", "equal"),
    ),
    "fusion": Theme(
        ("fan_out", "fan_out", "rows", "matmul", "broadcast", "repeat", "smooth", "reduce"),
        most_ops=20,
    ),
    "products": Theme(
        ("matmul", "weights", "matmul", "permute", "binary", "rows", "reduce"), sizes=_SMALL
    ),
    "windows": Theme(
        ("convolution", "pooling", "windows", "pad", "reduce", "binary"), sizes=_SMALL, most_ops=7
    ),
    "indices": Theme(("gather", "scatter", "duplicates", "ties", "iota", "binary"), most_ops=8),
    "out of range": Theme(("out_of_range", "gather", "scatter", "iota", "binary"), most_ops=4),
    "order": Theme(("scan", "argsort", "ties", "products", "rows", "reverse"), most_ops=7),
    "redundant": Theme(("redundant", "repeat", "views", "constant", "binary", "unary", "iota")),
}
"""By name; program N has theme N modulo their number."""


@dataclass(frozen=True)
class Program:
    """One program of a run."""

    number: int
    theme: str
    flavour: str
    module: ModuleOp
    inputs: tuple[Array, ...]

    @property
    def dtypes(self) -> set[DType]:
        """The dtypes of all values."""
        function = entry_of(self.module)
        values = [*function.args, *(r for op in function.body.block.ops for r in op.results)]
        return {dtype_of(type_of(value)) for value in values}


def rng_of(seed: int, number: int, *purpose: str) -> Random:
    """Chance for one purpose: what is drawn for another one makes no difference to it."""
    return Random(" ".join(map(str, (seed, number, *purpose))))


def draw_program(
    seed: int, number: int, themes: Sequence[str] = tuple(THEMES), attempt: int = 0
) -> Program:
    """Number `number` of the run with this seed. Attempt 0 has the theme whose turn it is, further
    ones have any.
    """
    rng = rng_of(seed, number, *(["attempt", str(attempt)] if attempt else []))
    own = [theme for theme in themes if theme in THEMES]
    name = rng.choice(own) if attempt else themes[number % len(themes)]
    theme = THEMES[name]
    module = draw_module(
        RandomSource(rng),
        fewest_ops=1 + theme.most_ops // 4,
        most_ops=theme.most_ops,
        makers=theme.makers,
        dtypes=theme.dtypes,
        sizes=theme.sizes,
        all_read=True,
    )
    flavour = rng.choice(theme.flavours)
    inputs = draw_arrays(module, flavour, rng.randint(0, 2**16))
    return Program(number, name, flavour, module, tuple(inputs))


def draw_arrays(module: ModuleOp, flavour: str, seed: int) -> list[Array]:
    """Arrays for the arguments of a module of tensor level."""
    if flavour in ("ordinary", "special"):
        # Every fourth seed brings NaN and infinity.
        return random_inputs(module, 4 * seed + (3 if flavour == "special" else 0))
    rng = np.random.default_rng(seed)
    draw = {"equal": _equal, "unordered": _unordered, "extreme": _extreme}[flavour]
    return [
        draw(rng, tuple(type.get_shape()), from_ir(type.element_type))
        for type in input_types(entry_of(module))
    ]


def _equal(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
    """Few different numbers, so that many are equal."""
    least = 0 if dtype.is_bool or not dtype.is_signed else -1
    return rng.integers(least, 2, shape).astype(dtype.numpy)


def _unordered(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
    """Of floats a third is NaN, infinite or a zero of either sign; of others few are alike."""
    if dtype.is_bool:
        return rng.random(shape) < 0.5
    if dtype.is_int:
        return rng.integers(-9 if dtype.is_signed else 0, 10, shape, dtype=dtype.numpy)
    numbers = rng.normal(0.0, 2.0, shape)
    special = rng.choice([np.nan, np.nan, np.inf, -np.inf, 0.0, -0.0], shape)
    return np.where(rng.random(shape) < 1 / 3, special, numbers).astype(dtype.numpy)


def _extreme(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
    """Integers at the ends of their range; floats of every order of magnitude that others bear."""
    if dtype.is_bool:
        return rng.random(shape) < 0.1
    if dtype.is_int:
        limits = np.iinfo(dtype.numpy.name)
        some = [limits.min, limits.max, limits.max - 1, 0, 1, 2, limits.max // 2]
        return np.asarray(rng.choice(np.array(some, dtype.numpy), shape), dtype.numpy)
    magnitude = 10.0 ** rng.integers(-4, 4, shape)
    return np.asarray(rng.normal(0.0, 1.0, shape) * magnitude).astype(dtype.numpy)


def fits_32_bits(program: Program) -> bool:
    """Whether no 64-bit integer that a program computes leaves 32 bits.

    On the GPU they wrap there, as docs/architecture.md says, and may differ from the reference.
    """
    return not leaves_32_bits(entry_of(program.module), program.inputs)
