"""Random tensors from a counter-based generator; `generators.py` says how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod

from picograd.dialects.dtypes import DType, int64
from picograd.errors import DTypeError, OptionError, ShapeError
from picograd.frontend.core import TensorCore
from picograd.frontend.functions.creation import builder_for, finish
from picograd.frontend.functions.joining import checked
from picograd.frontend.methods.generators import (
    DIGITS,
    Generator,
    Recipe,
    default_generator,
    drawn,
    integers,
    normal,
    permutation,
    uniform,
)
from picograd.frontend.methods.shape_ops import shape_argument
from picograd.frontend.plans.planned import planned_pair
from picograd.frontend.plans.planned_values import planned_random, planned_random_like
from picograd.frontend.problems import located
from picograd.frontend.promotion import DEFAULT_FLOAT
from picograd.frontend.tensor import Tensor

__all__ = [
    "Generator",
    "Recipe",
    "bernoulli",
    "default_generator",
    "draw",
    "manual_seed",
    "multinomial",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "uniform",
]


def manual_seed(seed: int) -> Generator:
    """Seed the generator that all random functions use by default."""
    return default_generator.manual_seed(seed)


def draw(
    name: str,
    recipe: Recipe,
    words: int,
    shape: Sequence[int],
    dtype: DType,
    device: str | None,
    generator: Generator | None,
    scale: tuple[float, float] = (1.0, 0.0),
) -> Tensor:
    """A new tensor of numbers by a recipe, as `generators.drawn` makes them."""
    ops = builder_for(device)
    return finish(ops, drawn(ops, name, recipe, words, shape, dtype, generator, scale))


def _float_dtype(dtype: DType | None) -> DType:
    if dtype is not None and not dtype.is_float:
        raise located(
            DTypeError(
                "random floats have a float dtype",
                code="PG201",
                expected="float32",
                found=dtype.name,
                hint="draw float32 and convert with .to(dtype)",
            )
        )
    return dtype or DEFAULT_FLOAT


@planned_random(default_generator)
def rand(
    *size: int | Sequence[int],
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Uniform numbers in [0, 1), with 24 random bits each; 11 in float16, 8 in bfloat16."""
    return _uniforms(shape_argument(size), dtype, device, generator).requires_grad_(requires_grad)


def _uniforms(
    shape: Sequence[int],
    dtype: DType | None,
    device: str | None,
    generator: Generator | None = None,
) -> Tensor:
    wanted = _float_dtype(dtype)
    recipe = partial(uniform, digits=DIGITS.get(wanted, 24))
    return draw("uniform", recipe, prod(shape), shape, wanted, device, generator)


@planned_random(default_generator)
def randn(
    *size: int | Sequence[int],
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Normally distributed numbers of mean 0 and variance 1."""
    return _normals(shape_argument(size), dtype, device, generator).requires_grad_(requires_grad)


def _normals(
    shape: Sequence[int],
    dtype: DType | None,
    device: str | None,
    generator: Generator | None = None,
) -> Tensor:
    count = 2 * prod(shape)
    return draw("normal", normal, count, shape, _float_dtype(dtype), device, generator)


@planned_random_like(default_generator)
def rand_like(
    like: TensorCore,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers with another tensor's shape, dtype and device."""
    numbers = _uniforms(like.shape, dtype or like.dtype, device or like.device)
    return numbers.requires_grad_(requires_grad)


@planned_random_like(default_generator)
def randn_like(
    like: TensorCore,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers with another tensor's shape, dtype and device."""
    numbers = _normals(like.shape, dtype or like.dtype, device or like.device)
    return numbers.requires_grad_(requires_grad)


@planned_random(default_generator)
def randint(
    low: int | None = None,
    high: int | Sequence[int] | None = None,
    size: Sequence[int] | None = None,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Integers from low, or 0, to high - 1: `randint(high, size)` or `randint(low, high, size)`."""
    if size is None and isinstance(high, Sequence):
        high, size = None, high
    if high is None:
        low, high = 0, low
    if size is None or high is None or isinstance(high, Sequence):
        raise located(
            OptionError(
                "randint does not know what to draw",
                code="PG803",
                expected="randint(high, size) or randint(low, high, size)",
                found=f"low {low}, high {high}, size {size}",
                hint="the size is a tuple: torch.randint(10, (3,))",
            )
        )
    first, end = int(low or 0), int(high)
    shape, recipe = shape_argument((size,)), integers(first, end)
    name = f"integers from {first} to {end}"
    numbers = draw(name, recipe, prod(shape), shape, dtype or int64, device, generator)
    return numbers.requires_grad_(requires_grad)


@planned_random(default_generator)
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: str | None = None,
) -> Tensor:
    """The integers from 0 to n - 1 in random order: the order that sorts n random words."""
    if n < 0:
        raise located(
            ShapeError(
                "randperm orders a number of integers",
                code="PG107",
                expected="n >= 0",
                found=n,
                hint="pass how many there are, such as len(data)",
            )
        )
    return draw("permutation", permutation, n, (n,), dtype or int64, device, generator)


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """1 with the probability that the element is, or p for all of them, and else 0."""
    chances = _probabilities(input, "bernoulli") if p is None else checked(input, "bernoulli")
    if p is not None:
        numbers = rand(chances.shape, device=chances.device, generator=generator)
        return (numbers < p).to(chances.dtype)
    chances = chances.detach() if chances.requires_grad else chances
    if generator is None:
        return _happens(chances, rand_like(chances, dtype=DEFAULT_FLOAT))
    return _happens(chances, rand(chances.shape, device=chances.device, generator=generator))


@planned_pair
def _happens(chances: Tensor, numbers: Tensor) -> Tensor:
    """1 where the number is below the chance, which is compared as float32: so 1 is above every
    number that can be drawn.
    """
    return (numbers < chances.float()).to(chances.dtype)


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Indices along the last axis, drawn with probabilities in proportion to the elements.

    Without replacement the indices of a row differ: an exponential race, which orders them by
    their element divided by a random number. With it, each is looked up in the running sum.
    """
    weights = _probabilities(input, "multinomial").detach()
    _check_samples(weights, num_samples, replacement)
    weights = weights.float() if weights.dtype in DIGITS else weights
    if not replacement:
        # Half a step away from 0 and 1, so that the logarithm is neither infinite nor 0.
        drawn = rand(weights.shape, device=weights.device, generator=generator) + 2.0**-25
        return (weights / -drawn.log()).topk(num_samples, dim=-1).indices
    shape = (*weights.shape[:-1], num_samples, 1)
    sums = weights.cumsum(-1)
    drawn = rand(shape, device=weights.device, generator=generator) * sums[..., None, -1:]
    return (sums.unsqueeze(-2) <= drawn).sum(-1)


def _check_samples(weights: Tensor, num_samples: int, replacement: bool) -> None:
    if weights.ndim not in (1, 2):
        raise located(
            ShapeError(
                "multinomial draws from a row of weights, or from each of several",
                code="PG104",
                expected="one axis or two",
                found=f"shape {list(weights.shape)}",
                hint="reshape it: logits[:, -1, :].softmax(-1) has two axes",
            )
        )
    most = weights.shape[-1]
    if num_samples < 1 or (num_samples > most and not replacement) or most == 0:
        raise located(
            OptionError(
                "multinomial cannot draw so many",
                code="PG125",
                expected=f"num_samples from 1 to {most}, the weights of a row",
                found=f"num_samples={num_samples}, replacement={replacement}",
                hint="with replacement=True it may be more",
            )
        )


def _probabilities(input: object, name: str) -> Tensor:
    chances = checked(input, name)
    if not chances.dtype.is_float:
        raise located(
            DTypeError(
                f"{name} takes probabilities",
                code="PG201",
                expected="a float dtype",
                found=chances.dtype.name,
                hint="convert with .float()",
            )
        )
    return chances
