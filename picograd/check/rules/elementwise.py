"""Rows of the rules about arithmetic, comparisons, selections and casts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xdsl.ir import Operation, SSAValue

from picograd.check.rules.scene import (
    BOOLS,
    EVERY,
    FLOATS,
    INTS,
    SIGNED,
    Draw,
    Row,
    Scene,
)
from picograd.dialects.dtypes import (
    DType,
    bool_,
    dtype_of,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    type_of,
    uint8,
)
from picograd.dialects.tensor import BinaryOp, CastOp, CompareOp, SelectOp, UnaryOp
from picograd.passes.rewriting.greedy import Rule
from picograd.passes.rules import algebra, choices

WHOLE_COMMUTING = ("add", "mul", "and", "or", "xor")
BIT_KINDS = ("and", "or", "xor")


def right(kinds: Sequence[str], dtypes: Sequence[DType], *numbers: bool | float) -> Draw:
    """x KIND number."""

    def draw(scene: Scene) -> SSAValue:
        x = scene.value(dtypes)
        return scene.add(BinaryOp(scene.choose(kinds), x, scene.splat(scene.choose(numbers), x)))

    return draw


def left(kinds: Sequence[str], dtypes: Sequence[DType], *numbers: bool | float) -> Draw:
    """number KIND x."""

    def draw(scene: Scene) -> SSAValue:
        x = scene.value(dtypes)
        return scene.add(BinaryOp(scene.choose(kinds), scene.splat(scene.choose(numbers), x), x))

    return draw


def two(kinds: Sequence[str], dtypes: Sequence[DType], *, same: bool = False) -> Draw:
    """x KIND y, or x KIND x."""

    def draw(scene: Scene) -> SSAValue:
        x = scene.value(dtypes)
        return scene.add(BinaryOp(scene.choose(kinds), x, x if same else scene.like(x)))

    return draw


def unary_of_unary(pairs: Sequence[tuple[str, str]], dtypes: Sequence[DType]) -> Draw:
    """OUTER INNER x."""

    def draw(scene: Scene) -> SSAValue:
        outer, inner = scene.choose(pairs)
        return scene.add(UnaryOp(outer, scene.add(UnaryOp(inner, scene.value(dtypes)))))

    return draw


def unary(kinds: Sequence[str], dtypes: Sequence[DType]) -> Draw:
    """KIND x."""
    return lambda scene: scene.add(UnaryOp(scene.choose(kinds), scene.value(dtypes)))


def compare(kinds: Sequence[str], dtypes: Sequence[DType], *, same: bool = False) -> Draw:
    """x KIND y, or x KIND x."""

    def draw(scene: Scene) -> SSAValue:
        x = scene.value(dtypes)
        return scene.add(CompareOp(scene.choose(kinds), x, x if same else scene.like(x)))

    return draw


def _negated(place: str) -> Callable[[str], Draw]:
    """x KIND (-y) or (-x) KIND y."""

    def of(kind: str) -> Draw:
        def draw(scene: Scene) -> SSAValue:
            x = scene.value((*FLOATS, *INTS))
            y = scene.add(UnaryOp("neg", scene.like(x)))
            return scene.add(BinaryOp(kind, x, y) if place == "right" else BinaryOp(kind, y, x))

        return draw

    return of


def _two_constants(scene: Scene, dtypes: Sequence[DType], *, other: bool = False) -> SSAValue:
    """(x KIND c) KIND d, or of another kind outside."""
    x = scene.value(dtypes)
    dtype = dtype_of(type_of(x))
    kind = scene.choose(("add", "mul") if dtype.is_float else WHOLE_COMMUTING)
    numbers = [scene.choose((3, 5, 6, 100)) for _ in range(2)]
    inner = scene.add(BinaryOp(kind, x, scene.splat(numbers[0], x)))
    outside = scene.choose([k for k in WHOLE_COMMUTING if k != kind]) if other else kind
    return scene.add(BinaryOp(outside, inner, scene.splat(numbers[1], x)))


def _known_condition(scene: Scene) -> SSAValue:
    a = scene.value()
    condition = scene.value(BOOLS, type_of(a).get_shape())
    if scene.rng.random() < 0.3:
        return scene.add(SelectOp(condition, a, a))
    return scene.add(
        SelectOp(scene.splat(scene.choose((True, False)), condition), a, scene.like(a))
    )


def _choice(scene: Scene) -> SSAValue:
    a = scene.value()
    condition = scene.value(BOOLS, type_of(a).get_shape())
    return scene.add(SelectOp(condition, a, scene.like(a)))


def _choice_by_negation(scene: Scene) -> SSAValue:
    a = scene.value()
    condition = scene.add(UnaryOp("not", scene.value(BOOLS, type_of(a).get_shape())))
    return scene.add(SelectOp(condition, a, scene.like(a)))


def _choice_between(*pairs: tuple[float, float], dtypes: Sequence[DType] = BOOLS) -> Draw:
    def draw(scene: Scene) -> SSAValue:
        like = scene.value(dtypes)
        condition = scene.value(BOOLS, type_of(like).get_shape())
        first, second = scene.choose(pairs)
        return scene.add(SelectOp(condition, scene.splat(first, like), scene.splat(second, like)))

    return draw


def _compare_with(dtypes: Sequence[DType], *numbers: bool | float, flipped: bool = False) -> Draw:
    def draw(scene: Scene) -> SSAValue:
        x = scene.value(dtypes)
        number = scene.splat(scene.choose(numbers), x)
        kind = scene.choose(("eq", "ne"))
        return scene.add(CompareOp(kind, number, x) if flipped else CompareOp(kind, x, number))

    return draw


def _not_compare(kinds: Sequence[str], dtypes: Sequence[DType]) -> Draw:
    def draw(scene: Scene) -> SSAValue:
        x = scene.value(dtypes)
        compared = scene.add(CompareOp(scene.choose(kinds), x, scene.like(x)))
        return scene.add(UnaryOp("not", compared))

    return draw


def _cast(scene: Scene, *, same: bool) -> SSAValue:
    x = scene.value()
    dtype = dtype_of(type_of(x))
    others = [other for other in EVERY if other is not dtype]
    return scene.add(CastOp(x, dtype if same else scene.choose(others)))


def _casts(chains: Sequence[tuple[DType, DType]], targets: Sequence[DType]) -> Draw:
    """A value of one dtype, cast to another one and on to a third."""

    def draw(scene: Scene) -> SSAValue:
        source, middle = scene.choose(chains)
        return scene.add(
            CastOp(scene.add(CastOp(scene.value((source,)), middle)), scene.choose(targets))
        )

    return draw


_ORDERED = ("lt", "le", "gt", "ge")
_HOLDS_ALL = (
    *((bool_, other) for other in EVERY if other is not bool_),
    *((int8, other) for other in EVERY if other not in (int8, uint8, bool_)),
    *((uint8, other) for other in EVERY if other not in (int8, uint8, bool_)),
    *((int16, other) for other in (int32, int64, float32, float64)),
    (int32, int64),
    (int32, float64),
    (float32, float64),
    *((small, wide) for small in FLOATS[2:] for wide in (float32, float64)),
)
_LOSES = (
    (int32, float32),
    (int64, float64),
    (int64, int32),
    (float32, int32),
    (float64, float32),
    (float32, FLOATS[2]),
    (int16, FLOATS[2]),
    (int8, uint8),
    (uint8, int8),
    (float32, bool_),
    (FLOATS[2], FLOATS[3]),
)


def _narrower(source: DType) -> tuple[DType, ...]:
    """The integers that do not hold every value of a dtype of integers."""
    sizes = {int8: 7, uint8: 8, int16: 15, int32: 31, int64: 63}
    return tuple(
        other
        for other in INTS
        if sizes[other] < sizes[source] or (source.is_signed and not other.is_signed)
    )


def _by_way_of_a_float(scene: Scene) -> SSAValue:
    """An integer cast to a float that holds it, and to a narrower one: saturates, never wraps."""
    source, middle = scene.choose(
        [(s, m) for s, m in _HOLDS_ALL if s in INTS and m in FLOATS and _narrower(s)]
    )
    inner = scene.add(CastOp(scene.value((source,)), middle))
    return scene.add(CastOp(inner, scene.choose(_narrower(source))))


ROWS: Mapping[tuple[type[Operation], Rule], Row] = {
    (BinaryOp, algebra.constant_to_the_right): Row(
        (
            left(("add", "mul"), (*FLOATS, *INTS), 3, 0, 1),
            left(BIT_KINDS, (*INTS, bool_), 1, 0),
            left(("add", "mul"), FLOATS, -0.0, float("nan"), float("inf")),
        ),
        (
            right(("add", "mul"), (*FLOATS, *INTS), 3, 1),
            left(("sub",), (*FLOATS, *INTS), 3, 0),
            left(("maximum", "minimum", "floordiv"), INTS, 3),
            two(("add", "mul"), INTS),
        ),
    ),
    (BinaryOp, algebra.drop_neutral): Row(
        (
            right(("mul", "div", "pow"), FLOATS, 1.0),
            right(("add",), FLOATS, -0.0),
            right(("sub",), FLOATS, 0.0),
            right(("add", "sub", "shl", "shr", "or", "xor"), INTS, 0),
            right(("mul", "floordiv"), INTS, 1),
            right(("and",), SIGNED, -1),
            right(("and", "or"), BOOLS, True, False),
            right(("xor",), BOOLS, False),
        ),
        (
            right(("add",), FLOATS, 0.0),
            right(("sub",), FLOATS, -0.0),
            right(("mul",), FLOATS, 0.0, -1.0, 2.0),
            right(("div", "pow"), FLOATS, 2.0, -1.0),
            right(("and",), INTS, 1, 0),
            right(("floordiv", "remainder"), INTS, 2),
            right(("xor",), BOOLS, True),
            left(("sub", "shl"), INTS, 0),
            left(("div",), FLOATS, 1.0),
        ),
    ),
    (BinaryOp, algebra.absorb): Row(
        (
            right(("mul", "and"), INTS, 0),
            right(("or",), SIGNED, -1),
            right(("remainder",), INTS, 1),
        ),
        (
            right(("mul",), FLOATS, 0.0, -0.0),
            right(("remainder",), FLOATS, 1.0),
            right(("remainder",), SIGNED, -1, 0, 2),
            right(("or", "add"), INTS, 0),
            left(("remainder",), INTS, 1),
        ),
    ),
    (BinaryOp, algebra.equal_operands): Row(
        (
            two(("maximum", "minimum"), (*FLOATS, *INTS), same=True),
            two(BIT_KINDS, (*INTS, bool_), same=True),
            two(("sub",), INTS, same=True),
        ),
        (
            two(("sub", "div", "add", "mul"), FLOATS, same=True),
            two(("floordiv", "remainder", "add"), INTS, same=True),
            two(("maximum", "sub"), INTS),
        ),
    ),
    (BinaryOp, algebra.times_minus_one): Row(
        (right(("mul",), (*FLOATS, *SIGNED), -1), right(("div",), FLOATS, -1.0)),
        (
            right(("mul", "div"), FLOATS, 1.0, -0.0, -2.0),
            right(("floordiv", "remainder", "add"), SIGNED, -1),
            left(("div",), FLOATS, -1.0),
        ),
    ),
    (BinaryOp, algebra.divide_by_power_of_two): Row(
        (right(("div",), FLOATS, 2.0, -4.0, 0.25, 1024.0, 2.0**-12),),
        (
            right(("div",), FLOATS, 3.0, 0.0, -0.0, float("inf"), float("nan")),
            right(("div",), FLOATS[2:3], 2.0**14, 2.0**15, 2.0**-14),
            right(("div",), (float32,), 2.0**101, 2.0**-101, 2.0**127),
            right(("mul", "floordiv"), FLOATS, 2.0),
            left(("div",), FLOATS, 2.0),
        ),
    ),
    (BinaryOp, algebra.small_powers): Row(
        (right(("pow",), FLOATS, 2.0, 0.0, -0.0, -1.0),),
        (
            right(("pow",), FLOATS, 3.0, 0.5, 1.0, float("nan")),
            right(("mul",), FLOATS, 2.0, 0.0),
            left(("pow",), FLOATS, 2.0),
        ),
        exception="a square and a reciprocal are rounded once, which a power need not be",
    ),
    (BinaryOp, algebra.add_negated): Row(
        (_negated("right")("add"), _negated("right")("sub"), _negated("left")("add")),
        (
            _negated("left")("sub"),
            _negated("right")("mul"),
            two(("add", "sub"), (*FLOATS, *INTS)),
        ),
    ),
    (BinaryOp, algebra.combine_constants): Row(
        (lambda scene: _two_constants(scene, INTS),),
        (
            lambda scene: _two_constants(scene, FLOATS),
            lambda scene: _two_constants(scene, INTS, other=True),
            right(WHOLE_COMMUTING, INTS, 3),
        ),
    ),
    (UnaryOp, algebra.undo_unary): Row(
        (
            unary_of_unary((("neg", "neg"),), (*FLOATS, *INTS)),
            unary_of_unary((("not", "not"),), (*INTS, bool_)),
            unary_of_unary((("abs", "neg"), ("abs", "abs"), ("sign", "sign")), (*FLOATS, *INTS)),
            unary_of_unary(
                [(a, b) for a in ("floor", "ceil", "round") for b in ("floor", "ceil", "round")],
                FLOATS,
            ),
            unary_of_unary(
                (("round_float16", "round_float16"), ("round_bfloat16", "round_bfloat16")),
                (float32,),
            ),
            unary(("abs",), (uint8,)),
        ),
        (
            unary_of_unary((("neg", "abs"), ("sign", "neg"), ("neg", "sign")), (*FLOATS, *SIGNED)),
            unary_of_unary((("exp", "exp"), ("floor", "neg"), ("sqrt", "sqrt")), FLOATS),
            unary_of_unary((("round_float16", "round_bfloat16"),), (float32,)),
            unary(("neg", "sign"), INTS),
            unary(("abs",), SIGNED),
        ),
    ),
    (SelectOp, choices.known_choice): Row((_known_condition,), (_choice, _choice_by_negation)),
    (SelectOp, choices.choice_by_negation): Row((_choice_by_negation,), (_choice,)),
    (SelectOp, choices.choice_of_truth): Row(
        (_choice_between((True, False), (False, True)),),
        (
            _choice_between((True, True), (False, False)),
            _choice_between((1, 0), (0, 1), dtypes=(*INTS, *FLOATS)),
            _choice,
        ),
    ),
    (CompareOp, choices.compare_with_itself): Row(
        (
            compare(("eq", "le", "ge", "ne", "lt", "gt"), INTS, same=True),
            compare(("eq", "ne"), BOOLS, same=True),
            compare(("lt", "gt"), FLOATS, same=True),
        ),
        (
            compare(("eq", "le", "ge", "ne"), FLOATS, same=True),
            compare(("eq", "ne", *_ORDERED), INTS),
        ),
    ),
    (CompareOp, choices.compare_with_truth): Row(
        (_compare_with(BOOLS, True, False),),
        (
            _compare_with((*INTS, *FLOATS), 1, 0),
            _compare_with(BOOLS, True, False, flipped=True),
            compare(("eq", "ne"), BOOLS),
        ),
    ),
    (UnaryOp, choices.negate_comparison): Row(
        (
            _not_compare(("eq", "ne", *_ORDERED), INTS),
            _not_compare(("eq", "ne"), (*FLOATS, *BOOLS)),
        ),
        (_not_compare(_ORDERED, FLOATS), unary(("not",), (*INTS, *BOOLS))),
    ),
    (CastOp, choices.cast_to_same): Row(
        (lambda scene: _cast(scene, same=True),), (lambda scene: _cast(scene, same=False),)
    ),
    (CastOp, choices.cast_of_cast): Row(
        (
            _casts([c for c in _HOLDS_ALL if c[1] not in FLOATS or c[0] in FLOATS], EVERY),
            _casts(_HOLDS_ALL, (*FLOATS, int64, bool_)),
        ),
        (_casts(_LOSES, EVERY), lambda scene: _cast(scene, same=False), _by_way_of_a_float),
    ),
}
