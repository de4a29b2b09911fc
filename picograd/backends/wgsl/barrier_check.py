"""A missing barrier, looked for by running one workgroup of a kernel in NumPy.

The emitter refuses kernels in which the analysis of `insert_barriers` would still put a barrier.
Checked execution does not believe an analysis: it runs the first and the last workgroup of each
dispatch, with the threads that the shader would have, and notes which thread touches which element
of what the workgroup shares. Between two barriers (and from one step of a loop to the next) no
thread may touch what another has stored, or store to what another has touched.

Where an access goes follows from indices, hardly ever from data; so buffers hold zeros here, an
index from data is taken modulo its size, and of a long loop around barriers only the first steps
and the last one run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from xdsl.ir import SSAValue

from picograd.backends.wgsl.mapping import nest_at, threads_of
from picograd.dialects.dtypes import from_ir
from picograd.dialects.loop import (
    AllocOp,
    BarrierOp,
    CheckedIndexOp,
    Dim,
    KernelOp,
    LoadOp,
    ParallelOp,
    StoreOp,
    memref_type,
)
from picograd.errors import SanitizerError
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.mapping.nests import mapping_of
from picograd.semantics.access import site_of
from picograd.semantics.loop import Evaluator
from picograd.semantics.loop_elements import Array
from picograd.semantics.loop_frames import Frame, Memory
from picograd.semantics.loop_races import EVERYBODY, Log, Touch

LARGEST = 1 << 22
"""Elements of a buffer beyond which it is not watched: what is noted takes sixteen bytes each."""
FIRST_STEPS = 3
"""Steps of a sequential loop of the workgroup's that run, beside the last."""


def check_barriers(kernel: KernelOp) -> None:
    """Raise SanitizerError when two threads race for an element of what their workgroup shares."""
    evaluator = _Workgroup(kernel)
    frame = Frame(1)
    for argument in kernel.body.block.args:
        type = memref_type(argument)
        array = np.zeros((1, *type.get_shape()), from_ir(type.element_type).numpy)
        evaluator.memories[argument] = Memory(frame, array)
    with np.errstate(all="ignore"):
        evaluator.run(kernel.body.block, frame)


def _watched(kernel: KernelOp) -> set[SSAValue]:
    """The buffers that several threads see, and that somebody stores to and somebody loads."""
    ops = list(kernel.walk())
    loaded = {op.memref for op in ops if isinstance(op, LoadOp)}
    stored = {op.memref for op in ops if isinstance(op, StoreOp)}
    private = {op.memref for op in ops if isinstance(op, AllocOp) and op.space == "private"}
    return {
        memref
        for memref in (loaded & stored) - private
        if math.prod(memref_type(memref).get_shape()) <= LARGEST
    }


class _Workgroup(Evaluator):
    """Runs a kernel as one workgroup does, one after another."""

    def __init__(self, kernel: KernelOp) -> None:
        super().__init__(widen=False, races=None)
        self.watching = True
        self.threads = 1
        self.kernel = kernel
        self.watched = _watched(kernel)
        self.facts = LoopFacts()
        self.log = Log()
        self.nest: list[tuple[Dim, int]] = []
        """The dimensions of the nest that runs, each with the threads from one step to the next."""

    # Loops

    def parallel(self, op: ParallelOp, frame: Frame) -> None:
        mapping = mapping_of(op)
        if mapping == "grid":
            self._grid(op, frame)
        elif mapping == "workgroup" and not self.nest:
            nest = nest_at(op, self.facts, self.kernel.sym_name.data)
            stride = nest.iterations
            for dim, count in zip(nest.dims, nest.counts, strict=True):
                stride //= max(1, count)
                self.nest.append((dim, stride))
            super().parallel(op, frame)
            self.nest = []
        else:
            super().parallel(op, frame)

    def _grid(self, op: ParallelOp, frame: Frame) -> None:
        if op.parent_op() is self.kernel:
            self.threads = threads_of(op, self.facts, self.kernel.sym_name.data)
        bounds = [self.bounds(dim, frame) for dim in op.dims]
        total = int(np.prod([steps for _, steps in bounds], axis=0).sum())
        for first in sorted({0, total - 1}) if total else ():
            self.log = Log()
            self.run(op.body.block, self.spread(op.dims, frame, first, first + 1))

    def steps(self, dims: Sequence[Dim], frame: Frame) -> Iterator[Frame]:
        steps = super().steps(dims, frame)
        if self.nest:
            yield from steps
            return
        last: Frame | None = None
        for number, inner in enumerate(steps):
            last = inner
            if number < FIRST_STEPS:
                yield inner
                last = None
        if last is not None:
            yield last

    # Memory

    def checked_index(self, op: CheckedIndexOp, frame: Frame) -> None:
        values = self.get(op.value, frame).astype(np.int64)
        self.set(op.result, frame, values % op.size.value.data)

    def barrier(self, op: BarrierOp, frame: Frame) -> None:
        self.log = Log()

    def outside(self, op: LoadOp | StoreOp, axis: int, index: int) -> None:
        """It is clipped here: that it is wrong is told when the program runs."""

    def note(self, op: LoadOp | StoreOp, memory: Memory, frame: Frame, touch: Touch) -> None:
        # Memory that a thread allocates for itself has a copy for each.
        if op.memref not in self.watched or self.threads == 1 or len(memory.array) > 1:
            return
        clash = self.log.add(op, op.memref, memory, touch, self._threads(frame)[touch.rows])
        if clash is None:
            return
        site = site_of(op)
        raise SanitizerError(
            f"threads of a workgroup race for an element of %{site.buffer}: no barrier is between",
            code="PG612",
            expected="a barrier between a store and what other threads do to the same element",
            found=clash.told(site, "thread"),
            hint="run insert_barriers after everything that adds loops or buffers",
            where=f"kernel @{site.kernel}: {site.text}",
        )

    def _threads(self, frame: Frame) -> Array:
        """The number of the thread that runs each iteration of a frame."""
        if not self.nest:
            return np.full(frame.size, EVERYBODY)
        total = np.zeros(frame.size, np.int64)
        for dim, stride in self.nest:
            lower = self.linear(dim.lower, frame)
            total = total + (self.get(dim.variable, frame) - lower) // dim.step * stride
        return total
