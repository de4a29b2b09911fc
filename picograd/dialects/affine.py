"""Affine expressions over index values and tile lanes: how the loop level writes bounds and places.

An expression is a sum of integer multiples of *atoms* plus a constant. An atom is an SSA value of
type `index` (an induction variable or a checked index), a lane of a register tile, or the
quotient or remainder of another expression by a positive constant. Operations do not hold
expressions themselves: `encode` turns a list of them into operands and an `AffineMapAttr`, and
`decode` turns these back.

`affine_text` prints and parses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from xdsl.dialects.builtin import AffineMapAttr, IndexType
from xdsl.ir import SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)
from xdsl.utils.exceptions import VerifyException

INDEX = IndexType()


@dataclass(frozen=True, slots=True)
class Lane:
    """The position inside a register tile along its axis `axis`, printed `t0`, `t1`, …"""

    axis: int


@dataclass(frozen=True, slots=True)
class Counter:
    """How often the loop of `variable` has stepped. Analyses use it; the IR never does."""

    variable: SSAValue


@dataclass(frozen=True, slots=True)
class FloorDiv:
    """The quotient of `expression` by the positive integer `by`, rounded towards -infinity."""

    expression: Linear
    by: int


@dataclass(frozen=True, slots=True)
class Mod:
    """The remainder of `expression` by the positive integer `by`, between 0 and by - 1."""

    expression: Linear
    by: int


Leaf: TypeAlias = SSAValue | Lane | Counter
Atom: TypeAlias = Leaf | FloorDiv | Mod
LinearLike: TypeAlias = "Linear | Atom | int"


class Linear:
    """A sum of coefficient times atom, plus a constant. Immutable; equality ignores the order."""

    __slots__ = ("_hash", "constant", "terms")

    terms: Mapping[Atom, int]
    """Coefficient of each atom, never zero, in the order in which the atoms were added."""
    constant: int

    def __init__(self, terms: Mapping[Atom, int], constant: int = 0):
        self.terms = terms
        self.constant = constant
        self._hash: int | None = None

    @staticmethod
    def of(value: LinearLike) -> Linear:
        """The expression that consists of one atom or one constant."""
        if isinstance(value, Linear):
            return value
        if isinstance(value, int):
            return Linear({}, value)
        return Linear({value: 1})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Linear):
            return NotImplemented
        return self.constant == other.constant and self.terms == other.terms

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((self.constant, frozenset(self.terms.items())))
        return self._hash

    def __repr__(self) -> str:
        parts = [f"{coefficient}*{_describe(atom)}" for atom, coefficient in self.terms.items()]
        return " + ".join([*parts, str(self.constant)])

    def __add__(self, other: LinearLike) -> Linear:
        if isinstance(other, int):
            return Linear(self.terms, self.constant + other)
        other = Linear.of(other)
        if not other.terms:
            return Linear(self.terms, self.constant + other.constant)
        if not self.terms:
            return Linear(other.terms, self.constant + other.constant)
        terms = dict(self.terms)
        for atom, coefficient in other.terms.items():
            total = terms.get(atom, 0) + coefficient
            if total:
                terms[atom] = total
            else:
                del terms[atom]
        return Linear(terms, self.constant + other.constant)

    def __radd__(self, other: LinearLike) -> Linear:
        return self + other

    def __neg__(self) -> Linear:
        return self * -1

    def __sub__(self, other: LinearLike) -> Linear:
        return self + Linear.of(other) * -1

    def __rsub__(self, other: LinearLike) -> Linear:
        return self * -1 + other

    def __mul__(self, factor: int) -> Linear:
        if factor == 1:
            return self
        if factor == 0:
            return Linear({})
        return Linear({a: c * factor for a, c in self.terms.items()}, self.constant * factor)

    def __rmul__(self, factor: int) -> Linear:
        return self * factor

    @property
    def is_constant(self) -> bool:
        return not self.terms

    def coefficient(self, atom: Atom) -> int:
        """How often an atom occurs in the sum itself (not inside quotients and remainders)."""
        return self.terms.get(atom, 0)

    def leaves(self) -> Iterator[Leaf]:
        """The index values and lanes in this expression, those inside quotients included."""
        for atom in self.terms:
            if isinstance(atom, FloorDiv | Mod):
                yield from atom.expression.leaves()
            else:
                yield atom

    @staticmethod
    def total(parts: Iterable[tuple[Linear, int]]) -> Linear:
        """The sum of expressions, each times a factor."""
        terms: dict[Atom, int] = {}
        constant = 0
        for part, factor in parts:
            constant += part.constant * factor
            for atom, coefficient in part.terms.items():
                _add_term(terms, atom, coefficient * factor)
        return Linear(terms, constant)

    def values(self) -> set[SSAValue]:
        """The index values on which the expression depends."""
        return {leaf for leaf in self.leaves() if isinstance(leaf, SSAValue)}

    def lanes(self) -> set[int]:
        """The tile axes on which the expression depends."""
        return {leaf.axis for leaf in self.leaves() if isinstance(leaf, Lane)}

    def substitute(self, replacements: Mapping[Leaf, LinearLike]) -> Linear:
        """The expression with index values and lanes replaced, all at the same time."""
        if not any(leaf in replacements for leaf in self.leaves()):
            return self
        result = Linear({}, self.constant)
        for atom, coefficient in self.terms.items():
            if isinstance(atom, FloorDiv):
                new = floordiv(atom.expression.substitute(replacements), atom.by)
            elif isinstance(atom, Mod):
                new = mod(atom.expression.substitute(replacements), atom.by)
            else:
                new = Linear.of(replacements.get(atom, atom))
            result = result + new * coefficient
        return result


def _describe(atom: Atom) -> str:
    if isinstance(atom, SSAValue):
        return f"%{atom.name_hint}"
    if isinstance(atom, Lane):
        return f"t{atom.axis}"
    if isinstance(atom, Counter):
        return f"steps of %{atom.variable.name_hint}"
    name = "floordiv" if isinstance(atom, FloorDiv) else "mod"
    return f"(({atom.expression!r}) {name} {atom.by})"


def floordiv(expression: LinearLike, by: int) -> Linear:
    """`expression` divided by a positive integer, rounded towards -infinity.

    Multiples of `by` leave the quotient at once, so (8 * i + j) floordiv 8 is i + j floordiv 8.
    """
    expression = Linear.of(expression)
    if by < 1:
        raise ValueError(f"floordiv: the divisor must be positive, not {by}")
    whole = {a: c // by for a, c in expression.terms.items() if c % by == 0}
    rest = {a: c for a, c in expression.terms.items() if c % by}
    quotient = Linear(whole, expression.constant // by)
    if not rest:
        return quotient
    return quotient + Linear({FloorDiv(Linear(rest, expression.constant % by), by): 1})


def mod(expression: LinearLike, by: int) -> Linear:
    """The remainder of `expression` by a positive integer; multiples of `by` disappear."""
    expression = Linear.of(expression)
    if by < 1:
        raise ValueError(f"mod: the divisor must be positive, not {by}")
    rest = {a: c for a, c in expression.terms.items() if c % by}
    if not rest:
        return Linear({}, expression.constant % by)
    return Linear({Mod(Linear(rest, expression.constant % by), by): 1})


def ordered_terms(expression: Linear) -> list[tuple[Atom, int]]:
    """The terms as they are printed and encoded: positive before negative, values before lanes."""

    def key(term: tuple[Atom, int]) -> tuple[bool, bool]:
        atom, coefficient = term
        return coefficient < 0, isinstance(atom, Lane)

    if len(expression.terms) < 2:
        return list(expression.terms.items())
    return sorted(expression.terms.items(), key=key)


# Operands and maps


def encode(expressions: Iterable[Linear], rank: int = 0) -> tuple[list[SSAValue], AffineMapAttr]:
    """Operands and map of a list of expressions.

    The first dimensions of the map are the operands, in order of their first use; its last `rank`
    dimensions are the lanes of a tile of that rank.
    """
    expressions = list(expressions)
    positions: dict[Leaf, int] = {}
    for expression in expressions:
        _number_values(expression, positions)
    values = [leaf for leaf in positions if isinstance(leaf, SSAValue)]
    for axis in range(rank):
        positions[Lane(axis)] = len(values) + axis
    try:
        results = tuple(_to_affine(expression, positions) for expression in expressions)
    except KeyError as error:
        atom: object = error.args[0]
        if isinstance(atom, Lane):
            raise VerifyException(f"there is no tile with a lane t{atom.axis}") from error
        raise
    return values, AffineMapAttr(AffineMap(len(values) + rank, 0, results))


def _number_values(expression: Linear, positions: dict[Leaf, int]) -> None:
    for atom, _ in ordered_terms(expression):
        if isinstance(atom, FloorDiv | Mod):
            _number_values(atom.expression, positions)
        elif isinstance(atom, SSAValue):
            positions.setdefault(atom, len(positions))


def _to_affine(expression: Linear, positions: Mapping[Leaf, int]) -> AffineExpr:
    total: AffineExpr | None = None
    for atom, coefficient in ordered_terms(expression):
        if isinstance(atom, FloorDiv | Mod):
            kind = (
                AffineBinaryOpKind.FloorDiv
                if isinstance(atom, FloorDiv)
                else AffineBinaryOpKind.Mod
            )
            inner = _to_affine(atom.expression, positions)
            term = _binary(kind, inner, AffineConstantExpr(atom.by))
        else:
            term: AffineExpr = AffineDimExpr(positions[atom])
        if coefficient != 1:
            term = _binary(AffineBinaryOpKind.Mul, term, AffineConstantExpr(coefficient))
        total = term if total is None else _binary(AffineBinaryOpKind.Add, total, term)
    constant = AffineConstantExpr(expression.constant)
    if total is None:
        return constant
    if expression.constant == 0:
        return total
    return _binary(AffineBinaryOpKind.Add, total, constant)


def moved_by(encoded: AffineExpr, constant: int) -> AffineExpr:
    """What an expression without a constant is encoded as once it has one."""
    if constant == 0:
        return encoded
    if isinstance(encoded, AffineConstantExpr):
        return AffineConstantExpr(constant)
    return _binary(AffineBinaryOpKind.Add, encoded, AffineConstantExpr(constant))


def _binary(kind: AffineBinaryOpKind, left: AffineExpr, right: AffineExpr) -> AffineExpr:
    """A node as it stands: xDSL's operators would simplify, which costs time and changes order."""
    return AffineBinaryOpExpr(kind, left, right)


def decode(operands: Sequence[SSAValue], affine_map: AffineMapAttr) -> list[Linear]:
    """The expressions that `encode` turned into operands and map."""
    count = len(operands)
    rank = affine_map.data.num_dims - count
    atoms = [*operands, *(Lane(axis) for axis in range(rank))]
    return [_from_affine(result, atoms) for result in affine_map.data.results]


def _from_affine(expression: AffineExpr, atoms: Sequence[SSAValue | Lane]) -> Linear:
    terms: dict[Atom, int] = {}
    constant = _add_affine(expression, 1, atoms, terms)
    return Linear(terms, constant)


def _add_affine(
    expression: AffineExpr,
    factor: int,
    atoms: Sequence[SSAValue | Lane],
    terms: dict[Atom, int],
) -> int:
    """Add `factor` times an expression to the terms of a sum; its constant is returned."""
    if isinstance(expression, AffineDimExpr):
        _add_term(terms, atoms[expression.position], factor)
        return 0
    if isinstance(expression, AffineConstantExpr):
        return factor * expression.value
    if not isinstance(expression, AffineBinaryOpExpr):
        raise TypeError(f"not an expression of the loop level: {expression}")
    kind, left, right = expression.kind, expression.lhs, expression.rhs
    if kind is AffineBinaryOpKind.Add:
        constant = _add_affine(left, factor, atoms, terms)
        return constant + _add_affine(right, factor, atoms, terms)
    if kind is AffineBinaryOpKind.Mul and isinstance(right, AffineConstantExpr):
        return _add_affine(left, factor * right.value, atoms, terms)
    x, y = _from_affine(left, atoms), _from_affine(right, atoms)
    if kind is AffineBinaryOpKind.Mul:
        whole = x * y.constant if y.is_constant else y * x.constant
    elif kind is AffineBinaryOpKind.FloorDiv:
        whole = floordiv(x, y.constant)
    elif kind is AffineBinaryOpKind.Mod:
        whole = mod(x, y.constant)
    else:
        raise ValueError(f"not an expression of the loop level: {expression}")
    for atom, coefficient in whole.terms.items():
        _add_term(terms, atom, coefficient * factor)
    return whole.constant * factor


def _add_term(terms: dict[Atom, int], atom: Atom, coefficient: int) -> None:
    total = terms.get(atom, 0) + coefficient
    if total:
        terms[atom] = total
    else:
        terms.pop(atom, None)
