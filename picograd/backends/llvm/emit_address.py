"""Affine expressions and addresses as LLVM text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.ir import SSAValue

from picograd.backends.llvm import types
from picograd.backends.llvm.function import Function
from picograd.dialects.affine import Atom, FloorDiv, Linear, Mod
from picograd.dialects.loop import memref_type

Assign = Callable[[str | None, str], str]

INNERMOST = -1
"""The level of what depends on a value computed in the middle of a body."""


def strides(shape: Sequence[int]) -> list[int]:
    """Elements from one index to the next along each axis of a row-major buffer."""
    result = [1] * len(shape)
    for axis in range(len(shape) - 1, 0, -1):
        result[axis - 1] = result[axis] * shape[axis]
    return result


def offset(f: Function, memref: SSAValue, indices: Sequence[Linear]) -> Linear:
    """The element offset of indices into a row-major buffer."""

    def find() -> tuple[Linear, list[int]]:
        factors = strides(memref_type(memref).get_shape())
        bare = [Linear(index.terms) for index in indices]
        return Linear.total(zip(bare, factors, strict=True)), factors

    total, factors = f.found_once(("offset", memref), indices, find)
    distances = [index.constant * by for index, by in zip(indices, factors, strict=True)]
    return Linear(total.terms, sum(distances))


def linear(f: Function, expression: Linear, assign: Assign | None = None) -> str:
    """An expression without lanes as an i64; emitted here unless `assign` puts it elsewhere."""
    assign = assign or f.assign
    total: str | None = None
    for atom, coefficient in expression.terms.items():
        text = _atom(f, atom, assign)
        if coefficient != 1:
            text = assign("index", f"mul nsw i64 {text}, {coefficient}")
        total = text if total is None else assign("index", f"add nsw i64 {total}, {text}")
    if total is None:
        return str(expression.constant)
    if expression.constant:
        return assign("index", f"add nsw i64 {total}, {expression.constant}")
    return total


def _atom(f: Function, atom: Atom, assign: Assign) -> str:
    if isinstance(atom, FloorDiv):
        return floor_divide(f, linear(f, atom.expression, assign), atom, assign)
    if isinstance(atom, Mod):
        inner = linear(f, atom.expression, assign)
        quotient = floor_divide(f, inner, atom, assign)
        multiple = assign("index", f"mul nsw i64 {quotient}, {atom.by}")
        return assign("index", f"sub nsw i64 {inner}, {multiple}")
    assert isinstance(atom, SSAValue), "lanes are replaced before an index is emitted"
    return f.names[atom]


def floor_divide(f: Function, text: str, atom: FloorDiv | Mod, assign: Assign) -> str:
    """`text` divided by a positive constant, rounded towards -infinity."""
    by = atom.by
    if by & (by - 1) == 0:
        return assign("index", f"ashr i64 {text}, {by.bit_length() - 1}")
    low, _ = f.ranges.interval(atom.expression)
    if low is None or low < 0:  # sdiv rounds towards zero
        sign = assign("index", f"ashr i64 {text}, 63")
        correction = assign("index", f"and i64 {sign}, {by - 1}")
        text = assign("index", f"sub nsw i64 {text}, {correction}")
    return assign("index", f"sdiv i64 {text}, {by}")


def _level(f: Function, atom: Atom) -> int:
    """The open loop at whose head an atom is known."""
    if isinstance(atom, FloorDiv | Mod):
        levels = [_level(f, leaf) for leaf in atom.expression.leaves()]
        return INNERMOST if INNERMOST in levels else max(levels, default=0)
    assert isinstance(atom, SSAValue)
    return f.level_of.get(atom, INNERMOST)


def address(f: Function, memref: SSAValue, elements: Linear) -> str:
    """A pointer to the element at an offset without lanes.

    The parts of the sum are added from the outermost loop inwards, each at the head of its loop,
    and shared by all addresses that begin with the same parts.
    """
    element = types.in_memory(types.scalar(memref_type(memref).element_type))
    # Pieces of one tile differ in the constant only.
    starts = f.levels[-1].starts
    known = starts.get((memref, id(elements.terms)))
    if known is None:
        known = (*_start(f, memref, element, elements), elements)
        starts[memref, id(elements.terms)] = known
    pointer, here, _ = known
    if not here and not elements.constant:
        return pointer
    rest = linear(f, Linear(here, elements.constant)) if here else str(elements.constant)
    return f.assign("p", f"getelementptr {element}, ptr {pointer}, i64 {rest}")


def _start(
    f: Function, memref: SSAValue, element: str, elements: Linear
) -> tuple[str, dict[Atom, int]]:
    """Where the parts of a sum lead that are known at the heads of loops, and the other parts."""
    parts: dict[int, dict[Atom, int]] = {}
    for atom, coefficient in elements.terms.items():
        parts.setdefault(_level(f, atom), {})[atom] = coefficient
    pointer = f.bases[memref]
    key: tuple[object, ...] = (memref,)
    here = parts.pop(INNERMOST, {})
    for level in sorted(parts):
        part = Linear(parts[level])
        key = (*key, part)
        known = f.levels[level].pointers
        if key not in known:
            known[key] = _advance(f, pointer, element, part, level)
        pointer = known[key]
    return pointer, here


def _advance(f: Function, pointer: str, element: str, part: Linear, level: int) -> str:
    def assign(hint: str | None, expression: str) -> str:
        return f.assign_at(level, hint, expression)

    distance = linear(f, part, assign)
    return assign("p", f"getelementptr {element}, ptr {pointer}, i64 {distance}")
