"""Structural keys: equal exactly for ops that mean the same."""

import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.diagnostics import parse_module
from picograd.passes.rewriting.structure import structural_key

TEXT = """builtin.module {
  func.func @main(%x: tensor<2xf32>, %y: tensor<2xf32>) -> tensor<2xf32> {
    %a = pico.binary sub %x, %y : tensor<2xf32>
    %b = pico.unary exp %a : tensor<2xf32>
    func.return %b : tensor<2xf32>
  }
}"""


def changed(old: str, new: str) -> ModuleOp:
    assert old in TEXT
    return parse_module(TEXT.replace(old, new))


def test_names_and_notes_do_not_count() -> None:
    key = structural_key(parse_module(TEXT))
    assert structural_key(changed("%a", "%hidden")) == key
    note = changed("exp %a :", 'exp %a {at = "model.py:3"} :')
    assert structural_key(note) == key
    assert hash(structural_key(note)) == hash(key)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("%x, %y : tensor", "%y, %x : tensor"),
        ("%x, %y : tensor", "%x, %x : tensor"),
        ("binary sub", "binary add"),
        ("return %b", "return %a"),
        ("2xf32", "3xf32"),
        ("2xf32", "2xf64"),
        ("@main", "@other"),
    ],
)
def test_everything_else_does(old: str, new: str) -> None:
    assert structural_key(changed(old, new)) != structural_key(parse_module(TEXT))


PAD = """builtin.module {
  func.func @main(%x: tensor<2xf32>) -> tensor<4xf32> {
    %y = pico.pad %x with FILL : f32 low [1] high [1] interior [0] : tensor<2xf32> -> tensor<4xf32>
    func.return %y : tensor<4xf32>
  }
}"""
SPLAT = """builtin.module {
  func.func @main() -> tensor<2xf32> {
    %y = pico.constant dense<FILL> : tensor<2xf32>
    func.return %y : tensor<2xf32>
  }
}"""
ELEMENT = """builtin.module {
  loop.kernel @fill(%y: memref<2xf32>) {
    loop.parallel %i = 0 to 2 {
      %v = arith.constant FILL : f32
      loop.store %v, %y[%i] : f32, memref<2xf32>
    }
  }
}"""


@pytest.mark.parametrize("text", [PAD, SPLAT, ELEMENT])
@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("0.0", "-0.0", False),
        ("-0.0", "-0.0", True),
        ("0x7fc00000", "0x7fc00000", True),
        ("0x7fc00000", "0xffc00000", False),
    ],
)
def test_numbers_are_compared_bit_by_bit(text: str, first: str, second: str, same: bool) -> None:
    one, other = (structural_key(parse_module(text.replace("FILL", n))) for n in (first, second))
    assert (one == other) == same
    assert not same or hash(one) == hash(other)


def test_properties_can_be_left_out() -> None:
    (function,) = parse_module(TEXT).ops
    (other,) = changed("@main", "@other").ops
    without = frozenset({"sym_name"})
    assert structural_key(function, without=without) == structural_key(other, without=without)
