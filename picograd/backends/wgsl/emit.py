"""Loop-level kernels as WGSL: one compute shader for each top-level grid-mapped loop.

A shader has two layers of code, and the emitter keeps them apart. *Group* code stands outside the
workgroup-mapped loops: every thread runs it alike, so barriers are allowed there, and only there.
*Thread* code is the body of a workgroup-mapped nest: each thread runs its own iteration, behind an
`if` when there are more threads than iterations. Values that group code computes are therefore
computed by every thread; stores to shared memory belong into thread code.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.ir import Block, Operation, SSAValue

from picograd.backends.wgsl import elements
from picograd.backends.wgsl.arrays import (
    Array,
    SharedArray,
    dense_offset,
    private_array,
    relative_indices,
)
from picograd.backends.wgsl.indices import IndexWriter
from picograd.backends.wgsl.mapping import (
    fold_grid,
    grid_dims,
    launches_of,
    mapping_of,
    nest_at,
    threads_of,
    trip_count,
)
from picograd.backends.wgsl.runtime import Limits
from picograd.backends.wgsl.status import checked_index_function
from picograd.backends.wgsl.text import Helpers, identifier, memory_type, value_type
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
from picograd.dialects.loop_syntax import memref_type
from picograd.errors import CompileError, LimitError
from picograd.passes.loop_facts import LoopFacts


@dataclass(frozen=True)
class DispatchCode:
    """One compute shader and how to launch it.

    `buffers` are what its bindings are bound to, in order: the kernel's argument of that position,
    or, from `len(arguments)` on, the kernel's scratch buffers. The status word, if used, is last.
    """

    name: str
    text: str
    workgroups: tuple[int, int, int]
    threads: int
    buffers: tuple[int, ...]
    uses_status: bool


@dataclass(frozen=True)
class KernelCode:
    """A kernel's dispatches in order, and the bytes of each scratch buffer they share."""

    name: str
    dispatches: tuple[DispatchCode, ...]
    scratch_bytes: tuple[int, ...]

    @property
    def text(self) -> str:
        return "\n".join(dispatch.text for dispatch in self.dispatches)


def emit_kernel(kernel: KernelOp, limits: Limits) -> KernelCode:
    """The WGSL of a kernel that map_to_grid and the passes after it have prepared.

    Raises CompileError for IR that has no WGSL spelling, LimitError for a kernel that the device
    cannot run.
    """
    name = kernel.sym_name.data
    launches = launches_of(kernel)
    scratch = [op for op in kernel.body.block.ops if isinstance(op, AllocOp)]
    dispatches = [
        _DispatchEmitter(kernel, launch, scratch, limits, number, len(launches)).run()
        for number, launch in enumerate(launches)
    ]
    sizes = tuple(4 * max(1, math.prod(memref_type(op.memref).get_shape())) for op in scratch)
    return KernelCode(name, tuple(dispatches), sizes)


class _DispatchEmitter:
    """Writes one shader, from the top down."""

    def __init__(
        self,
        kernel: KernelOp,
        launch: ParallelOp,
        scratch: Sequence[AllocOp],
        limits: Limits,
        number: int,
        total: int,
    ) -> None:
        self.kernel = kernel
        self.kernel_name = kernel.sym_name.data
        self.launch = launch
        self.limits = limits
        self.name = self.kernel_name if total == 1 else f"{self.kernel_name}_{number + 1}"
        self.helpers = Helpers()
        self.names: dict[SSAValue, str] = {}
        self.facts = LoopFacts()
        self.indices = IndexWriter(self.names, self.facts, self.helpers)
        self.arrays: dict[SSAValue, Array] = {}
        self.lines: list[str] = []
        self.shared: list[SharedArray] = []
        self.depth = 1
        self.counter = 0
        self.in_thread = False
        self.uses_status = False
        self.threads = threads_of(launch, self.facts, self.kernel_name)
        self.grid = grid_dims(launch)
        self.grid_counts = [trip_count(dim, self.facts, self.kernel_name) for dim in self.grid]
        self.grid_stride = math.prod(self.grid_counts)
        self.used = self._shader_values()
        candidates = [*kernel.body.block.args, *(alloc.memref for alloc in scratch)]
        self.bound = [n for n, memref in enumerate(candidates) if memref in self.used]
        self.bound_memrefs = [candidates[n] for n in self.bound]

    def _shader_values(self) -> set[SSAValue]:
        """Every value from outside the launch that it needs, directly or not."""
        used: set[SSAValue] = set()
        pending = [value for op in self.launch.walk() for value in op.operands]
        while pending:
            value = pending.pop()
            if value in used:
                continue
            used.add(value)
            if isinstance(value.owner, Operation) and value.owner.parent_op() is self.kernel:
                pending.extend(value.owner.operands)
        return used

    # The shader as a whole

    def run(self) -> DispatchCode:
        for memref in self.bound_memrefs:
            type = memref_type(memref)
            name = self._new_name("b", memref)
            self.arrays[memref] = SharedArray(name, tuple(type.get_shape()), type.element_type)
        groups = self.grid_stride
        workgroups = fold_grid(groups, self.limits.max_workgroups)
        surplus = math.prod(workgroups) > groups
        with self._braces(f"if (pg_group < {groups}i) {{") if surplus else self._nothing():
            self._preamble()
            self._parallel_grid(self.launch)
        self._check_limits()
        return DispatchCode(
            self.name,
            self._assemble(workgroups),
            workgroups,
            self.threads,
            tuple(self.bound),
            self.uses_status,
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
        loops = ", ".join(
            f"{dim.name or '?'} x {count}"
            for dim, count in zip(self.grid, self.grid_counts, strict=True)
        )
        lines = [
            f"// kernel @{self.name}: grid of {loops or '1'} workgroups, {self.threads} threads each"
        ]
        for number, memref in enumerate(self.bound_memrefs):
            array = self.arrays[memref]
            assert isinstance(array, SharedArray)
            lines.append(
                f"@group(0) @binding({number}) var<storage, read_write> {array.name}: "
                f"{array.declared_type};  // %{memref.name_hint or number}: {memref.type}"
            )
        if self.uses_status:
            lines.append(
                f"@group(0) @binding({len(self.bound)}) var<storage, read_write> pg_status: "
                "array<atomic<i32>, 4>;"
            )
        lines += [f"var<workgroup> {a.name}: {a.declared_type};" for a in self.shared]
        if self.uses_status:
            lines.append(checked_index_function(self.kernel_name))
        lines += self.helpers.declarations()
        row = "" if workgroups[1] == 1 else f" + i32(pg_workgroup.y) * {workgroups[0]}i"
        lines += [
            f"@compute @workgroup_size({self.threads})",
            "fn main(",
            "  @builtin(workgroup_id) pg_workgroup: vec3<u32>,",
            "  @builtin(local_invocation_index) pg_local: u32,",
            ") {",
            f"  let pg_group = i32(pg_workgroup.x){row};",
            "  let pg_thread = i32(pg_local);",
            *self.lines,
            "}",
        ]
        return "\n".join(lines) + "\n"

    def _check_limits(self) -> None:
        limits = self.limits
        shared_bytes = sum(4 * array.count for array in self.shared)
        bindings = len(self.bound) + self.uses_status
        largest = max((4 * a.count for a in self._bound_arrays()), default=0)
        facts = (
            (
                "bytes of workgroup memory (max-compute-workgroup-storage-size)",
                shared_bytes,
                limits.max_workgroup_bytes,
                "stage smaller blocks: smaller sizes in tile_loops",
            ),
            (
                "threads in a workgroup (max-compute-invocations-per-workgroup)",
                self.threads,
                min(limits.max_invocations, limits.max_workgroup_size[0]),
                "run map_to_grid with fewer threads, or use larger register tiles",
            ),
            (
                "buffers in a kernel (max-storage-buffers-per-shader-stage)",
                bindings,
                limits.max_storage_buffers,
                "let fuse make smaller kernels: its target has a limit of buffers",
            ),
            (
                "bytes in one buffer (max-storage-buffer-binding-size)",
                largest,
                limits.max_binding_bytes,
                "use smaller tensors, or the device 'cpu'",
            ),
        )
        for what, found, most, remedy in facts:
            if found > most:
                raise LimitError(
                    f"kernel @{self.name} asks for more than the GPU has: {what}",
                    expected=f"at most {most}",
                    found=str(found),
                    hint=remedy,
                    where=f"kernel @{self.name}",
                )

    def _bound_arrays(self) -> Iterator[SharedArray]:
        for memref in self.bound_memrefs:
            array = self.arrays[memref]
            assert isinstance(array, SharedArray)
            yield array

    # Lines and names

    def _line(self, text: str) -> None:
        self.lines.append("  " * self.depth + text)

    @contextmanager
    def _braces(self, head: str) -> Generator[None]:
        self._line(head)
        self.depth += 1
        yield
        self.depth -= 1
        self._line("}")

    @contextmanager
    def _nothing(self) -> Generator[None]:
        yield

    def _new_name(self, prefix: str, value: SSAValue, hint: str = "") -> str:
        name = identifier(prefix, self.counter, hint or value.name_hint)
        self.counter += 1
        self.names[value] = name
        return name

    def _upper(self, dim: Dim) -> str:
        text = self.indices.text(dim.uppers[0])
        for upper in dim.uppers[1:]:
            text = f"min({text}, {self.indices.text(upper)})"
        return text

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
            self._load(op)
        elif isinstance(op, StoreOp):
            self._store(op)
        elif isinstance(op, AllocOp):
            self._alloc(op)
        elif isinstance(op, BarrierOp):
            self._barrier()
        else:
            self._element(op)

    def _fail(self, message: str, hint: str, found: object = "") -> CompileError:
        return CompileError(message, found=found, hint=hint, where=f"kernel @{self.kernel_name}")

    # Loops

    def _parallel(self, op: ParallelOp) -> None:
        mapping = mapping_of(op)
        if mapping == "grid" and not self.in_thread:
            self._parallel_grid(op)
        elif mapping == "workgroup" and not self.in_thread:
            self._parallel_workgroup(op)
        elif mapping:
            raise self._fail(
                f"a loop mapped to {mapping} cannot stand here",
                "run map_to_grid, vectorize_loops and unroll_tiles{lanes=1} before emitting",
                f"loop {op.dims[0].name!r}",
            )
        else:
            self._sequential(op, list(op.dims))

    def _parallel_grid(self, op: ParallelOp) -> None:
        guards: list[str] = []
        for dim in op.dims:
            count = self.grid_counts[self.grid.index(dim)]
            self.grid_stride //= max(1, count)
            place = _part("pg_group", self.grid_stride, count, math.prod(self.grid_counts))
            self._induction(dim, place, "grid")
            if not dim.is_constant:
                guards.append(f"{self.names[dim.variable]} < {self._upper(dim)}")
        with self._braces(f"if ({' && '.join(guards)}) {{") if guards else self._nothing():
            self._block(op.body.block)

    def _parallel_workgroup(self, op: ParallelOp) -> None:
        nest = nest_at(op, self.facts, self.kernel_name)
        total = nest.iterations
        head = f"if (pg_thread < {total}i) {{" if total < self.threads else "{"
        self.in_thread = True
        with self._braces(head):
            guards: list[str] = []
            stride = total
            for dim, count in zip(nest.dims, nest.counts, strict=True):
                stride //= max(1, count)
                self._induction(dim, _part("pg_thread", stride, count, total), "workgroup")
                if not dim.is_constant:
                    guards.append(f"{self.names[dim.variable]} < {self._upper(dim)}")
            with self._braces(f"if ({' && '.join(guards)}) {{") if guards else self._nothing():
                self._block(nest.body)
        self.in_thread = False

    def _induction(self, dim: Dim, place: str, mapping: str) -> None:
        lower = self.indices.text(dim.lower)
        start = lower
        if place != "0i":
            part = f"({place})" if " " in place else place
            scaled = place if dim.step == 1 else f"{part} * {dim.step}i"
            start = scaled if lower == "0i" else f"{lower} + {scaled}"
        name = self._new_name("i", dim.variable, dim.name)
        self._line(f"let {name} = {start};  // loop {dim.name or name} ({mapping})")

    def _sequential(self, op: ParallelOp, dims: list[Dim]) -> None:
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
        lower, upper = self.indices.text(dim.lower), self._upper(dim)
        name = self._new_name("i", dim.variable, dim.name)
        step = f"{name} += {dim.step}i"
        head = f"for (var {name} = {lower}; {name} < {upper}; {step}) {{"
        with self._braces(f"{head}  // loop {dim.name or name}"):
            yield

    def _for(self, op: ForOp) -> None:
        carried = [self._variable("c", argument) for argument in op.carried]
        for name, init in zip(carried, op.inits, strict=True):
            self._line(f"{name} = {self.names[init]};")
        with self._counted(op.dims[0]):
            self._block(op.body.block)
            self._assign(carried, yielded(op.body.block))
        for result, name in zip(op.outputs, carried, strict=True):
            self.names[result] = name

    def _variable(self, prefix: str, value: SSAValue) -> str:
        name = self._new_name(prefix, value)
        self._line(f"var {name}: {value_type(value.type)};")
        return name

    def _assign(self, targets: Sequence[str], values: Sequence[SSAValue]) -> None:
        """Assign all values at the same time: one that is itself a target is copied first."""
        texts: list[str] = []
        for target, value in zip(targets, values, strict=True):
            text = self.names[value]
            if text in targets and text != target:
                copy = identifier("t", self.counter, None)
                self.counter += 1
                self._line(f"let {copy} = {text};")
                text = copy
            texts.append(text)
        for target, text in zip(targets, texts, strict=True):
            if target != text:
                self._line(f"{target} = {text};")

    def _if(self, op: IfOp) -> None:
        targets = [self._variable("r", result) for result in op.outputs]
        self._line(f"if ({self.indices.text(op.condition)} >= 0i) {{")
        for number, block in enumerate((op.then.block, op.otherwise.block)):
            if number and len(block.ops) == 1 and not targets:
                break
            if number:
                self._line("} else {")
            self.depth += 1
            self._block(block)
            self._assign(targets, yielded(block))
            self.depth -= 1
        self._line("}")

    def _barrier(self) -> None:
        if self.in_thread:
            raise self._fail(
                "a barrier inside a workgroup-mapped loop would not be reached by all threads",
                "place barriers between workgroup-mapped loops",
            )
        self._line("workgroupBarrier();")
        if self._storage_is_shared():
            self._line("storageBarrier();")

    def _storage_is_shared(self) -> bool:
        """Whether this dispatch reads a storage buffer that it also writes."""
        loaded: set[SSAValue] = set()
        stored: set[SSAValue] = set()
        for op in self.launch.walk():
            if isinstance(op, LoadOp):
                loaded.add(op.memref)
            elif isinstance(op, StoreOp):
                stored.add(op.memref)
        return bool(loaded & stored & set(self.bound_memrefs))

    # Memory

    def _alloc(self, op: AllocOp) -> None:
        type = memref_type(op.memref)
        name = self._new_name("m", op.memref)
        if op.space == "workgroup":
            if self.in_thread:
                raise self._fail(
                    "workgroup memory cannot be allocated by one thread",
                    "allocate it outside the workgroup-mapped loops",
                    f"buffer {name}",
                )
            array = SharedArray(name, tuple(type.get_shape()), type.element_type)
            self.shared.append(array)
            self.arrays[op.memref] = array
            return
        if not self.in_thread and op.space != "private":
            raise self._fail(
                f"a buffer in space {op.space!r} cannot be shared by a workgroup's threads",
                'map_to_grid gives such buffers the space "workgroup" or "private"',
                f"buffer {name}",
            )
        array = private_array(op, name, self.facts, self.kernel_name)
        self.arrays[op.memref] = array
        for line in array.declarations(memory_type(type.element_type)):
            self._line(line)

    def _place(self, op: LoadOp | StoreOp) -> str:
        array = self.arrays[op.memref]
        if isinstance(array, SharedArray):
            place = self.facts.linearize(op.memref.type, op.indices)
            return f"{array.name}[{self.indices.text(place)}]"
        alloc = op.memref.owner
        assert isinstance(alloc, AllocOp)
        position = dense_offset(array.extents, relative_indices(op, alloc))
        if array.scalars:
            return f"{array.name}_{position.constant}"
        return f"{array.name}[{self.indices.text(position)}]"

    def _inside(self, op: LoadOp | StoreOp) -> str:
        return self.indices.inside(memref_type(op.memref).get_shape(), op.indices)

    def _load(self, op: LoadOp) -> None:
        type = value_type(op.result.type)
        value = self._place(op) + (" != 0u" if type == "bool" else "")
        condition = self._inside(op) if op.pad is not None else ""
        name = self._new_name("v", op.result)
        if not condition:
            self._line(f"let {name} = {value};")
            return
        self._line(f"var {name}: {type};")
        self._line(f"if ({condition}) {{ {name} = {value}; }}")

    def _store(self, op: StoreOp) -> None:
        array = self.arrays[op.memref]
        if not self.in_thread and isinstance(array, SharedArray):
            raise self._fail(
                "all threads of a workgroup would store to one place",
                "put the store into a workgroup-mapped loop of one iteration",
                str(op).strip(),
            )
        value = self.names[op.value]
        if value_type(op.value.type) == "bool":
            value = f"select(0u, 1u, {value})"
        condition = self._inside(op) if op.clip is not None else ""
        store = f"{self._place(op)} = {value};"
        self._line(f"if ({condition}) {{ {store} }}" if condition else store)

    # Elements

    def _element(self, op: Operation) -> None:
        if isinstance(op, arith.ConstantOp):
            texts = [elements.constant(op, self.helpers)]
        elif isinstance(op, IndexOp):
            # The declared type of an affine value is also its conversion.
            texts = [f"{value_type(op.result.type)}({self.indices.text(op.expression)})"]
        elif isinstance(op, CheckedIndexOp):
            self.uses_status = True
            value_type(op.value.type)
            texts = [f"pg_checked_index({self.names[op.value]}, {op.size.value.data}i)"]
        else:
            operands = [self.names[value] for value in op.operands]
            texts = elements.expressions(op, operands, self.helpers)
        for result, text in zip(op.results, texts, strict=True):
            self._line(f"let {self._new_name('v', result)} = {text};")


def _part(number: str, stride: int, count: int, total: int) -> str:
    """One coordinate, below `count`, of a linear number below `total`."""
    if count <= 1:
        return "0i"
    text = number if stride == 1 else f"{number} / {stride}i"
    return text if stride * count == total else f"{text} % {count}i"


__all__ = ["DispatchCode", "KernelCode", "emit_kernel"]
