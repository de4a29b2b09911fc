"""Affine expressions: arithmetic, encoding, and text, against integers."""

import numpy as np
import pytest
from xdsl.dialects.builtin import IndexType
from xdsl.ir import Block, SSAValue

from picograd.dialects.affine import (
    Counter,
    FloorDiv,
    Lane,
    Linear,
    Mod,
    decode,
    encode,
    floordiv,
    mod,
)


def variables(count: int) -> list[SSAValue]:
    block = Block(arg_types=[IndexType()] * count)
    for number, argument in enumerate(block.args):
        argument.name_hint = f"v{number}"
    return list(block.args)


def value_of(expression: Linear, values: dict) -> int:
    total = expression.constant
    for atom, coefficient in expression.terms.items():
        if isinstance(atom, FloorDiv):
            part = value_of(atom.expression, values) // atom.by
        elif isinstance(atom, Mod):
            part = value_of(atom.expression, values) % atom.by
        else:
            part = values[atom]
        total += coefficient * part
    return total


def random_expression(rng: np.random.Generator, leaves: list, depth: int = 2) -> Linear:
    total = Linear.of(int(rng.integers(-20, 20)))
    for leaf in leaves:
        part = Linear.of(leaf) * int(rng.integers(-9, 10))
        if depth and rng.integers(2):
            inner = random_expression(rng, leaves, depth - 1)
            divide = floordiv if rng.integers(2) else mod
            part = part + divide(inner, int(rng.integers(1, 12))) * int(rng.integers(-3, 4))
        total = total + part
    return total


def test_arithmetic_agrees_with_integers() -> None:
    rng = np.random.default_rng(1)
    leaves = [*variables(2), Lane(0)]
    for _ in range(200):
        a, b = random_expression(rng, leaves), random_expression(rng, leaves)
        by, factor = int(rng.integers(1, 15)), int(rng.integers(-5, 6))
        values = {leaf: int(rng.integers(-50, 50)) for leaf in leaves}
        x, y = value_of(a, values), value_of(b, values)
        assert value_of(a + b, values) == x + y
        assert value_of(a - b, values) == x - y
        assert value_of(3 - a, values) == 3 - x
        assert value_of(a * factor, values) == x * factor
        assert value_of(floordiv(a, by), values) == x // by
        assert value_of(mod(a, by), values) == x % by
        replaced = {leaves[0]: b, leaves[2]: 7}
        changed = {**values, leaves[0]: y, leaves[2]: 7}
        assert value_of(a.substitute(replaced), values) == value_of(a, changed)


def test_encoding_round_trips() -> None:
    rng = np.random.default_rng(2)
    values = variables(3)
    for _ in range(100):
        expressions = [random_expression(rng, [*values, Lane(0), Lane(1)]) for _ in range(3)]
        operands, affine_map = encode(expressions, rank=2)
        assert decode(operands, affine_map) == expressions
        assert encode(decode(operands, affine_map), rank=2) == (operands, affine_map)


def test_equality_ignores_the_order_of_terms_and_the_constant_counts() -> None:
    a, b = variables(2)
    assert Linear.of(a) + b == Linear.of(b) + a
    assert hash(Linear.of(a) + b) == hash(Linear.of(b) + a)
    assert Linear.of(a) + 1 != Linear.of(a)
    assert (Linear.of(a) - a).is_constant


def test_multiples_leave_quotients_and_remainders() -> None:
    (a,) = variables(1)
    assert floordiv(Linear.of(a) * 8 + 19, 8) == Linear.of(a) + 2
    assert mod(Linear.of(a) * 8 + 19, 8) == Linear.of(3)
    assert floordiv(a, 1) == Linear.of(a)


@pytest.mark.parametrize("divide", [floordiv, mod])
@pytest.mark.parametrize("by", [0, -3])
def test_divisors_must_be_positive(divide, by: int) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        divide(variables(1)[0], by)


def test_leaves_look_inside_quotients() -> None:
    a, b = variables(2)
    expression = floordiv(Linear.of(a) + Lane(1), 4) + b
    assert expression.values() == {a, b}
    assert expression.lanes() == {1}


def test_counters_never_reach_the_ir() -> None:
    (a,) = variables(1)
    with pytest.raises(KeyError):
        encode([Linear.of(Counter(a))])
