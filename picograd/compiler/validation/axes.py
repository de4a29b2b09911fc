"""Which axes of a program have one size: classes of axes, and how sizes follow from one another.

Each axis of each value is a product of *atoms*. Where an op needs two sizes to be equal, atoms are
joined (union-find); where a reshape splits an axis, its atom becomes a product; so the `N * T` rows
of a flattened batch are still known to be N times T rows. Sizes that depend on others in another
way are *constraints*: sums (slice, pad, concat) and sliding windows (windows, convolution, steps).

    %x: tensor<32x12xf32>       axes (a), (b)
    reshape to [32, 3, 4]       axes (a), (c), (d), and from now on b = c * d
    slice 0 to 30 of axis 0     axis (e), and a = e + f, where f is what the slice leaves

What an op says of its axes is its row in `axis_rules`; sizes are chosen and programs rebuilt in
`resize`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from math import prod
from typing import TypeAlias

from xdsl.ir import BlockArgument, Operation, SSAValue

from picograd.dialects.dtypes import type_of
from picograd.quick_dataclasses import dataclass

Axis: TypeAlias = tuple[int, ...]
"""The atoms whose product is the size of an axis, the slowest first; a size of 1 may have none."""

SizeOf: TypeAlias = Callable[[Axis], int]

GAP, ORDINARY, BETWEEN = range(3)
"""What an atom is: elements that a slice leaves or a pad adds; an axis; an axis that no value has,
but that a value would have if an op were written as two. In this order sizes are settled."""


@dataclass(frozen=True)
class Sum:
    """`whole` is as long as all `parts` together."""

    whole: Axis
    parts: tuple[Axis, ...]


@dataclass(frozen=True)
class Sliding:
    """`count` windows fit into `whole` and its padding, one every `stride` elements.

    `slack` elements at the end are in no window. When `exact`, there is never any slack.
    """

    whole: Axis
    window: Axis
    count: Axis
    stride: int = 1
    dilation: int = 1
    padding: int = 0
    slack: int = 0
    exact: bool = False


Constraint: TypeAlias = Sum | Sliding


@dataclass
class Axes:
    """The atoms of a program, what is known of them, and the axes of its values."""

    sizes: list[int] = field(default_factory=list[int])
    kinds: list[int] = field(default_factory=list[int])
    places: list[list[str]] = field(default_factory=list[list[str]])
    factors: dict[int, Axis] = field(default_factory=dict[int, Axis])
    """What an atom has been found to be a product of, or equal to (then one factor)."""
    pinned: dict[int, str] = field(default_factory=dict[int, str])
    """Atoms that keep their size, and why."""
    of: dict[SSAValue, tuple[Axis, ...]] = field(default_factory=dict[SSAValue, tuple[Axis, ...]])
    constraints: list[Constraint] = field(default_factory=list[Constraint])
    gaps: dict[tuple[Axis, Axis, str, int], Axis] = field(
        default_factory=dict[tuple[Axis, Axis, str, int], Axis]
    )

    def fresh(self, size: int, place: str, kind: int = ORDINARY) -> Axis:
        """A new axis of its own."""
        self.sizes.append(size)
        self.kinds.append(kind)
        self.places.append([place])
        return (len(self.sizes) - 1,)

    def fresh_shape(self, value: SSAValue) -> tuple[Axis, ...]:
        """A new axis for each one of a value."""
        shape = type_of(value).get_shape()
        return tuple(self.fresh(n, place(value, axis)) for axis, n in enumerate(shape))

    def gap(self, whole: Axis, part: Axis, side: str, size: int) -> tuple[Axis, ...]:
        """The elements beside a part of an axis, if any: the same for equal parts of one axis."""
        if not size:
            return ()
        key = (self.resolve(whole), self.resolve(part), side, size)
        if key not in self.gaps:
            where = " x ".join(self.places[atom][0] for atom in key[0])
            self.gaps[key] = self.fresh(size, f"what is {side} a part of {where}", GAP)
        return (self.gaps[key],)

    def resolve(self, axis: Axis) -> Axis:
        """The atoms of an axis, as far as they have been split."""
        atoms: list[int] = []
        for atom in axis:
            found = self.factors.get(atom)
            atoms += (atom,) if found is None else self.resolve(found)
        return tuple(atoms)

    def size(self, axis: Axis) -> int:
        """How many elements an axis has in the program."""
        return prod(self.sizes[atom] for atom in axis)

    def pin(self, axis: Axis, reason: str) -> None:
        """Let an axis keep its size."""
        for atom in self.resolve(axis):
            self.pinned.setdefault(atom, reason)

    def join(self, left: Axis, right: Axis, where: str) -> None:
        """Note that two axes, or products of axes, have one size, element for element."""
        a, b = deque(self.resolve(left)), deque(self.resolve(right))
        if len(a) == 1 and len(b) == 1:
            self._link(a[0], b[0])
            return
        if any(self.sizes[atom] == 0 for atom in (*a, *b)):
            self._pin_all((*a, *b), f"{where} has no elements to tell its axes by")
            return
        while a and b:
            x, y = a.popleft(), b.popleft()
            if x in self.factors or y in self.factors:
                a.extendleft(reversed(self.resolve((x,))))
                b.extendleft(reversed(self.resolve((y,))))
            elif self.sizes[x] == self.sizes[y]:
                self._link(x, y)
            elif self.sizes[x] == 1:
                self.pin((x,), f"{where} drops or adds an axis of size 1")
                b.appendleft(y)
            elif self.sizes[y] == 1:
                self.pin((y,), f"{where} drops or adds an axis of size 1")
                a.appendleft(x)
            elif self._split(*sorted((x, y), key=lambda atom: self.sizes[atom])):
                a.appendleft(x)
                b.appendleft(y)
            else:
                self._pin_all((x, y, *a, *b), f"{where} cuts axes where they do not divide")
                return
        self._pin_all((*a, *b), f"{where} drops or adds an axis of size 1")

    def _split(self, small: int, large: int) -> bool:
        """Make the larger atom a product of the smaller one and a rest; whether that divides."""
        if self.sizes[large] % self.sizes[small]:
            return False
        rest = self.fresh(self.sizes[large] // self.sizes[small], f"a part of {self.name(large)}")
        self.factors[large] = (small, *rest)
        if large in self.pinned:
            self.pin(self.factors[large], self.pinned.pop(large))
        return True

    def _link(self, x: int, y: int) -> None:
        old, new = min(x, y), max(x, y)
        if old == new:
            return
        assert self.sizes[old] == self.sizes[new]
        self.factors[new] = (old,)
        self.kinds[old] = self.kinds[old] if self.kinds[old] == self.kinds[new] else ORDINARY
        self.places[old] += self.places[new]
        if new in self.pinned:
            self.pinned.setdefault(old, self.pinned.pop(new))

    def _pin_all(self, atoms: Sequence[int], reason: str) -> None:
        for atom in atoms:
            self.pin((atom,), reason)

    def name(self, atom: int) -> str:
        """An atom in words: the first axis that has it."""
        return self.places[atom][0]

    def roots(self) -> list[int]:
        """The atoms that are not known as products of others, in the order of the program."""
        return [atom for atom in range(len(self.sizes)) if atom not in self.factors]


def place(value: SSAValue, axis: int) -> str:
    """An axis of a value in words."""
    if value.name_hint is not None:
        return f"axis {axis} of %{value.name_hint}"
    if isinstance(value, BlockArgument):
        return f"axis {axis} of argument {value.index}"
    return f"axis {axis} of a result of {title(value.owner)}"


def title(op: object) -> str:
    """What an op is called in reasons."""
    return op.name if isinstance(op, Operation) else "the function"


def settle(
    axes: Axes, requests: Mapping[int, int], conflict: list[str] | None = None
) -> dict[int, int] | None:
    """A size for each atom: what is asked for, and else what follows from it, and else the old one.

    None where that contradicts itself; `conflict` is told why.
    """
    known = {atom: axes.sizes[atom] for atom in axes.roots() if atom in axes.pinned}
    for atom, size in requests.items():
        if known.setdefault(atom, size) != size:
            return _refuse(conflict, axes.pinned[atom])
    # Resolved once: trying sizes is what shrinking does most.
    constraints = [resolved(axes, constraint) for constraint in axes.constraints]
    waiting = deque(
        sorted(
            (atom for atom in axes.roots() if atom not in known),
            key=lambda atom: (axes.kinds[atom], atom),
        )
    )
    while True:
        wrong = _propagate(constraints, known)
        if wrong is not None:
            return _refuse(conflict, f"{describe(axes, wrong)} would not hold")
        while waiting and waiting[0] in known:
            waiting.popleft()
        if not waiting:
            return known
        known[waiting[0]] = axes.sizes[waiting[0]]


def _refuse(conflict: list[str] | None, reason: str) -> None:
    if conflict is not None:
        conflict.append(reason)


def axes_in(constraint: Constraint) -> tuple[Axis, ...]:
    """The axes that a constraint is about."""
    if isinstance(constraint, Sum):
        return constraint.whole, *constraint.parts
    return constraint.whole, constraint.window, constraint.count


def resolved(axes: Axes, constraint: Constraint) -> Constraint:
    """A constraint on atoms that have not been split."""
    if isinstance(constraint, Sum):
        return Sum(axes.resolve(constraint.whole), tuple(map(axes.resolve, constraint.parts)))
    return Sliding(
        axes.resolve(constraint.whole),
        axes.resolve(constraint.window),
        axes.resolve(constraint.count),
        constraint.stride,
        constraint.dilation,
        constraint.padding,
        constraint.slack,
        constraint.exact,
    )


def describe(axes: Axes, constraint: Constraint) -> str:
    """A constraint in words."""

    def words(axis: Axis) -> str:
        return " x ".join(map(axes.name, axis)) or "1"

    if isinstance(constraint, Sum):
        return f"{words(constraint.whole)} = " + " + ".join(map(words, constraint.parts))
    return f"{words(constraint.count)} windows every {constraint.stride} in " + words(
        constraint.whole
    )


def _propagate(constraints: Sequence[Constraint], known: dict[int, int]) -> Constraint | None:
    """Conclude sizes until nothing follows any more; a constraint that does not hold, or None."""
    progress = True
    while progress:
        before = len(known)
        for constraint in constraints:
            if isinstance(constraint, Sum):
                holds = _sum(constraint, known)
            else:
                holds = _sliding(constraint, known)
            if not holds:
                return constraint
        progress = len(known) > before
    return None


def _known(axis: Axis, known: Mapping[int, int]) -> int | None:
    sizes = [known.get(atom) for atom in axis]
    return None if None in sizes else prod(size for size in sizes if size is not None)


def _conclude(axis: Axis, size: int, known: dict[int, int]) -> bool:
    """Note that an axis has a size, if one of its atoms is unknown; whether it can have it."""
    unknown = [atom for atom in axis if atom not in known]
    rest = prod(known[atom] for atom in axis if atom in known)
    if not unknown:
        return rest == size
    if len(unknown) == 1 and rest:
        if size < 0 or size % rest:
            return False
        known[unknown[0]] = size // rest
    return True


def _sum(constraint: Sum, known: dict[int, int]) -> bool:
    whole = _known(constraint.whole, known)
    parts = [_known(part, known) for part in constraint.parts]
    if None not in parts:
        return _conclude(constraint.whole, sum(part for part in parts if part is not None), known)
    unknown = {p for p, size in zip(constraint.parts, parts, strict=True) if size is None}
    if whole is None or len(unknown) != 1:
        return True
    (part,) = unknown
    times = constraint.parts.count(part)
    rest = whole - sum(size for size in parts if size is not None)
    return rest >= 0 and rest % times == 0 and _conclude(part, rest // times, known)


def _sliding(constraint: Sliding, known: dict[int, int]) -> bool:
    window = _known(constraint.window, known)
    whole = _known(constraint.whole, known)
    count = _known(constraint.count, known)
    stride, padding = constraint.stride, constraint.padding
    if window is None:
        return True
    span = (window - 1) * constraint.dilation + 1
    if whole is not None:
        room = whole + padding - span
        fits = room >= 0 or (window == 1 and whole + padding == 0)
        exact = not constraint.exact or room < 0 or room % stride == 0
        return fits and exact and _conclude(constraint.count, room // stride + 1, known)
    if count is not None:
        used = (count - 1) * stride + span + constraint.slack if count else 0
        return _conclude(constraint.whole, used - padding, known)
    return True
