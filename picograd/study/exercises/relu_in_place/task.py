"""Functions in memory, with ReLUs that may write over what they read, and others that must not."""

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import BlockArgument, SSAValue

from picograd.check.generation.sketch import Sketch
from picograd.check.meaning import Program
from picograd.dialects.buffer import ConstantOp, KernelOp, ReadOp, WriteOp, outputs_of
from picograd.dialects.dtypes import float32
from picograd.dialects.tensor import BinaryOp, BroadcastOp, PermuteOp, ReduceOp, UnaryOp
from picograd.dialects.tensor import ConstantOp as TensorConstantOp
from picograd.semantics.evaluate import entry_of
from picograd.study.exercises.drawing import drawn, matrix, relu, shape_of, splat
from picograd.study.exercises.exercise import Exercise
from picograd.study.exercises.relu_in_place.reference import ReluInPlace

WAY = "canonicalize,cse,dce,outline_kernels,lower_kernels_to_buffers"

# What may stand in a kernel that updates a buffer: each element depends on its old self alone.
_ELEMENT_BY_ELEMENT = (ReadOp, WriteOp, BinaryOp, UnaryOp, TensorConstantOp)

Step = Callable[[Sketch, SSAValue], SSAValue]


def _layer(sketch: Sketch, x: SSAValue) -> SSAValue:
    return relu(sketch, sketch.add(UnaryOp("tanh", x)))


def _twice(sketch: Sketch, x: SSAValue) -> SSAValue:
    """The ReLU's operand is read again later: in place is wrong."""
    h = sketch.add(UnaryOp("sin", x))
    active = relu(sketch, h)
    return sketch.add(BinaryOp("sub", active, h))


def _long_after(sketch: Sketch, x: SSAValue) -> SSAValue:
    """The same, and several kernels run in between."""
    h = sketch.add(UnaryOp("sin", x))
    active = sketch.add(UnaryOp("exp", sketch.add(UnaryOp("neg", relu(sketch, h)))))
    return sketch.add(BinaryOp("sub", active, h))


def _before(sketch: Sketch, x: SSAValue) -> SSAValue:
    """The ReLU's operand is read by another kernel, but earlier: in place is right."""
    h = sketch.add(UnaryOp("sin", x))
    other = sketch.add(UnaryOp("exp", h))
    active = relu(sketch, h)
    return sketch.add(BinaryOp("sub", active, other))


def _two_relus(sketch: Sketch, x: SSAValue) -> SSAValue:
    """Two kernels read one buffer; only the later one may write into it."""
    h = sketch.add(UnaryOp("cos", x))
    active = relu(sketch, h)
    clipped = sketch.add(BinaryOp("maximum", h, splat(sketch, h, -0.5)))
    return sketch.add(BinaryOp("mul", active, clipped))


def _moved(sketch: Sketch, x: SSAValue) -> SSAValue:
    """The elements move: what a kernel writes, it would read afterwards."""
    h = sketch.add(UnaryOp("tanh", x))
    return relu(sketch, sketch.add(PermuteOp(h, (1, 0))))


def _clipped(sketch: Sketch, x: SSAValue) -> SSAValue:
    """No ReLU, though it looks like one."""
    h = sketch.add(UnaryOp("tanh", x))
    kind = sketch.choose(("maximum", "minimum"))
    return sketch.add(BinaryOp(kind, h, splat(sketch, h, 0.25)))


def _of_argument(sketch: Sketch, x: SSAValue) -> SSAValue:
    """The operand is the caller's."""
    return sketch.add(BinaryOp("mul", relu(sketch, matrix(sketch, *shape_of(x))), x))


def _of_table(sketch: Sketch, x: SSAValue) -> SSAValue:
    """The operand is a constant, too large to be folded, that is read again."""
    # Not of one number, and odd in every element, so that it is a table in memory.
    table = sketch.constant(np.sin(np.arange(1200)), float32)
    active = sketch.add(ReduceOp("add", relu(sketch, table), (0,)))
    total = sketch.add(ReduceOp("add", table, (0,)))
    both = sketch.add(BinaryOp("add", active, total))
    return sketch.add(BinaryOp("mul", x, sketch.add(BroadcastOp(both, shape_of(x)))))


def _of_table_alone(sketch: Sketch, x: SSAValue) -> SSAValue:
    """The operand is a constant that nobody else reads; a constant it is all the same."""
    table = sketch.constant(np.cos(np.arange(1200)), float32)
    total = sketch.add(ReduceOp("add", relu(sketch, table), (0,)))
    return sketch.add(BinaryOp("mul", x, sketch.add(BroadcastOp(total, shape_of(x)))))


_RIGHT: tuple[Step, ...] = (_layer, _layer, _before)
_TRAPS: tuple[Step, ...] = (
    _twice,
    _long_after,
    _two_relus,
    _moved,
    _clipped,
    _of_argument,
    _of_table,
    _of_table_alone,
)


def _chain(steps: Sequence[Step]) -> Callable[[Sketch], Sequence[SSAValue]]:
    def draw(sketch: Sketch) -> Sequence[SSAValue]:
        x = matrix(sketch, *sketch.choose(((2, 3), (3, 3), (1, 5), (4, 4))))
        results: list[SSAValue] = []
        for _ in range(sketch.number(1, 4)):
            x = sketch.choose(steps)(sketch, x)
            if sketch.number(0, 3) == 0:
                results.append(sketch.values[-2])
        return [*results, x]

    return draw


def _each_alone() -> list[Program]:
    """Each step alone, where its last value is a result, and where it is not."""
    programs: list[Program] = []
    for step in (*_RIGHT, *_TRAPS):

        def inside(sketch: Sketch, step: Step = step) -> Sequence[SSAValue]:
            return [sketch.add(UnaryOp("neg", step(sketch, matrix(sketch, 3, 3))))]

        def last(sketch: Sketch, step: Step = step) -> Sequence[SSAValue]:
            return [step(sketch, matrix(sketch, 3, 3))]

        programs += [*drawn(inside, 1, WAY, "inside"), *drawn(last, 1, WAY, "last")]
    return programs


def _programs() -> list[Program]:
    return [*_each_alone(), *drawn(_chain((*_RIGHT, *_TRAPS)), 30, WAY, "chains")]


def _measured() -> list[Program]:
    return drawn(_chain((*_RIGHT, _twice, _moved)), 30, WAY, "measured chains")


def _rule(before: ModuleOp, after: ModuleOp) -> str:
    """Kernels write into intermediates and results, and nowhere else."""
    results = outputs_of(entry_of(after))
    for kernel in after.walk():
        if not isinstance(kernel, KernelOp):
            continue
        for value in (*kernel.updates, *kernel.writes):
            if isinstance(value.owner, ConstantOp):
                return f"the kernel {kernel.label.data!r} writes into a constant"
            if isinstance(value, BlockArgument) and value not in results:
                name = value.name_hint or value.index
                return f"the kernel {kernel.label.data!r} writes into %{name}, an argument"
        moving = [op.name for op in kernel.block.ops if not isinstance(op, _ELEMENT_BY_ELEMENT)]
        if kernel.updates and moving:
            return f"the kernel {kernel.label.data!r} updates a buffer, and has a {moving[0]}"
    return ""


RELU_IN_PLACE = Exercise(
    number=3,
    name="relu_in_place",
    title="in-place ReLU",
    reference=ReluInPlace(),
    programs=_programs,
    measured=_measured,
    measures=("peak_bytes",),
    rule=_rule,
)
