"""What one dispatch looks like: its grid of workgroups, its threads, and each thread's share.

Grid-mapped loops, whichever they are, share one linear workgroup number, and workgroup-mapped
nests one linear thread number; both are taken apart again with division by constants. That keeps
every kernel in one shape, whatever the rank of its loops.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from xdsl.ir import Block, Operation

from picograd.dialects.loop import Dim, KernelOp, ParallelOp, YieldOp
from picograd.errors import CompileError, LimitError
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.mapping.nests import mapping_of
from picograd.quick_dataclasses import dataclass


def trip_count(dim: Dim, facts: LoopFacts, kernel: str) -> int:
    """The greatest number of iterations of a mapped dimension. Raises CompileError."""
    trips = facts.trips(dim)
    if trips is None:
        raise CompileError(
            f"the mapped loop {dim.name!r} has no constant bound on its number of iterations",
            code="PG609",
            expected="upper bounds at a constant distance from the lower bound",
            found=f"from {dim.lower!r} to {', '.join(map(repr, dim.uppers))}",
            hint="map another loop to the grid or the workgroup, or tile this one first",
            where=f"kernel @{kernel}",
        )
    return trips


@dataclass(frozen=True)
class Nest:
    """Workgroup-mapped loops directly inside one another: one iteration for each thread."""

    loops: tuple[ParallelOp, ...]
    counts: tuple[int, ...]

    @property
    def dims(self) -> list[Dim]:
        return [dim for loop in self.loops for dim in loop.dims]

    @property
    def body(self) -> Block:
        return self.loops[-1].body.block

    @property
    def iterations(self) -> int:
        return math.prod(self.counts)


def nest_at(outer: ParallelOp, facts: LoopFacts, kernel: str) -> Nest:
    """The perfect nest of workgroup-mapped loops whose outermost one is given."""
    loops = [outer]
    while True:
        inner = [op for op in loops[-1].body.block.ops if not isinstance(op, YieldOp)]
        if len(inner) != 1 or mapping_of(inner[0]) != "workgroup":
            break
        assert isinstance(inner[0], ParallelOp)
        loops.append(inner[0])
    counts = [trip_count(dim, facts, kernel) for loop in loops for dim in loop.dims]
    return Nest(tuple(loops), tuple(counts))


def nests_in(op: Operation, facts: LoopFacts, kernel: str) -> Iterator[Nest]:
    """All outermost workgroup-mapped nests inside an operation."""
    for region in op.regions:
        for block in region.blocks:
            for inner in block.ops:
                if mapping_of(inner) == "workgroup":
                    assert isinstance(inner, ParallelOp)
                    yield nest_at(inner, facts, kernel)
                else:
                    yield from nests_in(inner, facts, kernel)


def threads_of(launch: ParallelOp, facts: LoopFacts, kernel: str) -> int:
    """The size of a dispatch's workgroups: its largest workgroup-mapped nest, at least 1."""
    return max((nest.iterations for nest in nests_in(launch, facts, kernel)), default=1)


def grid_dims(launch: ParallelOp) -> list[Dim]:
    """The dimensions of all grid-mapped loops of a dispatch, outermost first."""
    return [
        dim
        for op in launch.walk()
        if isinstance(op, ParallelOp) and mapping_of(op) == "grid"
        for dim in op.dims
    ]


def fold_grid(groups: int, limit: int) -> tuple[int, int, int]:
    """A grid of at least `groups` workgroups with at most `limit` in each dimension.

    Two dimensions are enough for 4,294,836,225 workgroups; their product may exceed `groups`, and
    the kernel then lets the surplus workgroups do nothing.
    """
    if groups <= limit:
        return groups, 1, 1
    rows = -(-groups // limit)
    if rows > limit:
        raise LimitError(
            "a kernel needs more workgroups than a GPU can launch",
            code="PG308",
            expected=f"at most {limit * limit} workgroups",
            found=str(groups),
            hint="let each workgroup do more, with larger sizes in tile_loops or map_to_grid",
        )
    return -(-groups // rows), rows, 1


def launches_of(kernel: KernelOp) -> list[ParallelOp]:
    """The top-level grid-mapped loops of a kernel, in order: each is one dispatch.

    Raises CompileError when another kind of loop stands at the top.
    """
    name = kernel.sym_name.data
    launches: list[ParallelOp] = []
    for op in kernel.body.block.ops:
        if mapping_of(op) == "grid":
            assert isinstance(op, ParallelOp)
            launches.append(op)
        elif op.regions:
            raise CompileError(
                f"{op.name} at the top of a GPU kernel is not mapped to the grid",
                code="PG609",
                expected="loop.parallel … mapping grid",
                found=mapping_of(op) or "no mapping",
                hint="run map_to_grid before emitting",
                where=f"kernel @{name}",
            )
    return launches
