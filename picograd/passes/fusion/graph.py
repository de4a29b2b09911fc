"""Kernels and the groups that they are to become, with their dependences.

Fusion is decided on this graph and carried out once, at the end; no IR is touched before that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import OpResult, SSAValue

from picograd.dialects.kernel import FusedOp
from picograd.passes.fusion.body import Body, Contents, Shapes


@dataclass(frozen=True, eq=False)
class Group:
    """Kernels that are to become one: their positions in the function, in order.

    `number` is the group's bit in the sets of groups below. A kernel is at home in one group, which
    provides its results to all; other groups may hold copies of it, for themselves.
    """

    number: int
    members: frozenset[int]


class Graph:
    """The kernels of a function, at first each a group of its own."""

    def __init__(self, function: FuncOp) -> None:
        block = function.body.block
        terminator = block.last_op
        assert isinstance(terminator, ReturnOp)
        self.terminator = terminator
        self.kernels = [op for op in block.ops if isinstance(op, FusedOp)]
        self._contents = [Contents(kernel) for kernel in self.kernels]
        self._shapes = Shapes()
        self._bodies: dict[tuple[frozenset[int], tuple[SSAValue, ...]], Body] = {}
        self.returned: frozenset[SSAValue] = frozenset(terminator.operands)
        position = {kernel: index for index, kernel in enumerate(self.kernels)}
        self._readers: list[list[int]] = [[] for _ in self.kernels]
        self._sources: list[list[int]] = []
        for index, kernel in enumerate(self.kernels):
            sources = dict.fromkeys(
                position[value.op]
                for value in kernel.inputs
                if isinstance(value, OpResult) and isinstance(value.op, FusedOp)
            )
            self._sources.append(list(sources))
            for source in sources:
                self._readers[source].append(index)
        self.home = [Group(index, frozenset({index})) for index in range(len(self.kernels))]
        self._holders: list[set[Group]] = [{group} for group in self.home]
        # Transitive dependences between groups, as sets of bits.
        self._above = [0] * len(self.kernels)
        self._below = [0] * len(self.kernels)
        for index, sources in enumerate(self._sources):
            for source in sources:
                self._above[index] |= self._above[source] | 1 << source
        for index in reversed(range(len(self.kernels))):
            for reader in self._readers[index]:
                self._below[index] |= self._below[reader] | 1 << reader

    def is_current(self, group: Group) -> bool:
        """Whether a group still stands, and has not become part of another."""
        return any(self.home[member] is group for member in group.members)

    def groups(self) -> list[Group]:
        """The groups in which some kernel is at home, in order of their first kernel."""
        return list(dict.fromkeys(self.home))

    def readers(self, kernel: int) -> Sequence[int]:
        """Positions of the kernels that read a kernel's results."""
        return self._readers[kernel]

    def readers_of(self, group: Group) -> list[Group]:
        """The other groups that read what this one provides, in order of their kernels."""
        found: dict[Group, None] = {}
        for kernel in sorted(group.members):
            if self.home[kernel] is not group:
                continue
            for reader in self._readers[kernel]:
                for holder in self._holders[reader]:
                    if holder is not group and kernel not in holder.members:
                        found[holder] = None
        return sorted(found, key=lambda g: (min(g.members), g.number))

    def sources_of(self, group: Group) -> list[Group]:
        """The other groups whose results this one reads."""
        sources = {
            source
            for member in group.members
            for source in self._sources[member]
            if source not in group.members
        }
        return list(dict.fromkeys(self.home[source] for source in sorted(sources)))

    def body_of(self, *groups: Group) -> Body:
        """The ops of groups as one region, which provides what other groups read of them."""
        return self._body(frozenset[int]().union(*(group.members for group in groups)), groups)

    def body_with_copy(self, group: Group, source: Group) -> Body:
        """The ops of a group that computes for itself what `source` would provide."""
        return self._body(group.members | source.members, (group,))

    def _body(self, members: frozenset[int], groups: Sequence[Group]) -> Body:
        outputs: list[SSAValue] = []
        for kernel in sorted(members):
            if self.home[kernel] in groups:
                for value in self._contents[kernel].outputs:
                    if value in self.returned or self._is_read_outside(value, kernel, groups):
                        outputs.append(value)
        key = (members, tuple(outputs))
        if key not in self._bodies:
            self._bodies[key] = Body(
                [self._contents[index] for index in sorted(members)], outputs, self._shapes
            )
        return self._bodies[key]

    def would_cycle(self, a: Group, b: Group) -> bool:
        """Whether a group between the two depends on one and the other depends on it."""
        forward = self._below[a.number] & self._above[b.number]
        backward = self._below[b.number] & self._above[a.number]
        return bool(forward | backward)

    def depends(self, a: Group, b: Group) -> bool:
        """Whether one of two groups needs the other."""
        return bool((self._above[a.number] >> b.number | self._above[b.number] >> a.number) & 1)

    def merge(self, a: Group, b: Group) -> Group:
        """Make one group of two, which must not close a cycle."""
        merged = Group(a.number, a.members | b.members)
        for kernel in merged.members:
            self._holders[kernel] -= {a, b}
            self._holders[kernel].add(merged)
            if self.home[kernel] in (a, b):
                self.home[kernel] = merged
        both = 1 << a.number | 1 << b.number
        above = (self._above[a.number] | self._above[b.number]) & ~both
        below = (self._below[a.number] | self._below[b.number]) & ~both
        self._above[a.number], self._below[a.number] = above, below
        for number in _bits(below):
            self._above[number] = self._above[number] & ~both | above | 1 << a.number
        for number in _bits(above):
            self._below[number] = self._below[number] & ~both | below | 1 << a.number
        self._above[b.number] = self._below[b.number] = 0
        return merged

    def copy_into(self, source: Group, readers: Sequence[Group]) -> None:
        """Give each reader of a group a copy of its kernels; the group itself is gone."""
        for reader in readers:
            grown = Group(reader.number, reader.members | source.members)
            for kernel in grown.members:
                self._holders[kernel] -= {reader}
                self._holders[kernel].add(grown)
                if self.home[kernel] is reader:
                    self.home[kernel] = grown
        keep = ~(1 << source.number)
        for number in _bits(self._above[source.number]):
            self._below[number] &= keep
        for number in _bits(self._below[source.number]):
            self._above[number] &= keep
        for kernel in source.members:
            self._holders[kernel].discard(source)
            if self.home[kernel] is source:
                # Nobody asks any more; the first copy counts as the original.
                self.home[kernel] = min(self._holders[kernel], key=lambda g: g.number)

    def in_order(self) -> list[Group]:
        """The groups, each after those that it reads, else as the kernels stood."""
        done: dict[Group, None] = {}
        for group in self.groups():
            self._visit(group, done)
        return list(done)

    def _visit(self, group: Group, done: dict[Group, None]) -> None:
        stack = [group]
        while stack:
            top = stack[-1]
            waiting = [source for source in self.sources_of(top) if source not in done]
            if top in done or not waiting:
                stack.pop()
                done[top] = None
            else:
                stack.append(waiting[0])

    def _is_read_outside(self, value: SSAValue, kernel: int, groups: Sequence[Group]) -> bool:
        """Whether a group that is not one of `groups` reads `value` and has no copy of it."""
        return any(
            kernel not in holder.members and holder not in groups
            for reader in self._readers[kernel]
            if value in self._contents[reader].inputs
            for holder in self._holders[reader]
        )


def _bits(number: int) -> Iterator[int]:
    """The positions of the ones in a number."""
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest
