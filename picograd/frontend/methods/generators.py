"""Where random numbers come from: a seed, a counter, and recipes that make numbers of their bits.

Each draw of n elements is Philox 4x32-10 of the seed and a counter that moves on by ceil(n / 4)
blocks, so the same program draws the same bits eagerly, compiled, and on every device. In a
compiled function the counter is an input, taken anew at each call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from picograd.backends.locks import Lock
from picograd.dialects.dtypes import DType, bfloat16, float16, float32, int32, int64
from picograd.errors import OptionError
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.modes.mode import SETTINGS, RuntimeValue
from picograd.frontend.plans.planned_values import planned_draw
from picograd.frontend.plans.tracing import DEVICE
from picograd.frontend.problems import located
from picograd.semantics.builder import Ops, V

_WORDS = 4  # 32-bit words in a block of Philox 4x32
_MASK = 2**64 - 1


class Generator:
    """A seed, and how many blocks have been drawn."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = Lock()
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start over with this seed, of which 64 bits count."""
        self.seed = seed & _MASK
        self.counter = 0
        return self

    def count(self, elements: int) -> int:
        """How many blocks were drawn before this draw, which it counts."""
        with self._lock.now:
            counter = self.counter
            self.counter = (counter + -(-elements // _WORDS)) & _MASK
        return counter

    def take(self, elements: int) -> NDArray[np.int32]:
        """The state (key low, key high, counter low, counter high) for a draw, which it counts."""
        counter = self.count(elements)
        words = np.array([self.seed, counter], dtype="<u8")
        return words.view("<u4").view("<i4").astype(np.int32)


default_generator = Generator()


def numpy_generator(generator: Generator | None) -> np.random.Generator:
    """NumPy's generator, seeded by the next numbers of this one, or of the default one."""
    words = (generator or default_generator).take(1)
    return np.random.default_rng([int(word) & 0xFFFFFFFF for word in words])


def manual_seed(seed: int) -> Generator:
    """Seed the generator that all random functions use by default."""
    return default_generator.manual_seed(seed)


Recipe: TypeAlias = Callable[[Ops[Any], Any, Sequence[int]], Any]
"""Builds random numbers of a shape from a state of the generator."""


def uniform(ops: Ops[V], state: V, shape: Sequence[int], digits: int = 24) -> V:
    """Multiples of 2^-digits in [0, 1): the top bits of each word, 24 of them exact in float32."""
    bits = ops.random_bits(state, shape)
    top = ops.binary("shr", bits, ops.full_like(bits, 32 - digits))
    return ops.scale(ops.cast(top, float32), 2.0**-digits)


DIGITS = {float16: 11, bfloat16: 8}
"""The random bits of uniform numbers in the dtypes that hold fewer than 24."""


def normal(ops: Ops[V], state: V, shape: Sequence[int]) -> V:
    """Normally distributed numbers by Box and Muller's method, from two uniforms each."""
    both = uniform(ops, state, (2, *shape))
    halves: list[V] = []
    for row in (0, 1):
        starts, limits = [row, *[0] * len(shape)], [row + 1, *shape]
        halves.append(ops.reshape(ops.slice(both, starts, limits, [1] * len(starts)), shape))
    # The logarithm's argument lies in (0, 1].
    positive = ops.add(halves[0], ops.full(shape, 2.0**-24, float32))
    radius = ops.unary("sqrt", ops.scale(ops.unary("log", positive), -2))
    return ops.mul(radius, ops.unary("cos", ops.scale(halves[1], 2 * pi)))


def integers(low: int, high: int) -> Recipe:
    """Integers from low to high - 1, by the remainder of 31 random bits. Raises OptionError."""
    if not 0 < high - low <= 2**31:
        raise located(
            OptionError(
                "randint has no numbers to draw from",
                code="PG802",
                expected="low < high <= low + 2**31",
                found=f"low {low}, high {high}",
                hint="widen the range from low to high, or keep it within 2**31",
            )
        )

    def build(ops: Ops[V], state: V, shape: Sequence[int]) -> V:
        bits = ops.random_bits(state, shape)
        positive = ops.cast(ops.binary("shr", bits, ops.full_like(bits, 1)), int64)
        numbers = ops.binary("remainder", positive, ops.full_like(positive, high - low))
        return ops.add(numbers, ops.full_like(numbers, low))

    return build


def exponential(rate: float) -> Recipe:
    """Numbers above 0 of the density rate * exp(-rate * x)."""

    def build(ops: Ops[V], state: V, shape: Sequence[int]) -> V:
        # Half a step away from 0 and 1, so that the logarithm is neither infinite nor 0.
        numbers = uniform(ops, state, shape)
        shifted = ops.add(numbers, ops.full_like(numbers, 2.0**-25))
        return ops.scale(ops.unary("log", shifted), -1.0 / rate)

    return build


def chances(p: float) -> Recipe:
    """Whether something happens that does with probability p."""

    def build(ops: Ops[V], state: V, shape: Sequence[int]) -> V:
        numbers = uniform(ops, state, shape)
        return ops.compare("lt", numbers, ops.full_like(numbers, p))

    return build


def permutation(ops: Ops[V], state: V, shape: Sequence[int]) -> V:
    """The order that sorts as many random words; of equal ones the first comes first."""
    return ops.argsort(ops.random_bits(state, shape), 0)


def drawn(
    ops: Tape,
    name: str,
    recipe: Recipe,
    words: int,
    shape: Sequence[int],
    dtype: DType,
    generator: Generator | None,
    scale: tuple[float, float] = (1.0, 0.0),
) -> Var:
    """Numbers by a recipe, which has a name and uses so many words; scaled, then shifted."""
    source, shape = generator or default_generator, tuple(shape)
    words = ops.mode.random_words(words)

    def build(inner: Ops[V], state: V) -> V:
        numbers = inner.cast(recipe(inner, state, shape), dtype)
        if scale != (1.0, 0.0):
            numbers = inner.scale(numbers, scale[0])
            numbers = inner.add(numbers, inner.full_like(numbers, scale[1]))
        return numbers

    if SETTINGS.planned and ops.mode.device == DEVICE:
        value = planned_draw((name, shape, dtype.name, scale), build, words, source)
        if value is not None:
            return Var(value)
    state = ops.mode.runtime(
        RuntimeValue("random_state", int32, (4,), lambda numbers: source.take(words))
    )
    key = ("random", name, shape, dtype, scale)
    return Var(ops.mode.compose(key, build, state))
