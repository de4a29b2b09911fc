"""Which values get a buffer of their own, and in which loop it lives.

A plan is found by trying: a kernel is lowered with every value computed where it is asked for;
what was computed too often is then given a buffer, and the kernel is lowered again. The value
furthest down is placed first, since placing it changes what is asked of those above.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import field
from math import prod
from typing import cast

from xdsl.ir import SSAValue

from picograd.dialects import buffer
from picograd.dialects.dtypes import AnyMemRef, AnyTensor, memref_type
from picograd.passes.lowering.costs import COSTLY, LOOP_COST
from picograd.passes.lowering.indices import Guard, Index
from picograd.passes.lowering.nest import Path, Scope
from picograd.quick_dataclasses import dataclass

CROWD = 8
"""A value computed at so many places of crowded code is worth a buffer."""


@dataclass(frozen=True)
class Site:
    """An element computed in the body of some loop (not where it was found computed before)."""

    value: SSAValue
    index: Index
    guard: Guard
    scope: Scope
    cost: int


@dataclass(frozen=True)
class Placement:
    """A buffer for a value, in the loop of this path.

    `bound` are the value's axes along which the buffer holds one position only: that of a
    variable, given as path and number, of the loops around the buffer. With `output` the buffer is
    not new but the one that this result of the kernel will be stored to.
    """

    path: Path
    bound: Mapping[int, tuple[Path, int]]
    output: int | None = None


@dataclass(frozen=True)
class StoreLoop:
    """The innermost loop that stores an output, the index of what it stores, and how many sites
    there were when it had."""

    output: int
    scope: Scope
    index: Index
    sites: int
    whole: bool
    """Whether each element is stored at its own index."""
    first: bool
    """Whether the nest was made for this output, rather than shared."""


@dataclass
class Plan:
    """The decisions about a kernel."""

    kernel: buffer.KernelOp
    placements: dict[SSAValue, Placement] = field(default_factory=dict[SSAValue, Placement])
    rejected: set[SSAValue] = field(default_factory=set[SSAValue])
    orders: dict[Hashable, tuple[int, ...]] = field(default_factory=dict[Hashable, tuple[int, ...]])
    """The order of the loops of a nest over outputs, where it is not that of the axes."""

    def position(self, value: SSAValue) -> int:
        """A number for a value that is the same whenever the kernel is lowered."""
        return next(n for n, op in enumerate(self.kernel.block.ops) if value in op.results)

    def place_one(self, sites: Sequence[Site], stores: Sequence[StoreLoop]) -> bool:
        """Give one value a buffer if one was computed too often; tells whether."""
        by_value: dict[SSAValue, list[Site]] = {}
        for site in sites:
            if site.cost >= COSTLY:
                by_value.setdefault(site.value, []).append(site)
        for op in reversed(list(self.kernel.block.ops)):
            for value in op.results:
                if value in by_value and value not in self.placements | dict.fromkeys(
                    self.rejected
                ):
                    placement = self._placement(value, by_value[value])
                    if placement is not None:
                        output = _free_output(value, placement, sites, stores, self)
                        self.placements[value] = Placement(placement.path, placement.bound, output)
                        return True
        return False

    def place_crowded(self, sites: Sequence[Site]) -> None:
        """Give a whole buffer to the last value that is computed at many places."""
        counts: dict[SSAValue, int] = {}
        for site in sites:
            counts[site.value] = counts.get(site.value, 0) + 1
        free = {value: n for value, n in counts.items() if value not in self.placements}
        many = min(CROWD, max(free.values()))
        chosen = max((v for v, n in free.items() if n >= many), key=self.position)
        self.placements[chosen] = Placement((), {})

    def _placement(self, value: SSAValue, sites: Sequence[Site]) -> Placement | None:
        size = max(1, prod(_shape(value)))
        if sum(site.scope.executions for site in sites) < 2 * size:
            return None
        for home in _common(sites).chain():
            bound = _bound_axes(value, sites, home)
            free = prod(n for axis, n in enumerate(_shape(value)) if axis not in bound)
            if home.executions * free > size or any(scope.sequential for scope in home.chain()):
                continue
            if home.parent is None and max(site.cost for site in sites) < LOOP_COST:
                break  # A buffer of the whole value costs more than to compute it again.
            return Placement(home.path, bound)
        self.rejected.add(value)
        return None


def _shape(value: SSAValue) -> tuple[int, ...]:
    return cast(AnyTensor, value.type).get_shape()


def _buffer_type(value: SSAValue) -> AnyMemRef:
    return memref_type(_shape(value), cast(AnyTensor, value.type).element_type)


def _common(sites: Sequence[Site]) -> Scope:
    """The innermost scope around all sites."""
    common = list(sites[0].scope.chain())
    for site in sites[1:]:
        around = list(site.scope.chain())
        common = [scope for scope in common if any(scope is other for other in around)]
    return common[0]


def _bound_axes(value: SSAValue, sites: Sequence[Site], home: Scope) -> dict[int, tuple[Path, int]]:
    """The axes along which all sites ask for one variable of a loop around `home`."""
    variables: dict[SSAValue, tuple[Path, int, int]] = {
        variable: (scope.path, number, extent)
        for scope in home.chain()
        if scope.parent is not None
        for number, (variable, extent) in enumerate(
            zip(scope.block.args, scope.extents, strict=False)
        )
    }
    bound: dict[int, tuple[Path, int]] = {}
    for axis, size in enumerate(_shape(value)):
        asked = {site.index[axis] for site in sites}
        if len(asked) != 1:
            continue
        (expression,) = asked
        if expression.constant or list(expression.terms.values()) != [1]:
            continue
        (atom,) = expression.terms
        if isinstance(atom, SSAValue) and atom in variables and variables[atom][2] <= size:
            bound[axis] = variables[atom][:2]
    return bound


def _free_output(
    value: SSAValue,
    placement: Placement,
    sites: Sequence[Site],
    stores: Sequence[StoreLoop],
    plan: Plan,
) -> int | None:
    """An output whose buffer may hold the value until the output itself is stored.

    It has the value's type; the loop that stores it reads of the value only the element in whose
    place it stores; and whatever else reads the value has done so before that loop.
    """
    taken = {other.output for other in plan.placements.values()}
    for store in stores:
        target = plan.kernel.write_arguments[store.output]
        loops = list(store.scope.chain())
        home = store.scope.find_path(placement.path)
        if (
            store.output in taken
            or not store.whole
            or home is None
            or home is store.scope
            or target.type != _buffer_type(value)
        ):
            continue
        inner = loops[: next(n for n, scope in enumerate(loops) if scope is home)]
        mine = [(n, site) for n, site in enumerate(sites) if site.value is value]
        inside = [s for _, s in mine if any(scope is s.scope for scope in inner)]
        nested = [
            s
            for _, s in mine
            if any(scope is around for around in s.scope.chain() for scope in inner)
        ]
        if (
            len(inside) == len(nested)
            and all(site.index == store.index and site.scope is store.scope for site in inside)
            and all(n < store.sites for n, _ in mine)
        ):
            return store.output
    return None
