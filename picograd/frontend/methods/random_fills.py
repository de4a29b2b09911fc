"""Random numbers over a tensor's elements: `x.normal_()`. No gradient passes through them."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Self

from picograd.errors import DTypeError, OptionError
from picograd.frontend.core import TensorCore
from picograd.frontend.methods.generators import (
    DIGITS,
    Generator,
    Recipe,
    chances,
    default_generator,
    drawn,
    exponential,
    normal,
    uniform,
)
from picograd.frontend.plans.planned_values import planned_fill
from picograd.frontend.problems import located


class RandomFills(TensorCore):
    """Each draws as the function of its name does, and returns the tensor."""

    @planned_fill(default_generator)
    def uniform_(
        self, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None
    ) -> Self:
        """Fill with uniform numbers in [from, to)."""
        self._require_float("uniform_")
        recipe = partial(uniform, digits=DIGITS.get(self.dtype, 24))
        return self._fill("uniform", recipe, 1, generator, (to - from_, from_))

    @planned_fill(default_generator)
    def normal_(
        self, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
    ) -> Self:
        """Fill with normally distributed numbers."""
        self._require_float("normal_")
        return self._fill("normal", normal, 2, generator, (std, mean))

    @planned_fill(default_generator)
    def exponential_(self, lambd: float = 1.0, *, generator: Generator | None = None) -> Self:
        """Fill with numbers above 0 of the density lambd * exp(-lambd * x)."""
        _require(lambd > 0, "exponential_", "lambd > 0", lambd)
        self._require_float("exponential_")
        return self._fill(f"exponential of rate {lambd!r}", exponential(lambd), 1, generator)

    @planned_fill(default_generator)
    def bernoulli_(self, p: float = 0.5, *, generator: Generator | None = None) -> Self:
        """Fill with 1, with probability p, and else 0."""
        _require(0 <= p <= 1, "bernoulli_", "0 <= p <= 1", p)
        return self._fill(f"chances of {p!r}", chances(p), 1, generator)

    def _fill(
        self,
        name: str,
        recipe: Recipe,
        words: int,
        generator: Generator | None,
        scale: tuple[float, float] = (1.0, 0.0),
    ) -> Self:
        count = words * prod(self.shape)
        ops = self.builder()
        return self.write_(
            drawn(ops, name, recipe, count, self.shape, self.dtype, generator, scale)
        )

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
