"""Loop-level kernels as WGSL: one compute shader for each top-level grid-mapped loop.

A shader has two layers of code, and the emitter keeps them apart. *Group* code stands outside the
workgroup-mapped loops: every thread runs it alike, so barriers are allowed there, and only there.
*Thread* code is the body of a workgroup-mapped nest: each thread runs its own iteration, behind an
`if` when there are more threads than iterations. Values that group code computes are therefore
computed by every thread; stores to shared memory belong into thread code.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from xdsl.dialects import arith
from xdsl.ir import Block, Operation, SSAValue

from picograd.backends.wgsl import elements
from picograd.backends.wgsl.code import DispatchCode, KernelCode
from picograd.backends.wgsl.limits import Demand, check_limits
from picograd.backends.wgsl.mapping import (
    fold_grid,
    grid_dims,
    launches_of,
    nest_at,
    threads_of,
    trip_count,
)
from picograd.backends.wgsl.memory import MemoryWriter
from picograd.backends.wgsl.runtime import Limits
from picograd.backends.wgsl.status import (
    CHECKED_STATUS_BYTES,
    INSIDE_FUNCTION,
    REPORT,
    STATUS_BYTES,
    checked_index_function,
)
from picograd.backends.wgsl.text import value_type
from picograd.backends.wgsl.writer import Writer
from picograd.dialects.loop import (
    AllocOp,
    BarrierOp,
    CheckedIndexOp,
    Dim,
    ForOp,
    IfOp,
    IndexOp,
    KernelOp,
    LoadOp,
    ParallelOp,
    StoreOp,
    YieldOp,
    yielded,
)
from picograd.dialects.loop_syntax import memref_shape
from picograd.passes.insert_barriers import unguarded
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.mapping.nests import mapping_of
from picograd.semantics.access import Site


def emit_kernel(kernel: KernelOp, limits: Limits, *, sites: list[Site] | None = None) -> KernelCode:
    """The WGSL of a kernel that map_to_grid and the passes after it have prepared.

    With `sites`, to which its loads and stores are added, every access is checked, and memory is
    poisoned where its contents are of no use.

    Raises CompileError for IR that has no WGSL spelling or lacks a barrier, LimitError for a
    kernel that the device cannot run.
    """
    name = kernel.sym_name.data
    launches = launches_of(kernel)
    scratch = [op for op in kernel.body.block.ops if isinstance(op, AllocOp)]
    for place in unguarded(kernel):
        raise Writer(name, LoopFacts()).error(
            "threads would read and write the same memory without a barrier between them",
            "run insert_barriers before emitting",
            str(place).strip().partition("\n")[0],
        )
    dispatches = [
        _DispatchEmitter(
            kernel,
            launch,
            scratch,
            limits,
            name if len(launches) == 1 else f"{name}_{number}",
            sites,
        ).run()
        for number, launch in enumerate(launches, start=1)
    ]
    sizes = tuple(4 * max(1, math.prod(memref_shape(op.memref.type))) for op in scratch)
    return KernelCode(name, tuple(dispatches), sizes)


class _DispatchEmitter:
    """Writes one shader, from the top down."""

    def __init__(
        self,
        kernel: KernelOp,
        launch: ParallelOp,
        scratch: Sequence[AllocOp],
        limits: Limits,
        name: str,
        sites: list[Site] | None,
    ) -> None:
        self.kernel = kernel
        self.checked = sites is not None
        self.launch = launch
        self.limits = limits
        self.name = name
        self.facts = LoopFacts()
        self.writer = Writer(kernel.sym_name.data, self.facts)
        kernel_name = self.writer.kernel_name
        self.threads = threads_of(launch, self.facts, kernel_name)
        self.grid = grid_dims(launch)
        self.grid_counts = [trip_count(dim, self.facts, kernel_name) for dim in self.grid]
        self.grid_stride = math.prod(self.grid_counts)
        self.used = _values_used_by(launch)
        candidates = [*kernel.body.block.args, *(alloc.memref for alloc in scratch)]
        self.buffers = [n for n, memref in enumerate(candidates) if memref in self.used]
        # Not a `return` at the top: barriers must be reached by all threads, whatever they read.
        self.guarded = kernel.guarded is not None
        live = "pg_live" if self.guarded else ""
        bound = [candidates[n] for n in self.buffers]
        self.memory = MemoryWriter(self.writer, bound, live, sites)
        self.memory.threads = self.threads
        self.in_thread = False
        self.uses_status = self.guarded

    # The shader as a whole

    def run(self) -> DispatchCode:
        groups = self.grid_stride
        workgroups = fold_grid(groups, self.limits.max_workgroups)
        surplus = math.prod(workgroups) > groups
        with self.writer.braces(f"if (pg_group < {groups}i) {{" if surplus else ""):
            self._preamble()
            self._parallel_grid(self.launch)
        self.uses_status = self.uses_status or self.memory.uses_status
        sizes = [4 * array.count for _, array in self.memory.bindings()]
        demand = Demand(
            workgroup_bytes=sum(4 * array.count for array in self.memory.shared),
            threads=self.threads,
            bindings=len(sizes) + self.uses_status,
            largest_binding=max(sizes, default=0),
        )
        check_limits(self.name, demand, self.limits)
        return DispatchCode(
            self.name,
            self._assemble(workgroups),
            workgroups,
            self.threads,
            tuple(self.buffers),
            self.uses_status,
            self.memory.in_bounds,
        )

    def _preamble(self) -> None:
        """Constants and scalar loads that stand before the launch, as far as it uses them."""
        for op in self.kernel.body.block.ops:
            if op is self.launch:
                return
            needed = any(result in self.used for result in op.results)
            if needed and not op.regions and not isinstance(op, AllocOp):
                self._operation(op)

    def _assemble(self, workgroups: tuple[int, int, int]) -> str:
        counted = zip(self.grid, self.grid_counts, strict=True)
        loops = ", ".join(f"{dim.name or '?'} x {count}" for dim, count in counted)
        lines = [f"// kernel @{self.name}: workgroups {loops or '1'}, {self.threads} threads each"]
        binding = "@group(0) @binding({}) var<storage, read_write> {}: {};"
        for number, (memref, array) in enumerate(self.memory.bindings()):
            note = f"  // %{memref.name_hint or number}: {memref.type}"
            lines.append(binding.format(number, array.name, array.declared_type) + note)
        if self.uses_status:
            words = (CHECKED_STATUS_BYTES if self.checked else STATUS_BYTES) // 4
            status = f"array<atomic<i32>, {words}>"
            lines.append(binding.format(len(self.buffers), "pg_status", status))
            lines.append(checked_index_function(self.writer.kernel_name))
        if self.memory.uses_status:
            lines.append(INSIDE_FUNCTION)
        lines += [f"var<workgroup> {a.name}: {a.declared_type};" for a in self.memory.shared]
        lines += self.writer.helpers.declarations()
        row = "" if workgroups[1] == 1 else f" + i32(pg_workgroup.y) * {workgroups[0]}i"
        live = ["  let pg_live = atomicLoad(&pg_status[0]) == 0i;"] if self.guarded else []
        lines += [
            f"@compute @workgroup_size({self.threads})",
            "fn main(",
            "  @builtin(workgroup_id) pg_workgroup: vec3<u32>,",
            "  @builtin(local_invocation_index) pg_local: u32,",
            ") {",
            f"  let pg_group = i32(pg_workgroup.x){row};",
            "  let pg_thread = i32(pg_local);",
            *live,
            *self.writer.lines,
            *([REPORT] if self.memory.uses_status else []),
            "}",
        ]
        return "\n".join(lines) + "\n"

    # Blocks

    def _block(self, block: Block) -> None:
        for op in block.ops:
            if not isinstance(op, YieldOp):
                self._operation(op)

    def _operation(self, op: Operation) -> None:
        if isinstance(op, ParallelOp):
            self._parallel(op)
        elif isinstance(op, ForOp):
            self._for(op)
        elif isinstance(op, IfOp):
            self._if(op)
        elif isinstance(op, LoadOp):
            self.memory.load(op)
        elif isinstance(op, StoreOp):
            self.memory.store(op, in_thread=self.in_thread)
        elif isinstance(op, AllocOp):
            self.memory.alloc(op, in_thread=self.in_thread)
        elif isinstance(op, BarrierOp):
            self._barrier()
        else:
            self._element(op)

    # Loops

    def _parallel(self, op: ParallelOp) -> None:
        mapping = mapping_of(op)
        if mapping == "grid" and not self.in_thread:
            self._parallel_grid(op)
        elif mapping == "workgroup" and not self.in_thread:
            self._parallel_workgroup(op)
        elif mapping and mapping != "lanes":
            raise self.writer.error(
                f"a loop mapped to {mapping} cannot stand here",
                "run map_to_grid before emitting",
                f"loop {op.dims[0].name!r}",
            )
        else:
            # What vectorize_loops could not make tiles of stays a loop over elements.
            self._sequential(op, op.dims)

    def _parallel_grid(self, op: ParallelOp) -> None:
        guards: list[str] = []
        total = math.prod(self.grid_counts)
        for dim in op.dims:
            count = self.grid_counts[self.grid.index(dim)]
            self.grid_stride //= max(1, count)
            self._induction(dim, _part("pg_group", self.grid_stride, count, total), "grid")
            if not dim.is_constant:
                guards.append(f"{self.writer.names[dim.variable]} < {self.writer.upper(dim)}")
        with self.writer.braces(self.writer.guarded(guards)):
            self._block(op.body.block)

    def _parallel_workgroup(self, op: ParallelOp) -> None:
        nest = nest_at(op, self.facts, self.writer.kernel_name)
        stride = total = nest.iterations
        self.in_thread = True
        with self.writer.braces(f"if (pg_thread < {total}i) {{" if total < self.threads else "{"):
            guards: list[str] = []
            for dim, count in zip(nest.dims, nest.counts, strict=True):
                stride //= max(1, count)
                self._induction(dim, _part("pg_thread", stride, count, total), "workgroup")
                if not dim.is_constant:
                    guards.append(f"{self.writer.names[dim.variable]} < {self.writer.upper(dim)}")
            with self.writer.braces(self.writer.guarded(guards)):
                self._block(nest.body)
        self.in_thread = False

    def _induction(self, dim: Dim, place: str, mapping: str) -> None:
        """Define a loop variable that takes one value in each thread."""
        start = lower = self.writer.indices.text(dim.lower)
        if place != "0i":
            part = f"({place})" if " " in place else place
            scaled = place if dim.step == 1 else f"{part} * {dim.step}i"
            start = scaled if lower == "0i" else f"{lower} + {scaled}"
        name = self.writer.name("i", dim.variable, dim.name)
        self.writer.line(f"let {name} = {start};  // loop {dim.name or name} ({mapping})")

    def _sequential(self, op: ParallelOp, dims: Sequence[Dim]) -> None:
        if not dims:
            self._block(op.body.block)
            return
        with self._counted(dims[0]):
            self._sequential(op, dims[1:])

    @contextmanager
    def _counted(self, dim: Dim) -> Generator[None]:
        """A sequential loop over a dimension; no loop at all if it runs exactly once."""
        if dim.is_constant and self.facts.trips(dim) == 1:
            self._induction(dim, "0i", "once")
            yield
            return
        lower, upper = self.writer.indices.text(dim.lower), self.writer.upper(dim)
        name = self.writer.name("i", dim.variable, dim.name)
        head = f"for (var {name} = {lower}; {name} < {upper}; {name} += {dim.step}i) {{"
        with self.writer.braces(f"{head}  // loop {dim.name or name}"):
            yield

    def _for(self, op: ForOp) -> None:
        names = self.writer.names
        carried = [
            self.writer.variable("c", argument, names[init])
            for argument, init in zip(op.carried, op.inits, strict=True)
        ]
        with self._counted(op.dims[0]):
            self._block(op.body.block)
            self.writer.assign(carried, yielded(op.body.block))
        names.update(zip(op.outputs, carried, strict=True))

    def _if(self, op: IfOp) -> None:
        targets = [self.writer.variable("r", result) for result in op.outputs]
        self.writer.line(f"if ({self.writer.indices.text(op.condition)} >= 0i) {{")
        for number, block in enumerate((op.then.block, op.otherwise.block)):
            if number and len(block.ops) == 1 and not targets:
                break
            if number:
                self.writer.line("} else {")
            with self.writer.indented():
                self._block(block)
                self.writer.assign(targets, yielded(block))
        self.writer.line("}")

    def _barrier(self) -> None:
        if self.in_thread:
            raise self.writer.error(
                "a barrier inside a workgroup-mapped loop would not be reached by all threads",
                "place barriers between workgroup-mapped loops",
            )
        self.writer.line("workgroupBarrier();")
        ops = list(self.launch.walk())
        loaded = {op.memref for op in ops if isinstance(op, LoadOp)}
        stored = {op.memref for op in ops if isinstance(op, StoreOp)}
        if loaded & stored & set(self.memory.bound):
            self.writer.line("storageBarrier();")

    # Elements

    def _element(self, op: Operation) -> None:
        names, helpers = self.writer.names, self.writer.helpers
        if isinstance(op, arith.ConstantOp):
            texts = [elements.constant(op, helpers)]
        elif isinstance(op, IndexOp):
            # The name of a type is also its conversion.
            texts = [f"{value_type(op.result.type)}({self.writer.indices.text(op.expression)})"]
        elif isinstance(op, CheckedIndexOp):
            self.uses_status = True
            value_type(op.value.type)
            texts = [f"pg_checked_index({names[op.value]}, {op.size.value.data}i)"]
        else:
            texts = elements.expressions(op, [names[value] for value in op.operands], helpers)
        for result, text in zip(op.results, texts, strict=True):
            self.writer.line(f"let {self.writer.name('v', result)} = {text};")


def _values_used_by(launch: ParallelOp) -> set[SSAValue]:
    """Every value from outside a launch that it needs, directly or not."""
    used: set[SSAValue] = set()
    pending = [value for op in launch.walk() for value in op.operands]
    while pending:
        value = pending.pop()
        if value in used:
            continue
        used.add(value)
        if isinstance(value.owner, Operation) and value.owner.parent_op() is launch.parent_op():
            pending.extend(value.owner.operands)
    return used


def _part(number: str, stride: int, count: int, total: int) -> str:
    """One coordinate, below `count`, of a linear number below `total`."""
    if count <= 1:
        return "0i"
    text = number if stride == 1 else f"{number} / {stride}i"
    return text if stride * count == total else f"{text} % {count}i"


__all__ = ["DispatchCode", "KernelCode", "emit_kernel"]
