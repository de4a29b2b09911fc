"""Malformed text and broken IR end in errors that say where and what."""

import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.diagnostics import check_dominance, excerpt, parse_module, verify_module
from picograd.errors import ParseFailure, VerificationError

GOOD = """builtin.module {
  func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
    %e = pico.unary exp %x : tensor<2xf32>
    %n = pico.unary neg %e : tensor<2xf32>
    func.return %n : tensor<2xf32>
  }
}
"""


def test_parse_and_print() -> None:
    assert str(parse_module(GOOD)) + "\n" == GOOD


@pytest.mark.parametrize(
    ("old", "new", "line", "column"),
    [
        ("unary exp", "unary expp", 3, 21),
        ("%n :", "%n ;", 5, 20),
        ("pico.unary neg %e", "pico.unary neg %f", 4, 25),
        ("pico.unary neg", "pico.nonsense", 4, 24),
        ("%x: tensor<2xf32>", "%x: tensor<2xf33>", 2, 0),
    ],
)
def test_malformed_text_shows_line_column_and_caret(
    old: str, new: str, line: int, column: int
) -> None:
    with pytest.raises(ParseFailure) as caught:
        parse_module(GOOD.replace(old, new), "model.mlir")
    place, source, caret = caught.value.where.splitlines()
    assert place.startswith(f"model.mlir:{line}:")
    if column:
        assert place == f"model.mlir:{line}:{column}"
    text = GOOD.replace(old, new).splitlines()[line - 1]
    assert source == f"{line} | {text}"
    assert caret.strip("^ ") == "" and caret.count("^") >= 1
    # The caret stands below the column that the message names.
    assert caret.index("^") == len(f"{line} | ") + int(place.rsplit(":", 1)[1]) - 1
    assert "Traceback" not in str(caught.value)


def test_text_that_ends_too_early() -> None:
    with pytest.raises(ParseFailure) as caught:
        parse_module("builtin.module {\n  func.func @main() {", "cut.mlir")
    assert caught.value.where.startswith("cut.mlir:2:")


def test_a_broken_rule_names_the_op_and_shows_its_surroundings() -> None:
    text = GOOD.replace("neg %e : tensor<2xf32>", "neg %e : tensor<3xf32>")
    with pytest.raises((VerificationError, ParseFailure)) as caught:
        parse_module(text)
    assert "tensor<3xf32>" in str(caught.value)


def test_verify_marks_the_op_at_fault() -> None:
    module = parse_module(GOOD)
    exp = next(op for op in module.walk() if op.name == "pico.unary")
    del exp.properties["kind"]
    with pytest.raises(VerificationError) as caught:
        verify_module(module)
    assert "pico.unary" in caught.value.message


def swapped() -> ModuleOp:
    """The module with the use of %e before its definition."""
    module = parse_module(GOOD)
    exp, neg = [op for op in module.walk() if op.name == "pico.unary"]
    block = exp.parent_block()
    assert block is not None
    neg.detach()
    block.insert_op_before(neg, exp)
    return module


def test_a_use_before_the_definition_is_found() -> None:
    module = swapped()
    module.verify()  # xDSL itself sees nothing wrong
    with pytest.raises(VerificationError) as caught:
        verify_module(module)
    assert "uses operand %e where it is not defined" in caught.value.message
    assert "pico.unary" in caught.value.found
    marked = [line for line in caught.value.where.splitlines() if line.startswith("  >")]
    assert len(marked) == 1 and "neg" in marked[0]


def test_a_value_of_an_inner_region_is_not_visible_outside() -> None:
    module = parse_module(
        """builtin.module {
  loop.kernel @k(%x: memref<4xf32>, %y: memref<4xf32>) {
    loop.parallel %i = 0 to 4 {
      %v = loop.load %x[%i] : memref<4xf32>
      loop.store %v, %y[%i] : f32, memref<4xf32>
    }
  }
}"""
    )
    store = next(op for op in module.walk() if op.name == "loop.store")
    loop = store.parent_op()
    assert loop is not None
    block = loop.parent_block()
    assert block is not None
    store.detach()
    block.add_op(store)
    with pytest.raises(VerificationError, match="not defined"):
        check_dominance(module)


def test_blocks_see_what_dominates_them() -> None:
    text = """builtin.module {
  func.func @f(%c: i1, %x: i32) -> i32 {
    %a = arith.addi %x, %x : i32
    "cf.cond_br"(%c, %a, %a) [^one, ^two] <{operandSegmentSizes = array<i32: 1, 1, 1>}>
      : (i1, i32, i32) -> ()
  ^one(%p: i32):
    func.return %a : i32
  ^two(%q: i32):
    func.return %a : i32
  }
}"""
    from xdsl.context import Context
    from xdsl.dialects import arith, builtin, cf, func
    from xdsl.parser import Parser

    context = Context()
    for dialect in (builtin.Builtin, func.Func, arith.Arith, cf.Cf):
        context.load_dialect(dialect)
    module = Parser(context, text).parse_module()
    check_dominance(module)
    one, two = [op for op in module.walk() if op.name == "func.return"]
    block = one.parent_block()
    assert block is not None
    two.operands[0] = block.args[0]
    with pytest.raises(VerificationError, match="%p"):
        check_dominance(module)


def test_an_excerpt_is_short_and_marks_the_op() -> None:
    middle = "".join(f"    %v{n} = pico.unary neg %x : tensor<2xf32>\n" for n in range(200))
    module = parse_module(GOOD.replace("    %e =", middle + "    %e ="))
    op = next(op for op in module.walk() if op.results and op.results[0].name_hint == "v100")
    lines = excerpt(op).splitlines()
    assert len(lines) < 16
    (marked,) = [line for line in lines if line.startswith("  > ")]
    assert marked.strip("> ").startswith("%v100 ")


def test_an_excerpt_cuts_long_lines() -> None:
    arguments = "".join(f", %x{n}: tensor<2xf32>" for n in range(100))
    module = parse_module(GOOD.replace("%x: tensor<2xf32>", f"%x: tensor<2xf32>{arguments}", 1))
    (function,) = module.ops
    assert "%x99" in str(module)
    lines = excerpt(function).splitlines()
    assert max(map(len, lines)) < 170
    assert any(line.endswith("…") and "%x2:" in line for line in lines)
