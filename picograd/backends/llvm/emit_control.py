"""Loops and branches as LLVM text, and loops that threads share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from picograd.backends.llvm import emit_elements, emit_memory, emit_tiles, types
from picograd.backends.llvm.emit_address import linear
from picograd.backends.llvm.emitted import POOL, THREADS
from picograd.backends.llvm.function import Function, Level
from picograd.dialects.affine import Linear
from picograd.dialects.loop import (
    Dim,
    ForOp,
    IfOp,
    ParallelOp,
    ReduceOp,
    YieldOp,
    yielded,
)
from picograd.dialects.loop_nests import REPEAT
from picograd.dialects.quick import values_in
from picograd.errors import CompileError
from picograd.quick_dataclasses import dataclass
from picograd.semantics.access import Site

RULES = {**emit_elements.RULES, **emit_tiles.RULES, **emit_memory.RULES}
"""How to emit each operation that holds no other operations."""


_BARRIER = 'call void asm sideeffect "", ""()'
"""No instruction, but no load moves across it, so that one body's need no registers in another."""


def symbol(name: str) -> str:
    """The symbol of a kernel's function; no library's, even of a kernel called exp."""
    return f"kernel.{name}"


class Kernel:
    """The functions that one kernel becomes: itself, and the body of each loop for threads."""

    def __init__(
        self, name: str, declarations: set[str], comment: str, sites: list[Site] | None = None
    ) -> None:
        self.name = name
        self.declarations = declarations
        self.sites = sites
        self.comment = comment
        self.bodies: list[str] = []
        self.thread_scratch = 0
        self.parallel_loops = 0

    def block(self, f: Function, block: Block) -> None:
        """Emit the operations of a body. Its local buffers are free again afterwards."""
        used = f.scratch.used
        for op in block.ops:
            self._operation(f, op)
        f.scratch.used = used

    def _operation(self, f: Function, op: Operation) -> None:
        rule = RULES.get(type(op))
        if rule is not None:
            rule(f, op)
        elif isinstance(op, ParallelOp):
            if op.mapping is not None and op.mapping.data == "threads" and f.worker is None:
                self._shared_loop(f, op)
            else:
                self._nest(f, op, op.dims)
        elif isinstance(op, ForOp):
            self._for(f, op)
        elif isinstance(op, IfOp):
            self._branch(f, op)
        elif not isinstance(op, YieldOp):
            raise _unsupported(op)

    # Loops

    def _nest(self, f: Function, op: ParallelOp, dims: Sequence[Dim]) -> None:
        """One loop for each dimension, one inside another."""
        if not dims:
            self.block(f, op.body.block)
            return
        run = _whole(f, dims[0])
        self._loop(f, dims[0], run, [], [], lambda: self._nest(f, op, dims[1:]), list)

    def _for(self, f: Function, op: ForOp) -> None:
        results = [f.names[value] for value in op.inits]

        def next_values() -> list[str]:
            return [f.names[value] for value in yielded(op.body.block)]

        for run, times in _runs(f, op):
            body = partial(self._repeated, f, op, times)
            results = self._loop(f, op.dims[0], run, op.carried, results, body, next_values)
        for output, text in zip(op.outputs, results, strict=True):
            f.names[output] = text

    def _repeated(self, f: Function, op: ForOp, times: int) -> None:
        """A body several times in a row: the others are copies of the first one's text."""
        dim, results = op.dims[0], yielded(op.body.block)
        given = [f.names[value] for value in (dim.variable, *op.carried)]
        self.block(f, op.body.block)
        if times == 1:
            return
        text, label = "\n".join([*f.levels[-1].head, *f.lines]), f.label
        first = [f.names[value] for value in results]
        last = first
        for number in range(1, times):
            f.emit(_BARRIER)
            iv = f.assign(dim.name, f"add nsw i64 {given[0]}, {number * dim.step}")
            renamed = f.copy(text, dict(zip(given, [iv, *last], strict=True)))
            last = [renamed.get(name, name) for name in first]
            f.label = renamed.get(f"%{label}", f"%{label}")[1:]
        f.names.update(zip(results, last, strict=True))

    def _loop(
        self,
        f: Function,
        dim: Dim,
        run: _Run,
        carried: Sequence[BlockArgument],
        inits: Sequence[str],
        body: Callable[[], None],
        next_values: Callable[[], list[str]],
    ) -> list[str]:
        """A loop in LLVM's canonical form; the text of the last carried values is returned."""
        lower, upper, before = run.lower, run.upper, f.label
        start, end = f.fresh_label(dim.name or "loop"), f.fresh_label("end")
        if run.sure:
            f.emit(f"br label %{start}")
        else:
            some = f.assign("some", f"icmp slt i64 {lower}, {upper}")
            f.emit(f"br i1 {some}, label %{start}, label %{end}")

        iv, next_iv = f.fresh(dim.name), f.fresh("next")
        _open(f, dim, iv)
        phis = [f.fresh(argument.name_hint) for argument in carried]
        f.names.update(zip(carried, phis, strict=True))
        outer, f.lines = f.lines, []
        f.label = start
        body()
        after, latch = next_values(), f.label
        f.emit(f"{next_iv} = add nsw i64 {iv}, {run.step}")
        more = f.assign("more", f"icmp slt i64 {next_iv}, {upper}")
        f.emit(f"br i1 {more}, label %{start}, label %{end}")
        inner, f.lines = f.lines, outer
        head = f.levels.pop().head

        f.start(start)
        f.emit(f"{iv} = phi i64 [ {lower}, %{before} ], [ {next_iv}, %{latch} ]")
        for argument, phi, first, text in zip(carried, phis, inits, after, strict=True):
            type = types.value(argument.type)
            f.emit(f"{phi} = phi {type} [ {first}, %{before} ], [ {text}, %{latch} ]")
        f.lines += head
        f.lines += inner
        f.start(end)
        if run.sure:
            return after
        return [
            f.assign(
                argument.name_hint,
                f"phi {types.value(argument.type)} [ {first}, %{before} ], [ {text}, %{latch} ]",
            )
            for argument, first, text in zip(carried, inits, after, strict=True)
        ]

    # Branches

    def _branch(self, f: Function, op: IfOp) -> None:
        low, high = f.ranges.interval(op.condition)
        decided = True if low is not None and low >= 0 else None
        if high is not None and high < 0:
            decided = False
        if decided is not None:
            taken = (op.then if decided else op.otherwise).block
            self.block(f, taken)
            for output, value in zip(op.outputs, yielded(taken), strict=True):
                f.names[output] = f.names[value]
            return
        holds = f.assign("holds", f"icmp sge i64 {linear(f, op.condition)}, 0")
        then, otherwise, join = (f.fresh_label(name) for name in ("then", "else", "join"))
        f.emit(f"br i1 {holds}, label %{then}, label %{otherwise}")
        ends: list[tuple[str, list[str]]] = []
        for label, region in ((then, op.then), (otherwise, op.otherwise)):
            f.start(label)
            self.block(f, region.block)
            ends.append((f.label, [f.names[value] for value in yielded(region.block)]))
            f.emit(f"br label %{join}")
        f.start(join)
        (first, values), (second, others) = ends
        for output, a, b in zip(op.outputs, values, others, strict=True):
            f.set(output, f"phi {types.value(output.type)} [ {a}, %{first} ], [ {b}, %{second} ]")

    # Loops that threads share

    def _shared_loop(self, f: Function, op: ParallelOp) -> None:
        """A call that lets threads claim the iterations, whose body is a function of its own."""
        counts = [_trip_count(f, dim) for dim in op.dims]
        total = counts[0]
        for count in counts[1:]:
            total = f.assign("chunks", f"mul nsw i64 {total}, {count}")
        name = symbol(f"{self.name}.threads{self.parallel_loops}")
        self.parallel_loops += 1
        captured = [value for value in _captured(op) if not _is_constant(f, value)]
        fields = [_capture_type(value) for value in captured]
        fields += ["i64"] * sum(1 for count in counts if count.startswith("%"))
        closure_type = "{ " + ", ".join(["ptr", *fields]) + " }"
        closure = f.assign_at(0, "closure", f"alloca {closure_type}, align 64")
        stored = [("ptr", f.context)]
        stored += [(_capture_type(value), _capture_text(f, value)) for value in captured]
        stored += [("i64", count) for count in counts if count.startswith("%")]
        for position, (type, text) in enumerate(stored):
            place = f.assign(
                "field", f"getelementptr {closure_type}, ptr {closure}, i64 0, i32 {position}"
            )
            f.emit(f"store {type} {text}, ptr {place}")
        self._shared_body(f, op, name, closure_type, captured, counts)
        pool, threads = f.context_field(POOL), f.context_field(THREADS)
        arguments = [
            ("ptr", pool),
            ("ptr", f'@"{name}"'),
            ("ptr", closure),
            ("i64", total),
            ("i64", threads),
        ]
        f.emit(f.call("picograd_parallel", "void", arguments))

    def _shared_body(
        self,
        outer: Function,
        op: ParallelOp,
        name: str,
        closure_type: str,
        captured: Sequence[SSAValue],
        counts: Sequence[str],
    ) -> None:
        """The function that runs one iteration, given its number and that of the thread."""
        f = Function(self.declarations, self.comment, self.sites)
        f.worker = "%worker"
        f.ranges = outer.ranges.copy()
        f.comment(f"loop {', '.join(dim.name for dim in op.dims)} of kernel {self.name}")
        position = 0

        def field(type: str, hint: str | None) -> str:
            nonlocal position
            place = f.assign_at(
                0, "field", f"getelementptr {closure_type}, ptr %closure, i64 0, i32 {position}"
            )
            position += 1
            return f.assign_at(0, hint, f"load {type}, ptr {place}")

        f.context = field("ptr", "context")
        for value in _captured(op):
            if value not in captured:
                f.names[value] = outer.names[value]
        for value in captured:
            text = field(_capture_type(value), value.name_hint)
            if value in outer.bases:
                f.bases[value] = text
            else:
                f.names[value] = text
            f.level_of[value] = 0
        inner_counts = [
            field("i64", "count") if count.startswith("%") else count for count in counts
        ]
        rest = "%chunk"
        for number, dim in reversed(list(enumerate(op.dims))):
            step, rest = rest, "0"
            if number:
                rest = f.assign_at(0, "rest", f"udiv i64 {step}, {inner_counts[number]}")
                step = f.assign_at(0, "step", f"urem i64 {step}, {inner_counts[number]}")
            distance = f.assign_at(0, "distance", f"mul nsw i64 {step}, {dim.step}")
            lower = linear(f, dim.lower, lambda hint, text: f.assign_at(0, hint, text))
            iv = f.assign_at(0, dim.name, f"add nsw i64 {lower}, {distance}")
            f.names[dim.variable] = iv
            f.level_of[dim.variable] = 0
            f.ranges.enter(dim)
        self.block(f, op.body.block)
        header = f'define internal void @"{name}"(ptr %closure, i64 %chunk, i64 %worker) #0 {{'
        self.bodies += f.finish(header)
        self.thread_scratch = max(self.thread_scratch, f.scratch.high)


@dataclass(frozen=True)
class _Run:
    """From where to where a loop goes, as text, and whether it surely runs at least once."""

    lower: str
    upper: str
    step: int
    sure: bool


def _whole(f: Function, dim: Dim) -> _Run:
    lower, upper = linear(f, dim.lower), _least(f, dim.uppers)
    return _Run(lower, upper, dim.step, f.ranges.surely_runs(dim))


def _runs(f: Function, op: ForOp) -> list[tuple[_Run, int]]:
    """The loops that become of one, and how often each has the body.

    Where a note asks to repeat it, a first loop runs through as many whole groups of iterations as
    there are, and a second one through what is left.
    """
    (dim,), note, whole = op.dims, op.attributes.get(REPEAT), _whole(f, op.dims[0])
    if not isinstance(note, IntegerAttr) or note.value.data < 2 or f.sites is not None:
        return [(whole, 1)]  # each access is checked at one place
    times = note.value.data
    step = times * dim.step
    if len(dim.uppers) == 1 and (extent := dim.uppers[0] - dim.lower).is_constant:
        covered = extent.constant // step * step
        if covered <= 0:
            return [(whole, 1)]
        middle = linear(f, dim.lower + covered)
        runs = [(_Run(whole.lower, middle, step, True), times)]
        rest = _Run(middle, whole.upper, dim.step, True)
        return runs if covered == extent.constant else [*runs, (rest, 1)]
    extent = f.assign("extent", f"sub nsw i64 {whole.upper}, {whole.lower}")
    extent = f.assign("extent", f.call("llvm.smax.i64", "i64", [("i64", extent), ("i64", "0")]))
    left = f.assign("left", f"urem i64 {extent}, {step}")
    covered = f.assign("covered", f"sub nsw i64 {extent}, {left}")
    middle = f.assign("middle", f"add nsw i64 {whole.lower}, {covered}")
    return [
        (_Run(whole.lower, middle, step, False), times),
        (_Run(middle, whole.upper, dim.step, False), 1),
    ]


def _open(f: Function, dim: Dim, iv: str) -> None:
    """Enter a loop: its variable is known from here on."""
    f.ranges.enter(dim)
    f.names[dim.variable] = iv
    f.level_of[dim.variable] = len(f.levels)
    f.levels.append(Level())


def _least(f: Function, uppers: Sequence[Linear]) -> str:
    """The least of several upper bounds."""
    result = linear(f, uppers[0])
    for upper in uppers[1:]:
        arguments = [("i64", result), ("i64", linear(f, upper))]
        result = f.assign("upper", f.call("llvm.smin.i64", "i64", arguments))
    return result


def _trip_count(f: Function, dim: Dim) -> str:
    """How often a loop runs."""
    if dim.is_constant and dim.extent is not None:
        return str(-(-dim.extent // dim.step))
    upper, lower = _least(f, dim.uppers), linear(f, dim.lower)
    extent = f.assign("extent", f"sub nsw i64 {upper}, {lower}")
    extent = f.assign("extent", f.call("llvm.smax.i64", "i64", [("i64", extent), ("i64", "0")]))
    rounded = f.assign("extent", f"add nsw i64 {extent}, {dim.step - 1}")
    return f.assign("count", f"udiv i64 {rounded}, {dim.step}")


def _captured(op: ParallelOp) -> list[SSAValue]:
    """The values from outside that the body of a loop uses, and its own bounds."""
    used, inside = values_in(op)
    return [value for value in used if value not in inside]


def _is_constant(f: Function, value: SSAValue) -> bool:
    return value not in f.bases and not f.names[value].startswith("%")


def _capture_type(value: SSAValue) -> str:
    from_memory = value.type.name == "memref"
    return "ptr" if from_memory else types.value(value.type)


def _capture_text(f: Function, value: SSAValue) -> str:
    return f.bases[value] if value in f.bases else f.names[value]


def _unsupported(op: Operation) -> CompileError:
    hint = "give it a rule in picograd/backends/llvm/emit_elements.py"
    if isinstance(op, ReduceOp):
        hint = "run lower_reduce before, which turns reductions into loops with carried values"
    elif op.name == "loop.barrier":
        hint = "barriers belong to the grid of a GPU; leave map_to_grid out of a CPU pipeline"
    return CompileError(
        f"the CPU cannot run {op.name}",
        code="PG606",
        expected="loops, memory and arithmetic",
        hint=hint,
        found=op,
    )
