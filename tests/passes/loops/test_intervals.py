"""Intervals hold every value of an expression, and no more where its atoms are independent."""

import numpy as np
import pytest
from xdsl.dialects.builtin import IndexType
from xdsl.ir import Block

from picograd.dialects.affine import Atom, Linear
from picograd.passes.loops.intervals import Interval, interval_of, quotient_of, remainder_of


def test_sums_of_independent_atoms_are_exact() -> None:
    generator = np.random.default_rng(11)
    block = Block(arg_types=[IndexType()] * 3)
    for _ in range(50):
        ends = [sorted(int(end) for end in generator.integers(-9, 10, 2)) for _ in block.args]
        factors = [int(factor) for factor in generator.integers(-4, 5, 3)]
        expression = Linear.of(int(generator.integers(-9, 10)))
        values = {expression.constant}
        for argument, (low, high), factor in zip(block.args, ends, factors, strict=True):
            expression = expression + Linear.of(argument) * factor
            values = {value + factor * n for value in values for n in range(low, high + 1)}
        known: dict[Atom, Interval] = {}
        for argument, (low, high) in zip(block.args, ends, strict=True):
            known[argument] = low, high
        assert interval_of(expression, known.__getitem__) == (min(values), max(values))


def test_an_unknown_end_leaves_the_other() -> None:
    (argument,) = Block(arg_types=[IndexType()]).args
    assert interval_of(Linear.of(argument) * 2 + 1, lambda _: (3, None)) == (7, None)
    assert interval_of(Linear.of(argument) * -2 + 1, lambda _: (3, None)) == (None, -5)


@pytest.mark.parametrize("by", [1, 2, 3, 7])
def test_quotients_and_remainders_hold_every_value(by: int) -> None:
    for low in range(-10, 11):
        for high in range(low, 11):
            values = range(low, high + 1)
            assert quotient_of((low, high), by) == (low // by, high // by)
            least, greatest = remainder_of((low, high), by)
            rests = {value % by for value in values}
            assert least is not None and greatest is not None
            assert least <= min(rests) and max(rests) <= greatest < by


@pytest.mark.parametrize("dividend", [(None, None), (0, None), (None, 3)])
def test_remainders_of_the_unknown(dividend: Interval) -> None:
    assert remainder_of(dividend, 4) == (0, 3)
