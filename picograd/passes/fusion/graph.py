"""Kernels and the groups that they are to become, with their dependences.

Fusion is decided on this graph and carried out once, at the end; no IR is touched before that.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import TypeAlias

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

from picograd.dialects.kernel import FusedOp
from picograd.passes.fusion.body import Body, Contents, Shapes
from picograd.passes.rewriting.structure import structural_key
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Group:
    """Kernels that are to become one: their positions in the function, in order.

    `number` is the group's bit in the sets of groups below. A kernel is at home in one group, which
    provides its results to all; other groups may hold copies of it, for themselves.
    """

    number: int
    members: frozenset[int]


Place: TypeAlias = tuple[int, int]
"""A value of the function: a kernel and the number among its results; or -1 and a number of its
own, where no kernel makes it."""

_OUTSIDE = -1


@dataclass(frozen=True, eq=False)
class Part:
    """Kernels seen as one region, by their positions in order.

    Parts of equal `form` compute the same of whatever they read: a model repeats its layers, so
    what is true of one is known of the next.
    """

    members: tuple[int, ...]
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]
    form: tuple[int, ...]


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
        self._bodies: dict[tuple[tuple[int, ...], tuple[Place, ...]], Body] = {}
        self._parts: dict[Group, Part] = {}
        self._outputs: dict[Group, list[Place]] = {}
        returned = frozenset(terminator.operands)
        self._place: dict[SSAValue, Place] = {
            value: (index, number)
            for index, kernel in enumerate(self.kernels)
            for number, value in enumerate(kernel.outputs)
        }
        self._is_returned = [
            [value in returned for value in contents.outputs] for contents in self._contents
        ]
        self._forms = _numbered(
            structural_key(kernel, without=frozenset(kernel.properties)) for kernel in self.kernels
        )
        self._inputs: list[list[Place]] = []
        self._readers_of: list[list[list[int]]] = [[[] for _ in k.outputs] for k in self.kernels]
        self._readers: list[list[int]] = [[] for _ in self.kernels]
        self._sources: list[list[int]] = []
        for index, contents in enumerate(self._contents):
            inputs = [
                self._place.setdefault(value, (_OUTSIDE, len(self._place)))
                for value in contents.inputs
            ]
            self._inputs.append(inputs)
            for source, number in dict.fromkeys(inputs):
                if source != _OUTSIDE:
                    self._readers_of[source][number].append(index)
            self._sources.append(
                list(dict.fromkeys(source for source, _ in inputs if source != _OUTSIDE))
            )
            for source in self._sources[index]:
                self._readers[source].append(index)
        self.home = [Group(index, frozenset({index})) for index in range(len(self.kernels))]
        self._holders: list[set[Group]] = [{group} for group in self.home]
        # Transitive dependences between groups, as sets of bits. Those of groups that are gone stay
        # in the sets of others; `_standing` tells them apart.
        self._standing = (1 << len(self.kernels)) - 1
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

    def part_of(self, *groups: Group) -> Part:
        """The kernels of groups as one region, which provides what other groups read of them."""
        if len(groups) == 1:
            (group,) = groups
            if group not in self._parts:
                self._parts[group] = self._part(group.members, self._outputs_of(group))
            return self._parts[group]
        members = frozenset[int]().union(*(group.members for group in groups))
        outputs = [output for group in groups for output in self._outputs_of(group)]
        outputs = [output for output in outputs if self._is_needed(output, groups)]
        return self._part(members, sorted(outputs))

    def part_with_copy(self, group: Group, source: Group) -> Part:
        """The kernels of a group that computes for itself what `source` would provide."""
        return self._part(group.members | source.members, self._outputs_of(group))

    def body_of(self, part: Part) -> Body:
        """The ops of a part."""
        key = (part.members, part.outputs)
        if key not in self._bodies:
            contents = [self._contents[index] for index in part.members]
            outputs = [self._contents[index].outputs[number] for index, number in part.outputs]
            self._bodies[key] = Body(contents, outputs, self._shapes)
        return self._bodies[key]

    def place_of(self, value: SSAValue) -> Place:
        """Where a value comes from that a kernel reads or makes."""
        return self._place[value]

    def is_returned(self, output: Place) -> bool:
        """Whether a kernel's result is one of the function's."""
        return self._is_returned[output[0]][output[1]]

    def _outputs_of(self, group: Group) -> list[Place]:
        """What a group provides to others. Joining those changes nothing of it, copying does."""
        if group not in self._outputs:
            self._outputs[group] = [
                (kernel, number)
                for kernel in sorted(group.members)
                if self.home[kernel] is group
                for number in range(len(self._readers_of[kernel]))
                if self._is_needed((kernel, number), (group,))
            ]
        return self._outputs[group]

    def _forget(self) -> None:
        self._outputs.clear()
        self._parts.clear()

    def _is_needed(self, output: Place, groups: Sequence[Group]) -> bool:
        """Whether a result is returned, or read by another group that has no copy of it."""
        kernel, number = output
        if self._is_returned[kernel][number]:
            return True
        for reader in self._readers_of[kernel][number]:
            for holder in self._holders[reader]:
                if holder not in groups and kernel not in holder.members:
                    return True
        return False

    def _part(self, members: frozenset[int], outputs: Sequence[Place]) -> Part:
        order = tuple(sorted(members))
        place = {kernel: number for number, kernel in enumerate(order)}
        outside: dict[Place, int] = {}
        form: list[int] = []
        for kernel in order:
            form.append(self._forms[kernel])
            for given in self._inputs[kernel]:
                if given[0] in place:
                    form += (place[given[0]], given[1])
                else:
                    form += (_OUTSIDE, outside.setdefault(given, len(outside)))
        for kernel, number in outputs:
            form += (place[kernel], number)
        return Part(order, tuple(outside), tuple(outputs), tuple(form))

    def would_cycle(self, a: Group, b: Group) -> bool:
        """Whether a group between the two depends on one and the other depends on it."""
        forward = self._below[a.number] & self._above[b.number]
        backward = self._below[b.number] & self._above[a.number]
        both = 1 << a.number | 1 << b.number
        return bool((forward | backward) & self._standing & ~both)

    def depends(self, a: Group, b: Group) -> bool:
        """Whether one of two groups needs the other."""
        return bool((self._above[a.number] >> b.number | self._above[b.number] >> a.number) & 1)

    def depends_on_any(self, group: Group, start: int) -> bool:
        """Whether a group needs one whose number is `start` or more."""
        others = self._standing & ~(1 << group.number)
        return bool((self._above[group.number] & others) >> start)

    def merge(self, a: Group, b: Group) -> Group:
        """Make one group of two, which must not close a cycle."""
        merged = Group(a.number, a.members | b.members)
        for kernel in merged.members:
            if len(self._holders[kernel]) > 1:
                self._forget()  # who has a copy now may have read the original before
            self._holders[kernel] -= {a, b}
            self._holders[kernel].add(merged)
            if self.home[kernel] in (a, b):
                self.home[kernel] = merged
        # What only one of the two depended on, or gave to, now meets the other's.
        self._spread(self._above, self._below, a.number, b.number)
        self._spread(self._below, self._above, a.number, b.number)
        self._above[a.number] |= self._above[b.number]
        self._below[a.number] |= self._below[b.number]
        self._standing &= ~(1 << b.number)
        both = ~(1 << a.number | 1 << b.number)
        self._above[a.number] &= both
        self._below[a.number] &= both
        return merged

    def _spread(self, above: list[int], below: list[int], a: int, b: int) -> None:
        """Add to what is below one of two merging groups all that is above the other."""
        below_a = below[a] & self._standing
        below_b = below[b] & self._standing
        new_of_b = above[b] | 1 << a
        new_of_a = above[a] | 1 << a
        for number in _bits(below_a & ~below_b & ~(1 << b)):
            above[number] |= new_of_b
        for number in _bits(below_b & ~below_a & ~(1 << a)):
            above[number] |= new_of_a

    def copy_into(self, source: Group, readers: Sequence[Group]) -> None:
        """Give each reader of a group a copy of its kernels; the group itself is gone."""
        self._forget()
        for reader in readers:
            grown = Group(reader.number, reader.members | source.members)
            for kernel in grown.members:
                self._holders[kernel] -= {reader}
                self._holders[kernel].add(grown)
                if self.home[kernel] is reader:
                    self.home[kernel] = grown
        self._standing &= ~(1 << source.number)
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


def _numbered(keys: Iterator[Hashable]) -> list[int]:
    """A number for each key, the same for equal keys."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _bits(number: int) -> Iterator[int]:
    """The positions of the ones in a number."""
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest
