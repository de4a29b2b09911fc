"""Index arithmetic with ranges: the simplified expressions have the value of the plain ones."""

from itertools import product
from math import prod

import numpy as np
import pytest
from xdsl.ir import Block, SSAValue

from picograd.dialects.affine import INDEX, FloorDiv, Linear, Mod
from picograd.passes.lowering.indices import (
    always_inside,
    delinearize,
    in_range,
    interval,
    linearize,
    quotient,
    remainder,
)

EXTENTS = (3, 4, 5)


def variables() -> tuple[list[SSAValue], dict[SSAValue, tuple[int, int]]]:
    values: list[SSAValue] = list(Block(arg_types=[INDEX] * len(EXTENTS)).args)
    return values, {v: (0, n - 1) for v, n in zip(values, EXTENTS, strict=True)}


def value_of(expression: Linear, at: dict[SSAValue, int]) -> int:
    total = expression.constant
    for atom, coefficient in expression.terms.items():
        if isinstance(atom, FloorDiv):
            total += coefficient * (value_of(atom.expression, at) // atom.by)
        elif isinstance(atom, Mod):
            total += coefficient * (value_of(atom.expression, at) % atom.by)
        else:
            assert isinstance(atom, SSAValue)
            total += coefficient * at[atom]
    return total


@pytest.mark.parametrize("seed", range(40))
def test_quotient_remainder_and_interval(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names, ranges = variables()
    expression = Linear.of(int(rng.integers(-20, 20)))
    for name in names:
        expression = expression + Linear.of(name) * int(rng.choice([0, 1, 2, 4, 5, 12, 20, -3]))
    by = int(rng.choice([1, 2, 3, 4, 6, 12, 20, 60]))
    low, high = interval(expression, ranges)
    whole, rest = quotient(expression, by, ranges), remainder(expression, by, ranges)
    seen: list[int] = []
    for point in product(*map(range, EXTENTS)):
        at = dict(zip(names, point, strict=True))
        value = value_of(expression, at)
        seen.append(value)
        assert value_of(whole, at) == value // by
        assert value_of(rest, at) == value % by
    assert (low, high) == (min(seen), max(seen))


@pytest.mark.parametrize(
    "shape", [(60,), (3, 20), (12, 5), (6, 10), (5, 4, 3), (1, 60, 1), (2, 30), (15, 4)]
)
def test_a_reshape_there_and_back_is_no_change(shape: tuple[int, ...]) -> None:
    names, ranges = variables()
    index = tuple(Linear.of(name) for name in names)
    there = delinearize(linearize(index, EXTENTS), shape, ranges)
    for point in product(*map(range, EXTENTS)):
        at = dict(zip(names, point, strict=True))
        expected = np.unravel_index(np.ravel_multi_index(point, EXTENTS), shape)
        assert tuple(value_of(e, at) for e in there) == tuple(int(n) for n in expected)
    assert prod(shape) == prod(EXTENTS)
    back = delinearize(linearize(there, shape), EXTENTS, ranges)
    if shape not in [(6, 10), (5, 4, 3)]:
        assert back == index


def test_joining_axes_leaves_no_division() -> None:
    names, ranges = variables()
    i, j, k = map(Linear.of, names)
    position = linearize((i, j, k), EXTENTS)
    assert delinearize(position, (12, 5), ranges) == (i * 4 + j, k)
    assert delinearize(position, (3, 20), ranges) == (i, j * 5 + k)


def test_conditions_that_always_hold_are_left_out() -> None:
    names, ranges = variables()
    i = Linear.of(names[0])
    assert in_range(i, 0, 3, ranges) == ()
    conditions = in_range(i + 1, 0, 3, ranges)
    assert conditions is not None
    (condition,) = conditions
    assert (condition.predicate, condition.value) == ("lt", 3)
    assert in_range(i + 3, 0, 3, ranges) is None
    assert in_range(i - 3, 0, 3, ranges) is None
    assert in_range(i, 0, 0, ranges) is None
    assert always_inside((i,), (3,), ranges) and not always_inside((i,), (2,), ranges)
