"""The kernel dialect parses, prints and verifies."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Region
from xdsl.parser import Parser
from xdsl.traits import is_side_effect_free
from xdsl.utils.exceptions import ParseError, VerifyException

from picograd.dialects import kernel, new_context
from picograd.dialects.dtypes import float32, tensor_type
from picograd.dialects.kernel import FusedOp, YieldOp
from picograd.dialects.tensor import UnaryOp

PAIR = """
func.func @main(%x: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %p, %q = kernel.fused "pair" (%a = %x : tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>)
      absorbs ["u", "v"] attributes {tag = 1 : i64} {
    %b = pico.unary exp %a : tensor<3xf32>
    %c = pico.unary neg %b {at = "model.py:3"} : tensor<3xf32>
    kernel.yield %b, %c : tensor<3xf32>, tensor<3xf32>
  }
  %n = kernel.fused "none" () -> (tensor<2xi32>) {
    %i = pico.iota 2 of i32 : tensor<2xi32>
    kernel.yield %i : tensor<2xi32>
  }
  func.return %p, %q : tensor<3xf32>, tensor<3xf32>
}
"""


def parse(text: str) -> ModuleOp:
    return Parser(new_context(), text).parse_module()


def test_round_trip():
    module = parse(PAIR)
    module.verify()
    text = str(module)
    again = parse(text)
    again.verify()
    assert again.is_structurally_equivalent(module)
    assert str(again) == text
    fused = next(op for op in module.walk() if isinstance(op, FusedOp))
    assert fused.absorbed_names == ("u", "v")
    assert fused.label.data == "pair"
    assert [value.name_hint for value in fused.outputs] == ["p", "q"]
    assert fused.yield_op.values[1].name_hint == "c"
    assert is_side_effect_free(fused)


def test_the_example_of_the_documentation_is_valid():
    documentation = kernel.__doc__
    assert documentation is not None
    module = parse(documentation[documentation.index("    func.func") :])
    module.verify()
    assert 'absorbs ["h"]' in str(module)


def test_constructor_takes_types_from_the_yield():
    type = tensor_type((2, 3), float32)
    outer = Block(arg_types=[type])
    block = Block(arg_types=[type])
    exp = UnaryOp("exp", block.args[0])
    block.add_ops([exp, YieldOp([exp.result, block.args[0]])])
    fused = FusedOp("exp", outer.args, Region(block), absorbed=["hidden"])
    fused.verify()
    assert list(fused.outputs.types) == [type, type]
    assert fused.absorbed_names == ("hidden",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("() -> (tensor<2xi32>)", "() -> (tensor<3xi32>)", "results' types"),
        (
            "kernel.yield %i : tensor<2xi32>",
            "kernel.yield %i, %i : tensor<2xi32>, tensor<2xi32>",
            "one value for each",
        ),
        ("    kernel.yield %i : tensor<2xi32>\n", "", "not a terminator"),
        (
            "%i = pico.iota 2 of i32 : tensor<2xi32>",
            "%i = pico.iota 2 of i32 : tensor<2xi32>\n%z = arith.constant 0 : i32",
            "arith.constant",
        ),
    ],
)  # fmt: skip
def test_broken_kernels_do_not_verify(old: str, new: str, message: str):
    assert old in PAIR
    with pytest.raises(VerifyException, match=message):
        parse(PAIR.replace(old, new)).verify()


def test_a_kernel_sees_nothing_but_its_operands():
    leaking = PAIR.replace("%c = pico.unary neg %b", "%c = pico.unary neg %x")
    with pytest.raises(VerifyException):
        parse(leaking).verify()


def test_a_missing_binding_is_a_parse_error():
    with pytest.raises(ParseError):
        parse(PAIR.replace("(%a = %x : tensor<3xf32>)", "(%x : tensor<3xf32>)"))
