"""Which groups of kernels become one: greedily, producers first, while it is legal and pays."""

from collections.abc import Iterable, Sequence
from functools import cached_property

from xdsl.ir import SSAValue

from picograd.dialects.kernel import FusedOp
from picograd.passes.fusion.alignment import Alignment, RowAxes, align
from picograd.passes.fusion.body import Body
from picograd.passes.fusion.cost import LAUNCH, elements, repeated_work, traffic_of, work_of
from picograd.passes.fusion.graph import Graph, Group, Part
from picograd.passes.fusion.keeping import Keeping
from picograd.passes.rewriting.applications import applies
from picograd.quick_dataclasses import dataclass

# Fewer rows than this keep few cores busy: then results of full size stay out of a reduction's
# kernel, if they are large.
_FEW_ROWS = 16
_LARGE_RESULT = 1 << 14
# Kernels whose results are at most this large are joined for the launch alone, however they lie.
_SMALL_RESULT = 1 << 12


@dataclass(frozen=True)
class Limits:
    """What a kernel may be. `buffers` is 0 where there is no limit."""

    buffers: int
    ops: int
    epilogue: bool
    siblings: bool
    apart: bool
    """Whether the elements of a row may lie apart in memory, neighbours being those of other rows:
    threads of a GPU that have a row each then read side by side, but no vector of a CPU does."""
    keep: int
    """Bytes that may be alive together before kernels stay where they are for the sake of memory.
    """


def decide(graph: Graph, limits: Limits) -> None:
    """Join groups of a graph until nothing more is to be won."""
    _Decision(graph, limits).run()


class _Decision:
    """Decides which groups of a graph become one."""

    def __init__(self, graph: Graph, limits: Limits) -> None:
        self._graph = graph
        self._limits = limits
        self._keeping = Keeping(graph, limits.keep)
        # The same part is looked at with every neighbour that it may be joined with, and the
        # parts of one layer are those of the next.
        self._known: dict[tuple[int, ...], _Judgement] = {}

    def run(self) -> None:
        """Join groups until nothing more is to be won."""
        while self._copy_cheap(only_free=True):
            pass
        # A product takes what follows it first: a sum over columns that had taken some of it before
        # would leave the rest in memory, in parts. It does not take what it would have to write as
        # well, until it is clear that no reader computes that for itself.
        while self._join_chains(reducing=False, growing=False):
            pass
        while self._join_chains(growing=False):
            pass
        changed = True
        while changed:
            changed = self._join_chains()
            if self._limits.siblings:
                changed |= self._join_siblings()
            changed |= self._copy_cheap()

    def _join_chains(self, *, reducing: bool = True, growing: bool = True) -> bool:
        """Join kernels with those that read their results, producers first.

        If not `reducing`, readers that reduce are left for later; if not `growing`, those of a
        product that spare it no result.
        """
        changed = False
        for producer in range(len(self._graph.kernels)):
            for reader in self._graph.readers(producer):
                a, b = self._graph.home[producer], self._graph.home[reader]
                if a is b or producer in b.members:
                    continue
                if reducing or not self._judged(self._graph.part_of(b)).body.reductions:
                    changed |= self._join(a, b, growing=growing) is not None
        return changed

    def _join_siblings(self) -> bool:
        """Join kernels that read the same value, or are small and have the same rows."""
        alike: dict[object, list[Group]] = {}
        for group in self._graph.groups():
            for key in self._meeting_points(group):
                alike.setdefault(key, []).append(group)
        changed = False
        for groups in alike.values():
            changed |= self._join_some(groups)
        return changed

    def _meeting_points(self, group: Group) -> Iterable[object]:
        """Where a group may meet siblings: keys that are equal for those worth trying."""
        part = self._graph.part_of(group)
        own = self._judged(part)
        for number in own.shared:
            yield part.inputs[number]
        if own.is_small:
            yield own.rows

    def _join_some(self, groups: Sequence[Group]) -> bool:
        """Join each of `groups` with an earlier one where that is legal."""
        kept: list[Group] = []
        changed = False
        for group in groups:
            if not self._graph.is_current(group):
                continue
            for index, other in enumerate(kept):
                merged = None
                if self._graph.is_current(other) and not self._graph.depends(other, group):
                    merged = self._join(other, group)
                if merged is not None:
                    kept[index] = merged
                    changed = True
                    break
            else:
                kept.append(group)
        return changed

    def _copy_cheap(self, *, only_free: bool = False) -> bool:
        """Let all readers of a cheap kernel compute it themselves, so that it is not needed.

        `only_free` copies only what makes no reader read more than before.
        """
        changed = False
        for group in self._graph.groups():
            readers = self._graph.readers_of(group)
            if (
                len(readers) > 1
                and self._is_worth_copying(group, readers, only_free)
                and applies(self._copy_cheap, self._kernel_of(group))
            ):
                self._graph.copy_into(group, readers)
                changed = True
        return changed

    def _is_worth_copying(self, group: Group, readers: Sequence[Group], only_free: bool) -> bool:
        part = self._graph.part_of(group)
        own = self._judged(part)
        if own.body.reductions or not own.is_fusible:
            return False
        if any(map(self._graph.is_returned, part.outputs)):
            return False
        if any(self._graph.home[m] is not group for m in group.members):
            return False
        spent = (len(readers) - 1) * work_of(own.body)
        gain = LAUNCH + own.traffic
        for reader in readers:
            before = self._judged(self._graph.part_of(reader))
            after = self._judged(self._graph.part_with_copy(reader, group))
            repeated = after.repeated
            if repeated is None:
                return False
            spent += repeated - (before.repeated or 0)
            saved = before.traffic - after.traffic
            if only_free and saved < 0:
                return False
            gain += saved
        return spent <= gain

    def _join(self, a: Group, b: Group, *, growing: bool = True) -> Group | None:
        """Make one group of two if that is legal and pays; the new group, or None."""
        if self._graph.would_cycle(a, b) or self._keeping.would_grow(a, b):
            return None
        parts = [self._judged(self._graph.part_of(a)), self._judged(self._graph.part_of(b))]
        if not all(part.is_fusible for part in parts):
            return None
        if not self._limits.epilogue and parts[0].body.reductions and self._graph.depends(a, b):
            return None
        joined = self._graph.part_of(a, b)
        spares = set(self._graph.part_of(a).outputs) - set(joined.outputs)
        if not growing and parts[0].body.products and not spares:
            return None
        whole = self._judged(joined)
        repeated = whole.repeated
        if repeated is None:
            return None
        spent = repeated - sum(part.repeated or 0 for part in parts)
        gain = LAUNCH + sum(part.traffic for part in parts) - whole.traffic
        if spent > gain or not applies(self._join, self._kernel_of(a)):
            return None
        return self._graph.merge(a, b)

    def _kernel_of(self, group: Group) -> FusedOp:
        """The first kernel of a group."""
        return self._graph.kernels[min(group.members)]

    def _judged(self, part: Part) -> "_Judgement":
        """What is known of a part, and of all others of its form."""
        if part.form not in self._known:
            self._known[part.form] = _Judgement(self._graph, part, self._limits)
        return self._known[part.form]


class _Judgement:
    """What is known of a part's body, each thing found out once."""

    def __init__(self, graph: Graph, part: Part, limits: Limits) -> None:
        self.body = graph.body_of(part)
        self._graph = graph
        self._part = part
        self._limits = limits

    @cached_property
    def is_fusible(self) -> bool:
        """Whether it may be part of another."""
        return _is_fusible(self.body)

    @cached_property
    def traffic(self) -> int:
        """The cost of moving its inputs and outputs."""
        return traffic_of(self.body)

    @cached_property
    def repeated(self) -> int | None:
        """The work that it repeats; None if it can be no kernel."""
        body, most = self.body, self._limits.buffers
        if most and body.buffers() > most:
            return None
        if len(body.ops) > self._limits.ops or not _product_reads_memory(body):
            return None
        alignment = self.alignment
        if alignment is None:
            return None
        large = any(elements(value) > max(alignment.rows, _LARGE_RESULT) for value in body.results)
        if body.reductions and alignment.rows < _FEW_ROWS and large:
            return None
        if body.reductions and not self._limits.apart and self._lies_apart(alignment):
            return None
        return repeated_work(body, alignment)

    def _lies_apart(self, alignment: Alignment) -> bool:
        """Whether a large result has several elements in each row, which lie apart in memory and
        wait for a reduction of the row.

        Those that do not wait are written by the loop that reduces, a few rows side by side.
        """
        for value in self.body.results:
            lies = zip(alignment.strides[value], alignment.shapes[value], strict=True)
            axes = [stride for stride, size in lies if size > 1]
            large = elements(value) > max(alignment.rows, _SMALL_RESULT)
            if large and axes[-1] is not None and self._waits(value):
                return True
        return False

    def _waits(self, value: SSAValue) -> bool:
        """Whether a value is computed of what a reduction results in."""
        reductions = {op.result for op in self.body.reductions}
        pending, seen = [value], set[SSAValue]()
        while pending:
            one = pending.pop()
            if one in reductions:
                return True
            op = None if one in seen else self.body.defining(one)
            seen.add(one)
            if op is not None:
                pending += self.body.operands(op)
        return False

    @cached_property
    def alignment(self) -> Alignment | None:
        """How it lies in its rows."""
        return align(self.body)

    # What it may share with siblings

    @cached_property
    def rows(self) -> RowAxes | None:
        """The axes of its rows; None where it joins no siblings."""
        body = self.body
        if not self.is_fusible or body.products or self.alignment is None or not body.outputs:
            return None
        return self.alignment.row_axes(body.results[0])

    @cached_property
    def reduces(self) -> bool:
        """Whether a row of it combines several elements."""
        return bool(self.body.reductions)

    @cached_property
    def shared(self) -> list[int]:
        """The numbers of those of its inputs that are worth reading together with others."""
        if self.rows is None or self.alignment is None or self.alignment.rows <= 1:
            return []
        places = [
            self._graph.place_of(value)
            for value in self.body.inputs
            if elements(value) >= self.alignment.rows
        ]
        return [self._part.inputs.index(place) for place in places]

    @cached_property
    def is_small(self) -> bool:
        """Whether it is worth joining with any other of the same rows, for the launch alone."""
        if self.rows is None or self.alignment is None or self.reduces:
            return False
        return self.alignment.rows <= _SMALL_RESULT


def _is_fusible(body: Body) -> bool:
    """Whether a body may be part of another: neither scatters nor empty results."""
    return not body.is_sequential and all(map(elements, body.outputs))


def _product_reads_memory(body: Body) -> bool:
    """Whether a matmul or convolution, if any, is the only reduction and its operands are views of
    inputs."""
    if not body.products:
        return True
    if len(body.reductions) > 1:
        return False
    operands: tuple[SSAValue, ...] = body.operands(body.products[0])
    return all(body.is_load(operand) for operand in operands)
