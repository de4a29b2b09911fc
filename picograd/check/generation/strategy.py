"""A Hypothesis strategy of tensor-level modules: valid by construction, and shrinkable.

A module is drawn op by op. Each op takes operands among the values drawn so far, of any shape and
dtype; what does not fit is made to fit by further ops (a broadcast, a cast, a constant), so nothing
is ever thrown away. Everything shrinks to fewer ops, the first kinds, and small sizes.

    @given(samples())
    def test(sample):
        outputs = evaluate(sample.module, sample.inputs)
"""

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp

from picograd.check.generation.makers import MAKERS
from picograd.check.generation.programs import Sample, draw_module
from picograd.check.generation.sketch import DTYPES, SIZES
from picograd.dialects.dtypes import DType
from picograd.quick_dataclasses import dataclass

T = TypeVar("T")


@dataclass(frozen=True)
class Drawn:
    """Choices that Hypothesis makes, and shrinks to the first options and the least numbers."""

    draw: st.DrawFn

    def choose(self, options: Sequence[T]) -> T:
        return self.draw(st.sampled_from(options))

    def number(self, least: int, most: int) -> int:
        return self.draw(st.integers(least, most))

    def several(self, options: Sequence[T], least: int, most: int) -> list[T]:
        return self.draw(st.lists(st.sampled_from(options), min_size=least, max_size=most))


@st.composite
def modules(
    draw: st.DrawFn,
    *,
    fewest_ops: int = 1,
    most_ops: int = 16,
    makers: Sequence[str] = tuple(MAKERS),
    dtypes: Sequence[DType] = DTYPES,
    sizes: Sequence[int] = SIZES,
) -> ModuleOp:
    """A module with one function `@main`; for the options see `draw_module`."""
    return draw_module(
        Drawn(draw),
        fewest_ops=fewest_ops,
        most_ops=most_ops,
        makers=makers,
        dtypes=dtypes,
        sizes=sizes,
    )


@st.composite
def samples(
    draw: st.DrawFn,
    *,
    fewest_ops: int = 1,
    most_ops: int = 16,
    makers: Sequence[str] = tuple(MAKERS),
    dtypes: Sequence[DType] = DTYPES,
    sizes: Sequence[int] = SIZES,
) -> Sample:
    """Modules with inputs; for the options see `draw_module`."""
    drawn = modules(
        fewest_ops=fewest_ops, most_ops=most_ops, makers=makers, dtypes=dtypes, sizes=sizes
    )
    return Sample(draw(drawn), draw(st.integers(0, 2**16)))


__all__ = ["Drawn", "Sample", "modules", "samples"]
