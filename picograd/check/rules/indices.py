"""Index expressions by the thousand, and their values over whole small ranges.

Rules about floor division, remainders and bounds are proved by exhaustion: every combination of
small coefficients, constants (negative ones too) and divisors, at every point of a grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Block, SSAValue

from picograd.dialects.affine import INDEX, FloorDiv, Leaf, Linear, Mod

Values = NDArray[np.int64]
"""The values of an expression, one for each point of a grid."""

Grid = Mapping[Leaf, Values]


def variables(count: int) -> list[SSAValue]:
    """Index values that nothing is known about, named a, b, …"""
    block = Block(arg_types=[INDEX] * count)
    for number, argument in enumerate(block.args):
        argument.name_hint = "abcdefgh"[number]
    return list(block.args)


def grid(ranges: Mapping[SSAValue, tuple[int, int]]) -> dict[Leaf, Values]:
    """All points at which each variable lies between two numbers, both included."""
    axes = [np.arange(low, high + 1) for low, high in ranges.values()]
    meshes = np.meshgrid(*axes, indexing="ij")
    return {name: mesh.reshape(-1) for name, mesh in zip(ranges, meshes, strict=True)}


def value_of(expression: Linear, at: Grid) -> Values:
    """The values of an expression at each point, by the meaning of its atoms alone."""
    total = np.full_like(next(iter(at.values())), expression.constant)
    for atom, coefficient in expression.terms.items():
        if isinstance(atom, FloorDiv):
            part = value_of(atom.expression, at) // atom.by
        elif isinstance(atom, Mod):
            part = value_of(atom.expression, at) % atom.by
        else:
            part = at[atom]
        total = total + coefficient * part
    return total


def sums(
    names: Sequence[SSAValue], coefficients: Sequence[int], constants: Sequence[int]
) -> Iterator[Linear]:
    """All sums of multiples of the variables and a constant."""
    for factors in product(coefficients, repeat=len(names)):
        total = Linear({})
        for name, factor in zip(names, factors, strict=True):
            total = total + Linear.of(name) * factor
        for constant in constants:
            yield total + constant


def nested(
    names: Sequence[SSAValue], coefficients: Sequence[int], constants: Sequence[int], by: int
) -> Iterator[Linear]:
    """Sums in which a quotient or a remainder by `by`, as it stands, is one of the terms."""
    for inner in sums(names, coefficients, constants):
        if not inner.is_constant:
            for kind, factor in product((FloorDiv, Mod), (-1, 1, by)):
                yield Linear({kind(inner, by): factor}, 1) + Linear.of(names[0]) * 2
