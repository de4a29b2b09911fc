"""Random numbers over a tensor's elements: `x.normal_()`. No gradient passes through them."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Self

from picograd.errors import DTypeError, OptionError
from picograd.frontend.autodiff.tape import Var
from picograd.frontend.core import TensorCore
from picograd.frontend.methods.generators import DIGITS, Generator, Recipe, drawn, normal, uniform
from picograd.frontend.problems import located
from picograd.frontend.promotion import DEFAULT_FLOAT


class RandomFills(TensorCore):
    """Each draws as the function of its name does, and returns the tensor."""

    def uniform_(
        self, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None
    ) -> Self:
        """Fill with uniform numbers in [from, to)."""
        recipe = partial(uniform, digits=DIGITS.get(self.dtype, 24))
        return self._fill("uniform", recipe, 1, generator, (to - from_, from_))

    def normal_(
        self, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
    ) -> Self:
        """Fill with normally distributed numbers."""
        return self._fill("normal", normal, 2, generator, (std, mean))

    def exponential_(self, lambd: float = 1.0, *, generator: Generator | None = None) -> Self:
        """Fill with numbers above 0 of the density lambd * exp(-lambd * x)."""
        _require(lambd > 0, "exponential_", "lambd > 0", lambd)
        self._require_float("exponential_")
        # Half a step away from 0 and 1, so that the logarithm is neither infinite nor 0.
        ops, numbers = self.builder(), self._uniforms(generator)
        shifted = ops.add(numbers, ops.full_like(numbers, 2.0**-25))
        scaled = ops.scale(ops.unary("log", shifted), -1.0 / lambd)
        return self.write_(ops.cast(scaled, self.dtype))

    def bernoulli_(self, p: float = 0.5, *, generator: Generator | None = None) -> Self:
        """Fill with 1, with probability p, and else 0."""
        _require(0 <= p <= 1, "bernoulli_", "0 <= p <= 1", p)
        ops, numbers = self.builder(), self._uniforms(generator)
        ones = ops.compare("lt", numbers, ops.full_like(numbers, p))
        return self.write_(ops.cast(ones, self.dtype))

    def _fill(
        self,
        name: str,
        recipe: Recipe,
        words: int,
        generator: Generator | None,
        scale: tuple[float, float] = (1.0, 0.0),
    ) -> Self:
        self._require_float(f"{name}_")
        count = words * prod(self.shape)
        ops = self.builder()
        return self.write_(
            drawn(ops, name, recipe, count, self.shape, self.dtype, generator, scale)
        )

    def _uniforms(self, generator: Generator | None) -> Var:
        ops, count = self.builder(), prod(self.shape)
        return drawn(ops, "uniform", uniform, count, self.shape, DEFAULT_FLOAT, generator)

    def _require_float(self, name: str) -> None:
        if not self.dtype.is_float:
            raise located(
                DTypeError(
                    f"{name} fills with floats",
                    code="PG201",
                    expected="a tensor of a float dtype",
                    found=self.dtype.name,
                    hint="use torch.randint for integers, or convert with .float()",
                )
            )


def _require(holds: bool, name: str, expected: str, found: float) -> None:
    if not holds:
        raise located(
            OptionError(
                f"{name} does not work with this number",
                code="PG802",
                expected=expected,
                found=found,
                hint="pass a number in that range",
            )
        )
