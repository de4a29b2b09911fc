"""Canonicalization: each rule where it applies, and the cases in which it must not."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from xdsl.ir import SSAValue

from picograd.check.generation.strategy import Sample, samples
from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.dialects.tensor import BinaryOp, UnaryOp
from picograd.errors import IndexOutOfRange, PassError
from picograd.passes.canonicalize import Canonicalize
from picograd.passes.rewriting.greedy import Build, rewrite_greedily
from picograd.semantics.evaluate import evaluate

RNG = np.random.default_rng(20)


def canonical(text: str) -> str:
    """The ops of `@main` after the pass, one a line."""
    module = parse_module(text)
    Canonicalize().apply(new_context(), module)
    module.verify()
    lines = str(module).splitlines()
    return "\n".join(line.strip() for line in lines[2:-2])


def function(body: str, arguments: str, result: str) -> str:
    return f"func.func @main({arguments}) -> {result} {{\n{body}\nfunc.return %y : {result}\n}}"


def expression(kind: str, constant: str, type: str, *, flipped: bool = False) -> str:
    operands = "%c, %x" if flipped else "%x, %c"
    return function(
        f"%c = pico.constant dense<{constant}> : {type}\n"
        f"%y = pico.binary {kind} {operands} : {type}",
        f"%x: {type}",
        type,
    )


FLOATS, INTS, BOOLS = "tensor<4xf32>", "tensor<4xi32>", "tensor<4xi1>"
GONE = "func.return %x : "


@pytest.mark.parametrize(
    ("kind", "constant", "type"),
    [
        ("mul", "1.0", FLOATS),
        ("div", "1.0", FLOATS),
        ("sub", "0.0", FLOATS),
        ("add", "-0.0", FLOATS),
        ("pow", "1.0", FLOATS),
        ("add", "0", INTS),
        ("sub", "0", INTS),
        ("mul", "1", INTS),
        ("floordiv", "1", INTS),
        ("and", "-1", INTS),
        ("or", "0", INTS),
        ("xor", "0", INTS),
        ("shl", "0", INTS),
        ("shr", "0", INTS),
        ("and", "true", BOOLS),
        ("or", "false", BOOLS),
        ("xor", "false", BOOLS),
    ],
)
def test_neutral_elements_go(kind: str, constant: str, type: str) -> None:
    assert canonical(expression(kind, constant, type)) == GONE + type


@pytest.mark.parametrize("kind", ["mul", "add"])
def test_constants_move_to_the_right_first(kind: str) -> None:
    neutral = "1.0" if kind == "mul" else "-0.0"
    assert canonical(expression(kind, neutral, FLOATS, flipped=True)) == GONE + FLOATS


@pytest.mark.parametrize(
    ("kind", "constant"), [("mul", "0.0"), ("add", "0.0"), ("sub", "-0.0"), ("div", "3.0")]
)
def test_floats_keep_what_would_change_a_bit(kind: str, constant: str) -> None:
    assert f"pico.binary {kind} %x" in canonical(expression(kind, constant, FLOATS))


@pytest.mark.parametrize(("kind", "constant"), [("mul", "0"), ("and", "0"), ("remainder", "1")])
def test_integers_are_absorbed(kind: str, constant: str) -> None:
    assert "pico.constant dense<0>" in canonical(expression(kind, constant, INTS))


@pytest.mark.parametrize(
    ("kind", "constant", "expected"),
    [
        ("pow", "2.0", "pico.binary mul %x, %x"),
        ("div", "8.0", "pico.binary mul %x"),
        ("mul", "-1.0", "pico.unary neg %x"),
        ("pow", "0.0", "pico.constant dense<1.0>"),
    ],
)
def test_cheaper_forms(kind: str, constant: str, expected: str) -> None:
    assert expected in canonical(expression(kind, constant, FLOATS))


def test_division_by_a_power_of_two_keeps_every_bit() -> None:
    text = expression("div", "8.0", FLOATS)
    module = parse_module(text)
    Canonicalize().apply(new_context(), module)
    x = np.array([1e-45, -0.0, np.inf, 3.3], np.float32)
    assert evaluate(module, [x])[0].tobytes() == (x / np.float32(8)).tobytes()


@pytest.mark.parametrize(
    ("body", "arguments", "type"),
    [
        ("%a = pico.unary neg %x : T\n%y = pico.unary neg %a : T", "%x: T", FLOATS),
        ("%a = pico.unary not %x : T\n%y = pico.unary not %a : T", "%x: T", BOOLS),
        ("%y = pico.binary maximum %x, %x : T", "%x: T", FLOATS),
        (
            "%y = pico.select %c, %x, %x : tensor<4xi1>, T",
            "%x: T, %c: tensor<4xi1>",
            FLOATS,
        ),
        ("%y = pico.cast %x to f32 : T -> T", "%x: T", FLOATS),
        (
            (
                "%a = pico.cast %x to f64 : T -> tensor<4xf64>\n"
                "%y = pico.cast %a to f32 : tensor<4xf64> -> T"
            ),
            "%x: T",
            FLOATS,
        ),
        ("%y = pico.reduce max %x axes [] : T -> T", "%x: T", FLOATS),
        ("%y = pico.concat %x axis 0 : T -> T", "%x: T", FLOATS),
        ("%y = pico.pad %x with 0.0 : f32 low [0] high [0] interior [0] : T -> T", "%x: T", FLOATS),
        ("%y = pico.slice %x from [0] to [4] step [1] : T -> T", "%x: T", FLOATS),
        ("%a = pico.reverse %x axes [0] : T\n%y = pico.reverse %a axes [0] : T", "%x: T", FLOATS),
        (
            (
                "%a = pico.reshape %x to [2, 2] : T -> tensor<2x2xf32>\n"
                "%y = pico.reshape %a to [4] : tensor<2x2xf32> -> T"
            ),
            "%x: T",
            FLOATS,
        ),
        (
            (
                "%a = pico.pad %x with 1.0 : f32 low [2] high [1] interior [1]"
                " : T -> tensor<10xf32>\n"
                "%y = pico.slice %a from [2] to [9] step [2] : tensor<10xf32> -> T"
            ),
            "%x: T",
            FLOATS,
        ),
    ],
)
def test_what_does_nothing_goes(body: str, arguments: str, type: str) -> None:
    text = function(body, arguments, type).replace("T", type)
    assert canonical(text) == GONE + type


def test_the_magnitude_of_what_has_no_sign_is_itself() -> None:
    """-7 of uint8 is 249, and so is its magnitude."""
    body = "%a = pico.unary neg %x : T\n%y = pico.unary abs %a : T"
    found = canonical(function(body, "%x: T", "tensor<4xui8>").replace("T", "tensor<4xui8>"))
    assert "neg" in found
    assert "abs" not in found


def test_a_cast_that_loses_something_stays() -> None:
    body = (
        "%a = pico.cast %x to f32 : tensor<4xf64> -> tensor<4xf32>\n"
        "%y = pico.cast %a to f64 : tensor<4xf32> -> tensor<4xf64>"
    )
    assert canonical(function(body, "%x: tensor<4xf64>", "tensor<4xf64>")).count("pico.cast") == 2


@pytest.mark.parametrize(
    "chain", [("i32", "f64", "i8"), ("i16", "f32", "ui8"), ("ui8", "bf16", "i8")]
)
def test_a_cast_by_way_of_a_float_saturates(chain: tuple[str, str, str]) -> None:
    source, middle, target = (f"tensor<2x{name}>" for name in chain)
    body = f"""%w = pico.cast %x to {chain[1]} : {source} -> {middle}
    %y = pico.cast %w to {chain[2]} : {middle} -> {target}"""
    text = canonical(function(body, f"%x: {source}", target))
    assert text.count("pico.cast") == 2


def test_comparisons_of_floats_know_nan() -> None:
    same = "%y = pico.compare {} %x, %x : tensor<4xf32> -> tensor<4xi1>"
    for kind, folds in (("eq", False), ("ne", False), ("lt", True), ("gt", True), ("le", False)):
        text = canonical(function(same.format(kind), "%x: tensor<4xf32>", BOOLS))
        assert ("pico.constant dense<false>" in text) == folds, kind


def test_negated_comparisons_turn_round_for_integers_only() -> None:
    body = "%a = pico.compare lt %x, %z : T -> tensor<4xi1>\n%y = pico.unary not %a : tensor<4xi1>"
    for type, expected in ((INTS, "pico.compare ge"), (FLOATS, "pico.unary not")):
        arguments = f"%x: {type}, %z: {type}"
        assert expected in canonical(function(body.replace(" T ", f" {type} "), arguments, BOOLS))


@pytest.mark.parametrize(
    ("body", "arguments", "result", "expected"),
    [
        (
            (
                "%a = pico.permute %x by [1, 2, 0] : tensor<2x3x5xf32> -> tensor<3x5x2xf32>\n"
                "%y = pico.permute %a by [2, 1, 0] : tensor<3x5x2xf32> -> tensor<2x5x3xf32>"
            ),
            "%x: tensor<2x3x5xf32>",
            "tensor<2x5x3xf32>",
            "pico.permute %x by [0, 2, 1]",
        ),
        (
            (
                "%a = pico.slice %x from [1] to [8] step [2] : tensor<9xf32> -> tensor<4xf32>\n"
                "%y = pico.slice %a from [1] to [4] step [2] : tensor<4xf32> -> tensor<2xf32>"
            ),
            "%x: tensor<9xf32>",
            "tensor<2xf32>",
            "pico.slice %x from [3] to [8] step [4]",
        ),
        (
            (
                "%a = pico.concat %x, %z axis 0 : tensor<3xf32>, tensor<4xf32> -> tensor<7xf32>\n"
                "%y = pico.slice %a from [4] to [6] step [1] : tensor<7xf32> -> tensor<2xf32>"
            ),
            "%x: tensor<3xf32>, %z: tensor<4xf32>",
            "tensor<2xf32>",
            "pico.slice %z from [1] to [3] step [1]",
        ),
        (
            (
                "%a = pico.reshape %x to [1, 3] : tensor<3xf32> -> tensor<1x3xf32>\n"
                "%y = pico.broadcast %a to [5, 3] : tensor<1x3xf32> -> tensor<5x3xf32>"
            ),
            "%x: tensor<3xf32>",
            "tensor<5x3xf32>",
            "pico.broadcast %x to [5, 3]",
        ),
        (
            (
                "%a = pico.reduce max %x axes [1] : tensor<2x3x5xf32> -> tensor<2x5xf32>\n"
                "%y = pico.reduce max %a axes [1] : tensor<2x5xf32> -> tensor<2xf32>"
            ),
            "%x: tensor<2x3x5xf32>",
            "tensor<2xf32>",
            "pico.reduce max %x axes [1, 2]",
        ),
        (
            (
                "%a = pico.pad %x with 0.0 : f32 low [0, 0, 2] high [0, 0, 1] interior [0, 0, 0]"
                " : tensor<2x3x5xf32> -> tensor<2x3x8xf32>\n"
                "%y = pico.convolution %a, %w strides [1] low [0] high [1] dilations [1] groups 1"
                " : tensor<2x3x8xf32>, tensor<4x3x3xf32> -> tensor<2x4x7xf32>"
            ),
            "%x: tensor<2x3x5xf32>, %w: tensor<4x3x3xf32>",
            "tensor<2x4x7xf32>",
            "pico.convolution %x, %w strides [1] low [2] high [2] dilations [1] groups 1",
        ),
        (
            (
                "%a = pico.windows %x axis 0 size 2 stride 2 dilation 1"
                " : tensor<6x3xf32> -> tensor<3x2x3xf32>\n"
                "%y = pico.reshape %a to [3, 6] : tensor<3x2x3xf32> -> tensor<3x6xf32>"
            ),
            "%x: tensor<6x3xf32>",
            "tensor<3x6xf32>",
            "pico.reshape %x to [3, 6]",
        ),
        (
            (
                "%a = pico.scan mul %x axis 1 : tensor<3x1xf32>\n"
                "%y = pico.unary neg %a : tensor<3x1xf32>"
            ),
            "%x: tensor<3x1xf32>",
            "tensor<3x1xf32>",
            "pico.unary neg %x",
        ),
        (
            "%y = pico.scan mul %x axis 1 exclusive : tensor<3x1xi32>",
            "%x: tensor<3x1xi32>",
            "tensor<3x1xi32>",
            "pico.constant dense<1> : tensor<3x1xi32>",
        ),
        (
            "%y = pico.argsort %x axis 0 : tensor<1x4xf32> -> tensor<1x4xi64>",
            "%x: tensor<1x4xf32>",
            "tensor<1x4xi64>",
            "pico.constant dense<0> : tensor<1x4xi64>",
        ),
        (
            "%y = pico.permute %x by [1, 0] : tensor<1x7xf32> -> tensor<7x1xf32>",
            "%x: tensor<1x7xf32>",
            "tensor<7x1xf32>",
            "pico.reshape %x to [7, 1]",
        ),
    ],
)
def test_views_and_reductions_join(body: str, arguments: str, result: str, expected: str) -> None:
    lines = canonical(function(body, arguments, result)).splitlines()
    assert len(lines) == 2 and expected in lines[0], lines


def test_float_sums_are_not_reassociated() -> None:
    body = (
        "%a = pico.reduce add %x axes [1] : tensor<2x3xf32> -> tensor<2xf32>\n"
        "%y = pico.reduce add %a axes [0] : tensor<2xf32> -> tensor<f32>"
    )
    assert canonical(function(body, "%x: tensor<2x3xf32>", "tensor<f32>")).count("reduce") == 2


def test_values_without_elements_are_constants() -> None:
    body = (
        "%a = pico.unary exp %x : tensor<3x0xf32>\n"
        "%b = pico.reduce mul %a axes [1] : tensor<3x0xf32> -> tensor<3xf32>\n"
        "%p = pico.permute %x by [1, 0] : tensor<3x0xf32> -> tensor<0x3xf32>\n"
        "%m = pico.matmul %x, %p : tensor<3x0xf32>, tensor<0x3xf32> -> tensor<3x3xf32>\n"
        "%s = pico.reduce add %m axes [1] : tensor<3x3xf32> -> tensor<3xf32>\n"
        "%y = pico.binary add %b, %s : tensor<3xf32>"
    )
    text = canonical(function(body, "%x: tensor<3x0xf32>", "tensor<3xf32>"))
    assert text.splitlines() == [
        "%y = pico.constant dense<1.0> : tensor<3xf32>",
        "func.return %y : tensor<3xf32>",
    ]


def test_large_splats_stay_one_number() -> None:
    body = (
        "%a = pico.constant dense<2.0> : tensor<4096xf32>\n"
        "%b = pico.constant dense<3.0> : tensor<4096xf32>\n"
        "%y = pico.binary mul %a, %b : tensor<4096xf32>"
    )
    lines = canonical(function(body, "", "tensor<4096xf32>")).splitlines()
    assert "pico.constant dense<6.0> : tensor<f32>" in lines[0]
    assert "pico.broadcast" in lines[1]


def test_a_scatter_of_one_element_a_row_is_a_selection() -> None:
    body = (
        "%y = pico.scatter add %x at %i from %u axis 1"
        " : tensor<3x5xf32>, tensor<3x1xi64>, tensor<3x1xf32>"
    )
    arguments = "%x: tensor<3x5xf32>, %i: tensor<3x1xi64>, %u: tensor<3x1xf32>"
    text = function(body, arguments, "tensor<3x5xf32>")
    assert "pico.scatter" not in canonical(text)
    before, after = parse_module(text), parse_module(text)
    Canonicalize().apply(new_context(), after)
    x = RNG.normal(size=(3, 5)).astype(np.float32)
    index, updates = np.array([[4], [0], [2]]), RNG.normal(size=(3, 1)).astype(np.float32)
    (expected,), (found,) = (evaluate(m, [x, index, updates]) for m in (before, after))
    assert np.array_equal(expected, found)
    for module in (before, after):
        with pytest.raises(IndexOutOfRange):
            evaluate(module, [x, index + 1, updates])


def test_folding_leaves_errors_to_the_run() -> None:
    body = (
        "%x = pico.constant dense<[1.0, 2.0]> : tensor<2xf32>\n"
        "%i = pico.constant dense<[2]> : tensor<1xi64>\n"
        "%y = pico.gather %x at %i axis 0 : tensor<2xf32>, tensor<1xi64> -> tensor<1xf32>"
    )
    assert "pico.gather" in canonical(function(body, "", "tensor<1xf32>"))


def test_names_and_lines_survive() -> None:
    text = function(
        '%y = pico.binary pow %x, %c {at = "model.py:7"} : tensor<4xf32>',
        "%x: tensor<4xf32>",
        FLOATS,
    ).replace("{\n", "{\n%c = pico.constant dense<2.0> : tensor<4xf32>\n", 1)
    assert canonical(text).splitlines()[0] == (
        '%y = pico.binary mul %x, %x {at = "model.py:7"} : tensor<4xf32>'
    )


def test_rules_that_undo_each_other_are_caught() -> None:
    def to_abs(op: UnaryOp, build: Build) -> SSAValue | None:
        return build(UnaryOp("abs", op.x)) if op.kind.data == "neg" else None

    def to_neg(op: UnaryOp, build: Build) -> SSAValue | None:
        return build(UnaryOp("neg", op.x)) if op.kind.data == "abs" else None

    module = parse_module(
        function("%y = pico.unary neg %x : tensor<4xf32>", "%x: tensor<4xf32>", FLOATS)
    )
    with pytest.raises(PassError, match="do not come to an end") as error:
        rewrite_greedily(module, {UnaryOp: (to_abs, to_neg)})
    assert "to_abs" in str(error.value) or "to_neg" in str(error.value)


def test_a_rule_that_builds_and_does_not_match_is_caught() -> None:
    def careless(op: BinaryOp, build: Build) -> SSAValue | None:
        build(UnaryOp("neg", op.a))
        return None

    module = parse_module(expression("add", "3.0", FLOATS))
    with pytest.raises(PassError, match="did not match"):
        rewrite_greedily(module, {BinaryOp: (careless,)})


@settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
@given(samples(fewest_ops=4))
def test_once_is_enough(sample: Sample) -> None:
    module = sample.module.clone()
    Canonicalize().apply(new_context(), module)
    once = module.clone()
    Canonicalize().apply(new_context(), module)
    assert once.is_structurally_equivalent(module), f"{once}\n{module}"
