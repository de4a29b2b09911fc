"""Functions with many intermediates, few of which are needed at one time."""

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from picograd.check.generation.sketch import Sketch
from picograd.check.meaning import Program
from picograd.dialects.buffer import AllocOp, ArenaOp, KernelOp, PlaceOp
from picograd.dialects.dtypes import float32, float64, int32
from picograd.dialects.tensor import BinaryOp, CastOp, ConcatOp, MatmulOp, ReduceOp, UnaryOp
from picograd.semantics.evaluate import entry_of
from picograd.study.exercises.drawing import drawn, matrix, shape_of
from picograd.study.exercises.exercise import Exercise
from picograd.study.exercises.place_buffers.reference import ALIGNMENT, PlaceBuffers

WAY = "canonicalize,cse,dce,outline_kernels,lower_kernels_to_buffers"


def _step(sketch: Sketch, x: SSAValue) -> SSAValue:
    """A kernel whose result is as large as its operand, larger, or smaller."""
    rows, columns = shape_of(x)
    way = sketch.number(0, 6)
    if way == 0:
        return sketch.add(MatmulOp(x, matrix(sketch, columns, sketch.choose((1, 9, 17, 40)))))
    if way == 1:
        return sketch.add(ConcatOp([x, x], 0)) if rows < 40 else x
    if way == 2:
        wide = sketch.add(CastOp(sketch.add(UnaryOp("floor", x)), float64))
        return sketch.add(CastOp(sketch.add(UnaryOp("neg", wide)), float32))
    if way == 3:
        whole = sketch.add(CastOp(x, int32))
        return sketch.add(CastOp(sketch.add(BinaryOp("add", whole, whole)), float32))
    return sketch.add(UnaryOp(sketch.choose(("tanh", "exp", "sin", "abs")), x))


def _draw(sketch: Sketch) -> Sequence[SSAValue]:
    """A chain with shortcuts: some values are read again much later."""
    x = matrix(sketch, *sketch.choose(((3, 5), (1, 1), (7, 9), (16, 16), (5, 33))))
    waiting: list[SSAValue] = []
    results: list[SSAValue] = []
    for _ in range(sketch.number(3, 9)):
        x = _step(sketch, x)
        if sketch.number(0, 2) == 0:
            waiting.append(x)
        elif waiting and sketch.number(0, 2) == 0:
            early = waiting.pop(sketch.number(0, len(waiting) - 1))
            results.append(sketch.add(ReduceOp("add", early, (0, 1))))
    return [*results, *(sketch.add(ReduceOp("add", early, (1,))) for early in waiting), x]


def _draw_one_kernel(sketch: Sketch) -> Sequence[SSAValue]:
    """A function without intermediates."""
    return [sketch.add(UnaryOp("neg", matrix(sketch, 3, 5)))]


def _programs() -> list[Program]:
    return [
        *drawn(_draw_one_kernel, 1, WAY, "one kernel"),
        *drawn(_draw, 40, WAY, "chains"),
    ]


def _measured() -> list[Program]:
    return drawn(_draw, 25, WAY, "measured chains")


def _rule(before: ModuleOp, after: ModuleOp) -> str:
    """One arena, every buffer in it, aligned, and no two that live at one time overlap."""
    ops = tuple(entry_of(after).body.block.ops)
    allocs = [op for op in ops if isinstance(op, AllocOp)]
    if allocs and allocs[0].result.first_use is None:
        return f"%{_name(allocs[0])} is allocated, and nobody uses it"
    places = [op for op in ops if isinstance(op, PlaceOp)]
    if not places:
        return ""  # Nothing is placed: that gains nothing, and is not wrong.
    if allocs:
        return f"%{_name(allocs[0])} is still a buffer.alloc, though others have been placed"
    if sum(isinstance(op, ArenaOp) for op in ops) != 1:
        return "there is more than one arena"
    for place in places:
        if place.span[0] % ALIGNMENT:
            return f"%{_name(place)} stands at {place.span[0]}, no multiple of {ALIGNMENT}"
    return _overlap(places, [op for op in ops if isinstance(op, KernelOp)])


def _overlap(places: Sequence[PlaceOp], kernels: Sequence[KernelOp]) -> str:
    lives = {
        place: [n for n, kernel in enumerate(kernels) if place.result in kernel.operands]
        for place in places
    }
    for number, one in enumerate(places):
        for other in places[:number]:
            (a, b), (c, d) = one.span, other.span
            shares = a < d and c < b and lives[one] and lives[other]
            if shares and lives[one][0] <= lives[other][-1] and lives[other][0] <= lives[one][-1]:
                when = max(lives[one][0], lives[other][0])
                return (
                    f"%{_name(other)} at {c} to {d} and %{_name(one)} at {a} to {b} share bytes, "
                    f"and kernel {when + 1}, {kernels[when].label.data!r}, finds both alive"
                )
    return ""


def _name(op: Operation) -> str:
    return op.results[0].name_hint or "?"


PLACE_BUFFERS = Exercise(
    number=4,
    name="place_buffers",
    title="buffer reuse",
    reference=PlaceBuffers(),
    programs=_programs,
    measured=_measured,
    measures=("peak_bytes",),
    rule=_rule,
)
