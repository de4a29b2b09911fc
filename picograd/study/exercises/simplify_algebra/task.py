"""Programs in which arithmetic with 0, 1 and signs stands, as one writes it and as it is a trap."""

from collections.abc import Sequence

from xdsl.ir import SSAValue

from picograd.check.generation.sketch import Sketch
from picograd.check.meaning import Program
from picograd.dialects.dtypes import dtype_of, float32, int32, int64, tensor_type, type_of
from picograd.dialects.tensor import BinaryOp, ReduceOp, UnaryOp
from picograd.study.exercises.drawing import drawn, shape_of, splat, written
from picograd.study.exercises.exercise import Exercise
from picograd.study.exercises.simplify_algebra.reference import SimplifyAlgebra

# Each trap alone, so that what is printed is short.
_TRAPS = (
    "%z = pico.constant dense<0.0> : T   %y = pico.binary mul %x, %z : T",
    "%y = pico.binary sub %x, %x : T",
    "%z = pico.constant dense<0.0> : T   %y = pico.binary sub %z, %x : T",
    "%o = pico.constant dense<1.0> : T   %y = pico.binary div %o, %x : T",
    (
        "%c = pico.constant dense<[1.0, 2.0, 1.0, 1.0, 3.0, 1.0, 1.0]> : T"
        "   %y = pico.binary mul %x, %c : T"
    ),
    (
        "%c = pico.constant dense<[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]> : T"
        "   %y = pico.binary add %x, %c : T"
    ),
    "%e = pico.unary exp %x : T   %y = pico.unary neg %e : T",
    "%n = pico.unary neg %x : T   %y = pico.unary abs %n : T",
    "%o = pico.constant dense<1.0> : T   %y = pico.binary maximum %x, %o : T",
    "%o = pico.constant dense<1.0> : T   %y = pico.binary pow %o, %x : T",
    "%z = pico.constant dense<0.0> : T   %y = pico.binary maximum %x, %z : T",
    (
        "%o = pico.constant dense<1.0> : T   %a = pico.binary mul %x, %o : T"
        "   %y = pico.binary add %a, %a : T"
    ),
    "%n = pico.unary neg %x : T   %m = pico.unary neg %n : T   %y = pico.binary mul %n, %m : T",
    "%y = pico.unary exp %x : T",
)


def _as_program(body: str) -> Program:
    text = f"func.func @main(%x: T, %unused: T) -> T {{ {body}   func.return %y : T }}"
    return written(text.replace("T", "tensor<7xf32>").replace("   ", "\n"), "")


def _pick(sketch: Sketch) -> SSAValue:
    found = sketch.pick()
    assert found is not None
    return found


def _idiom(sketch: Sketch) -> None:
    """Arithmetic that does nothing, or seems to."""
    x = _pick(sketch)
    zero, one = splat(sketch, x, 0), splat(sketch, x, 1)
    pairs = [("add", x, zero), ("add", zero, x), ("sub", x, zero), ("sub", zero, x)]
    pairs += [("mul", x, one), ("mul", one, x), ("mul", x, zero), ("mul", zero, x), ("sub", x, x)]
    kind, a, b = sketch.choose(pairs)
    if sketch.number(0, 4) == 0:
        sketch.add(UnaryOp("neg", sketch.add(UnaryOp("neg", x))))
    elif sketch.number(0, 6) == 0 and dtype_of(type_of(x)).is_float:
        sketch.add(BinaryOp("div", x, one))
    else:
        sketch.add(BinaryOp(kind, a, b))


def _other(sketch: Sketch) -> None:
    """Arithmetic that does something."""
    x = _pick(sketch)
    partner = sketch.pick(lambda value: value.type == x.type)
    way = sketch.number(0, 4)
    if way < 3 and partner is not None:
        sketch.add(BinaryOp(("add", "mul", "maximum")[way], x, partner))
    elif way == 3 and shape_of(x):
        sketch.add(ReduceOp("add", x, (0,)))
    else:
        sketch.add(UnaryOp("abs", x))


def _draw(sketch: Sketch) -> Sequence[SSAValue]:
    for dtype in (float32, sketch.choose((float32, int32, int64))):
        sketch.argument(tensor_type(sketch.choose(((), (3,), (2, 3), (1,), (0,))), dtype))
    for _ in range(sketch.number(3, 8)):
        sketch.choose((_idiom, _idiom, _other))(sketch)
    return [sketch.values[-1], _pick(sketch)]


def _programs() -> list[Program]:
    return [*map(_as_program, _TRAPS), *drawn(_draw, 50, "", "algebra")]


def _measured() -> list[Program]:
    return drawn(_draw, 40, "", "measured algebra")


SIMPLIFY_ALGEBRA = Exercise(
    number=1,
    name="simplify_algebra",
    title="algebraic simplification",
    reference=SimplifyAlgebra(),
    programs=_programs,
    measured=_measured,
    measures=("operations",),
    tidy="dce",
)
