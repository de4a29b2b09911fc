"""What the loop level means, in NumPy.

The iterations of a `loop.parallel` are independent, so its body runs once, on arrays over all of
them: every SSA value is an array whose first axis counts the iterations of all parallel loops
around it, and whose further axes are those of its register tile. Sequential loops run one step at
a time, for those iterations that still take part. A reduction is spread out like a parallel loop
while it is small, and runs step by step otherwise. Here are the loops; ops inside of them are in
`loop_tile_rules` and `loop_memory_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects import loop
from picograd.semantics.loop_accesses import Dims, Results, broadcast
from picograd.semantics.loop_elements import COMBINERS, Array, element_dtype, evaluate_element_op
from picograd.semantics.loop_frames import Frame, Memory, seen_as, subset, trip_counts, updated
from picograd.semantics.loop_memory_rules import MemoryRules
from picograd.semantics.loop_races import Races
from picograd.semantics.loop_tile_rules import TileRules

Combiner: TypeAlias = Callable[[list[Array], list[Array], "Array | None"], list[Array]]
"""Combines two lists of arrays over those iterations of the reduction's frame that are given."""

PARALLEL_CHUNK = 1 << 18
"""The most iterations that a parallel loop runs at once: bounds what memory evaluation takes."""

SPREAD_LIMIT = 1 << 15
"""The most iterations up to which a reduction is spread out instead of run step by step."""


def run_kernel(
    kernel: loop.KernelOp,
    arrays: Sequence[Array],
    *,
    widen: bool = False,
    sanitize: bool = False,
) -> None:
    """Run one kernel on NumPy arrays of its arguments' sizes, writing to them in place.

    Raises SanitizerError for an access out of bounds (and with `sanitize` for a race) and
    IndexOutOfRange for a checked index outside its range.
    """
    frame = Frame(1)
    evaluator = Evaluator(widen, Races() if sanitize else None)
    for argument, array in zip(kernel.body.block.args, arrays, strict=True):
        evaluator.memories[argument] = Memory(frame, seen_as(array, argument)[np.newaxis])
    with np.errstate(all="ignore"):
        evaluator.run(kernel.body.block, frame)


class Evaluator(MemoryRules, TileRules):
    """Runs bodies; holds the value of every SSA value and the contents of every buffer.

    `bounds_loop` has one whose floats carry error bounds along.
    """

    def __init__(self, widen: bool, races: Races | None):
        super().__init__(widen, races)
        self.dims = Dims()
        self.results = Results()
        self.bodies: dict[Block, list[tuple[Callable[[Any, Frame], None], Operation]]] = {}
        """What runs for each op of a body, looked up when it first runs."""

    def run(self, block: Block, frame: Frame) -> list[Array]:
        """Run a body once for all iterations of a frame; the arrays that it yields."""
        body = self.bodies.get(block)
        if body is None:
            ops = [op for op in block.ops if type(op) is not loop.YieldOp]
            body = [(getattr(self, RULES.get(type(op), "element_op")), op) for op in ops]
            self.bodies[block] = body
        for rule, op in body:
            rule(op, frame)
        return [self.get(value, frame) for value in self.results[block]]

    # Loops

    def spread(self, dims: Sequence[loop.Dim], frame: Frame, first: int, last: int) -> Frame:
        """Iterations first to last - 1 of a loop, all outer iterations' one after the other."""
        bounds = [self.bounds(dim, frame) for dim in dims]
        ends = np.cumsum(trip_counts(bounds))
        positions = np.arange(first, last)
        rows = np.searchsorted(ends, positions, side="right")
        rest = positions - np.concatenate([[0], ends])[rows]
        inner = Frame(last - first, frame, rows)
        for dim, (lower, steps) in zip(reversed(dims), reversed(bounds), strict=True):
            rest, place = np.divmod(rest, steps[rows])
            self.set(dim.variable, inner, lower[rows] + place * dim.step)
        return inner

    def parallel(self, op: loop.ParallelOp, frame: Frame) -> None:
        dims = self.dims[op]
        total = int(trip_counts([self.bounds(dim, frame) for dim in dims]).sum())
        if self.races is not None:
            self.races.enter(op)
        for first in range(0, total, PARALLEL_CHUNK):
            last = min(first + PARALLEL_CHUNK, total)
            inner = self.spread(dims, frame, first, last)
            if self.races is not None:
                self.races.run(inner, first)
            self.run(op.body.block, inner)
        if self.races is not None:
            self.races.leave()

    def steps(self, dims: Sequence[loop.Dim], frame: Frame) -> Iterator[Frame]:
        """One frame for each step of a sequential loop, holding those iterations that take it."""
        bounds = [self.bounds(dim, frame) for dim in dims]
        extents = [int(steps.max(initial=0)) for _, steps in bounds]
        alike = all(int(s.min(initial=e)) == e for (_, s), e in zip(bounds, extents, strict=True))
        for position in np.ndindex(*extents):
            if alike and frame.size:
                inner = Frame(frame.size, frame)
            else:
                active = np.ones(frame.size, np.bool_)
                for place, (_, steps) in zip(position, bounds, strict=True):
                    active &= place < steps
                inner = subset(frame, active)
            if inner is None:
                continue
            for place, dim, (lower, _) in zip(position, dims, bounds, strict=True):
                starts = lower if inner.rows is None else lower[inner.rows]
                self.set(dim.variable, inner, starts + place * dim.step)
            yield inner

    def sequential(self, op: loop.ForOp, frame: Frame) -> None:
        carried = [self.whole(value, frame) for value in op.inits]
        arguments = op.carried
        for inner in self.steps(self.dims[op], frame):
            for argument, array in zip(arguments, carried, strict=True):
                self.set(argument, inner, array if inner.rows is None else array[inner.rows])
            results = self.run(op.body.block, inner)
            carried = [
                updated(array, inner, new) for array, new in zip(carried, results, strict=True)
            ]
        for result, array in zip(op.outputs, carried, strict=True):
            self.set(result, frame, array)

    def reduce(self, op: loop.ReduceOp, frame: Frame) -> None:
        start = [
            np.broadcast_to(identity, (frame.size, *loop.tile_shape(result.type)))
            for identity, result in zip(self.identities(op, frame), op.outputs, strict=True)
        ]
        combine = self.combiner(op, frame)
        counts = trip_counts([self.bounds(dim, frame) for dim in self.dims[op]])
        if op.kind is not None and int(counts.sum()) <= SPREAD_LIMIT:
            totals = self.reduce_spread(op, frame, counts, start)
        else:
            totals = self.reduce_steps(op, frame, start)
        if op.inits:
            totals = combine([self.whole(value, frame) for value in op.inits], totals, None)
        for result, array in zip(op.outputs, totals, strict=True):
            self.set(result, frame, array)

    def identities(self, op: loop.ReduceOp, frame: Frame) -> list[Array]:
        if op.kind is None:
            return [_leading(self.get(value, frame), value) for value in op.identities]
        constant = loop.identity(op.kind.data, op.outputs[0].type)
        array = evaluate_element_op(constant, [], widen=self.widen)
        return [array.reshape([1] * (1 + loop.tile_rank(op.outputs[0].type)))]

    def combiner(self, op: loop.ReduceOp, frame: Frame) -> Combiner:
        if op.kind is not None:
            rule = COMBINERS[op.kind.data]
            return lambda left, right, rows: [rule(left[0], right[0])]
        region = op.combiner
        assert region is not None
        block = region.block

        def run(left: list[Array], right: list[Array], rows: Array | None) -> list[Array]:
            inner = Frame(len(left[0]), frame, rows)
            for argument, array in zip(block.args, [*left, *right], strict=True):
                self.set(argument, inner, array)
            results = self.run(block, inner)
            return [np.broadcast_to(r, l.shape) for r, l in zip(results, left, strict=True)]

        return run

    def reduce_steps(self, op: loop.ReduceOp, frame: Frame, totals: list[Array]) -> list[Array]:
        combine = self.combiner(op, frame)
        for inner in self.steps(self.dims[op], frame):
            new = self.run(op.body.block, inner)
            rows = inner.rows
            old = totals if rows is None else [array[rows] for array in totals]
            new = [broadcast(n, o.shape) for n, o in zip(new, old, strict=True)]
            combined = combine(old, new, rows)
            totals = [updated(t, inner, c) for t, c in zip(totals, combined, strict=True)]
        return totals

    def reduce_spread(
        self, op: loop.ReduceOp, frame: Frame, counts: Array, totals: list[Array]
    ) -> list[Array]:
        total = int(counts.sum())
        if total == 0:
            return totals
        inner = self.spread(self.dims[op], frame, 0, total)
        (values,) = self.run(op.body.block, inner)
        values = np.broadcast_to(values, (inner.size, *values.shape[1:]))
        result = totals[0].copy()
        filled = counts > 0
        starts = (np.cumsum(counts) - counts)[filled]
        assert op.kind is not None
        ufunc: Any = COMBINERS[op.kind.data]
        result[filled] = ufunc.reduceat(values, starts, axis=0, dtype=values.dtype)
        return [result]

    def branch(self, op: loop.IfOp, frame: Frame) -> None:
        taken = np.broadcast_to(self.linear(op.condition, frame) >= 0, frame.size)
        results = [
            np.zeros(
                (frame.size, *loop.tile_shape(result.type)),
                element_dtype(result.type, widen=self.widen),
            )
            for result in op.outputs
        ]
        for region, active in ((op.then, taken), (op.otherwise, ~taken)):
            inner = subset(frame, active)
            if inner is None:
                continue
            found = self.run(region.block, inner)
            results = [updated(old, inner, new) for old, new in zip(results, found, strict=True)]
        for result, array in zip(op.outputs, results, strict=True):
            self.set(result, frame, array)

    def barrier(self, op: loop.BarrierOp, frame: Frame) -> None:
        """Iterations run in step anyway."""


RULES: Mapping[type[Operation], str] = {
    loop.ParallelOp: "parallel",
    loop.ForOp: "sequential",
    loop.ReduceOp: "reduce",
    loop.IfOp: "branch",
    loop.AllocOp: "alloc",
    loop.LoadOp: "load",
    loop.StoreOp: "store",
    loop.CheckedIndexOp: "checked_index",
    loop.IndexOp: "index",
    loop.CompareOp: "compare",
    loop.SelectOp: "select",
    loop.ConvertOp: "convert",
    loop.BroadcastOp: "broadcast",
    loop.FoldOp: "fold",
    loop.ShuffleOp: "shuffle",
    loop.BarrierOp: "barrier",
}
"""The method of the evaluator that runs each op that is no arithmetic."""


def _leading(array: Array, value: SSAValue) -> Array:
    """An array whose first axis counts iterations, for a value that may lack that axis."""
    return array if array.ndim > loop.tile_rank(value.type) else array[np.newaxis]
