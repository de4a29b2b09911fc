"""What the loop level means, in NumPy.

The iterations of a `loop.parallel` are independent, so its body runs once, on arrays over all of
them: every SSA value is an array whose first axis counts the iterations of all parallel loops
around it, and whose further axes are those of its register tile. Sequential loops run one step at
a time, for those iterations that still take part. A reduction is spread out like a parallel loop
while it is small, and runs step by step otherwise.

Local buffers start poisoned (NaN, the least integer, true), and an access out of bounds is an
error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects import loop
from picograd.dialects.affine import Atom, Counter, FloorDiv, Lane, Linear, Mod
from picograd.errors import IndexOutOfRange
from picograd.semantics.access import is_guarded, site_of
from picograd.semantics.loop_accesses import (
    Accesses,
    Dims,
    Results,
    Spreads,
    all_inside,
    broadcast,
    constant_index,
    lanes,
)
from picograd.semantics.loop_elements import (
    COMBINERS,
    PREDICATES,
    Array,
    ElementRules,
    convert_elements,
    element_dtype,
    evaluate_element_op,
    poisoned,
)
from picograd.semantics.loop_frames import (
    Frame,
    Memory,
    rows_within,
    seen_as,
    subset,
    trip_counts,
    updated,
)
from picograd.semantics.loop_races import Races, Touch

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


class Evaluator:
    """Runs bodies; holds the value of every SSA value and the contents of every buffer.

    `bounds_loop` has one whose floats carry error bounds along.
    """

    def __init__(self, widen: bool, races: Races | None = None):
        self.widen = widen
        self.races = races
        self.watching = races is not None
        self.values: dict[SSAValue, tuple[Frame, Array]] = {}
        self.memories: dict[SSAValue, Memory] = {}
        self.accesses = Accesses()
        self.dims = Dims()
        self.rules = ElementRules(widen=widen)
        self.spreads = Spreads()
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

    # Values and index expressions

    def get(self, value: SSAValue, frame: Frame) -> Array:
        """The array of a value, as the iterations of a frame see it."""
        owner, array = self.values[value]
        if owner is frame or len(array) == 1:
            return array
        rows = rows_within(frame, owner)
        return array if rows is None else array[rows]

    def set(self, value: SSAValue, frame: Frame, array: Array) -> None:
        self.values[value] = (frame, array)

    def linear(self, expression: Linear, frame: Frame, shape: Sequence[int] = ()) -> Array:
        """An index expression for every iteration and every lane; axes may have length 1."""
        total: Array | None = None
        for atom, coefficient in expression.terms.items():
            term = self.atom(atom, frame, shape)
            term = term if coefficient == 1 else term * coefficient
            total = term if total is None else total + term
        if total is None:
            return constant_index(expression.constant, len(shape))
        return total + expression.constant if expression.constant else total

    def atom(self, atom: Atom, frame: Frame, shape: Sequence[int]) -> Array:
        if isinstance(atom, Lane):
            return lanes(atom.axis, tuple(shape))
        if isinstance(atom, FloorDiv):
            return self.linear(atom.expression, frame, shape) // atom.by
        if isinstance(atom, Mod):
            return self.linear(atom.expression, frame, shape) % atom.by
        if isinstance(atom, Counter):
            raise TypeError("a loop's counter has no place in the IR")
        array = frame.seen.get(atom)
        if array is None:
            array = frame.seen[atom] = self.get(atom, frame)
        return array.reshape(len(array), *(1,) * len(shape)) if shape else array

    def bounds(self, dim: loop.Dim, frame: Frame) -> tuple[Array, Array]:
        """First index and number of steps of a loop dimension, for every iteration of a frame."""
        lower = self.linear(dim.lower, frame)
        upper = self.linear(dim.uppers[0], frame)
        for other in dim.uppers[1:]:
            upper = np.minimum(upper, self.linear(other, frame))
        steps = np.maximum(0, -((lower - upper) // dim.step))
        size = (frame.size,)
        return broadcast(lower, size), broadcast(steps, size)

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

    def whole(self, value: SSAValue, frame: Frame) -> Array:
        """A value with one entry for every iteration of a frame."""
        array = self.get(value, frame)
        return broadcast(array, (frame.size, *array.shape[1:]))

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

    # Memory

    def alloc(self, op: loop.AllocOp, frame: Frame) -> None:
        type = loop.memref_type(op.memref)
        shape = (frame.size, *type.get_shape())
        self.memories[op.memref] = Memory(frame, poisoned(shape, type, widen=self.widen))

    def places(
        self,
        op: loop.LoadOp | loop.StoreOp,
        frame: Frame,
        shape: Sequence[int],
    ) -> tuple[Array, tuple[Array, ...], Array | None]:
        """The buffer, where in it (the copy of the buffer first), and which places are inside.

        The last is None when all are; where it is false, the places are moved inside.
        """
        access = self.accesses[op]
        memory = self.memories[access.memref]
        one = memory.frame.size == 1
        rows = None if one else rows_within(frame, memory.frame)
        indices = [self.linear(index, frame, shape) for index in access.indices]
        extents = memory.array.shape[1:]
        inside: Array | None = None
        for axis, (index, extent) in enumerate(zip(indices, extents, strict=True)):
            if all_inside(index, extent):
                continue
            good = (index >= 0) & (index < extent)
            inside = good if inside is None else inside & good
            if not is_guarded(op):
                self.outside(op, axis, int(index[~good][0]))
            indices[axis] = np.clip(index, 0, max(0, extent - 1))
        if one:
            first = constant_index(0, len(shape))
        else:
            copies = np.arange(memory.frame.size) if rows is None else rows
            first = copies.reshape(len(copies), *(1,) * len(shape))
        if self.watching:
            touch = Touch.of(memory.array, frame, (first, *indices), inside, shape)
            self.note(op, memory, frame, touch)
        return memory.array, (first, *indices), inside

    def outside(self, op: loop.LoadOp | loop.StoreOp, axis: int, index: int) -> None:
        """Called for an access out of bounds that is not guarded."""
        raise site_of(op).violation(axis, index)

    def note(
        self, op: loop.LoadOp | loop.StoreOp, memory: Memory, frame: Frame, touch: Touch
    ) -> None:
        """Look at an access, if `watching`."""
        if self.races is not None:
            self.races.access(op, memory, frame, touch)

    def load(self, op: loop.LoadOp, frame: Frame) -> None:
        shape = self.accesses[op].shape
        array, places, inside = self.places(op, frame, shape)
        if array.size == 0 and inside is not None:
            values = np.zeros((1, *shape), array.dtype)
        else:
            values = array[places]
            if inside is not None:
                values = np.where(inside, values, array.dtype.type(0))
        # Indices without lanes leave axes of length 1, which must have the tile's full extent.
        self.set(self.accesses[op].value, frame, broadcast(values, (len(values), *shape)))

    def store(self, op: loop.StoreOp, frame: Frame) -> None:
        shape = self.accesses[op].shape
        array, places, inside = self.places(op, frame, shape)
        full = (frame.size, *shape)
        values = broadcast(self.get(self.accesses[op].value, frame), full)
        if inside is None:
            array[tuple(broadcast(place, full) for place in places)] = values
            return
        kept = np.broadcast_to(inside, full)
        array[tuple(np.broadcast_to(place, full)[kept] for place in places)] = values[kept]

    def checked_index(self, op: loop.CheckedIndexOp, frame: Frame) -> None:
        values = self.get(op.value, frame).astype(np.int64)
        size = op.size.value.data
        wrong = (values < 0) | (values >= size)
        if wrong.any():
            raise IndexOutOfRange.in_data(int(values[wrong][0]), size)
        self.set(op.result, frame, values)

    # Elements and tiles

    def element_op(self, op: Operation, frame: Frame) -> None:
        rule, operands, result = self.rules[op]
        arguments = [self.get(value, frame) for value in operands]
        array = rule(*arguments)
        self.set(result, frame, array if operands else array[np.newaxis])

    def index(self, op: loop.IndexOp, frame: Frame) -> None:
        shape = loop.tile_shape(op.result.type)
        values = self.linear(op.expression, frame, shape)
        dtype = element_dtype(op.result.type, widen=self.widen)
        self.set(op.result, frame, np.broadcast_to(values, (len(values), *shape)).astype(dtype))

    def compare(self, op: loop.CompareOp, frame: Frame) -> None:
        rule = PREDICATES[op.predicate.data]
        self.set(op.result, frame, rule(self.get(op.left, frame), self.get(op.right, frame)))

    def select(self, op: loop.SelectOp, frame: Frame) -> None:
        arrays = [self.get(value, frame) for value in op.operands]
        self.set(op.result, frame, np.where(*arrays))

    def convert(self, op: loop.ConvertOp, frame: Frame) -> None:
        values = self.get(op.value, frame)
        array = convert_elements(op.kind.data, values, op.result.type, widen=self.widen)
        self.set(op.result, frame, array)

    def broadcast(self, op: loop.BroadcastOp, frame: Frame) -> None:
        source, places, result, shape = self.spreads[op]
        value = self.get(source, frame)
        self.set(result, frame, broadcast(value[places], (len(value), *shape)))

    def fold(self, op: loop.FoldOp, frame: Frame) -> None:
        ufunc: Any = COMBINERS[op.kind.data]
        value = self.get(op.value, frame)
        self.set(op.result, frame, ufunc.reduce(value, axis=-1, dtype=value.dtype))

    def shuffle(self, op: loop.ShuffleOp, frame: Frame) -> None:
        left, right = self.get(op.left, frame), self.get(op.right, frame)
        rows = max(len(left), len(right))
        both = np.concatenate(
            [np.broadcast_to(array, (rows, array.shape[1])) for array in (left, right)], axis=1
        )
        lanes = op.lanes.get_values()
        result = both[:, [max(lane, 0) for lane in lanes]]
        free = [position for position, lane in enumerate(lanes) if lane < 0]
        if free:
            result[:, free] = poisoned((), op.result.type, widen=self.widen)
        self.set(op.result, frame, result)

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
