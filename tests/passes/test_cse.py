"""cse: what is computed twice is computed once, bit by bit the same."""

from collections.abc import Hashable

import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.dialects.dtypes import float32, tensor_type
from picograd.dialects.tensor import BinaryOp, UnaryOp
from picograd.passes import cse
from picograd.passes.cse import CSE, merge_equal

TYPE = "tensor<4xf32>"


def count(body: str, type: str = TYPE) -> int:
    """How many ops are left of a body over two arguments, when all of them are returned."""
    names = [line.split(" = ")[0].strip() for line in body.strip().splitlines()]
    results = ", ".join([type] * len(names))
    module = parse_module(
        f"func.func @main(%x: {type}, %y: {type}) -> ({results}) {{\n{body}\n"
        f"func.return {', '.join(names)} : {results}\n}}".replace("T", type)
    )
    CSE().apply(new_context(), module)
    module.verify()
    return str(module).count("pico.")


@pytest.mark.parametrize("kind", ["add", "mul"])
def test_commutative_operands_may_swap(kind: str) -> None:
    assert count(f"%a = pico.binary {kind} %x, %y : T\n%b = pico.binary {kind} %y, %x : T") == 1


@pytest.mark.parametrize("kind", ["sub", "div", "pow", "maximum", "minimum"])
def test_others_may_not(kind: str) -> None:
    assert count(f"%a = pico.binary {kind} %x, %y : T\n%b = pico.binary {kind} %y, %x : T") == 2
    assert count(f"%a = pico.binary {kind} %x, %y : T\n%b = pico.binary {kind} %x, %y : T") == 1


def test_chains_merge_in_one_sweep() -> None:
    body = (
        "%a = pico.unary exp %x : T\n%b = pico.unary exp %x : T\n"
        "%c = pico.binary add %a, %y : T\n%d = pico.binary add %y, %b : T"
    )
    assert count(body) == 2


def test_properties_and_types_tell_ops_apart() -> None:
    assert count("%a = pico.unary exp %x : T\n%b = pico.unary neg %x : T") == 2


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ("0.0", "-0.0", 2),
        ("0.0", "0.0", 1),
        ("0x7fc00000", "0x7fc00000", 1),
        ("0x7fc00000", "0x7fc00001", 2),
    ],
)
def test_numbers_are_compared_bit_by_bit(first: str, second: str, left: int) -> None:
    pad = "pico.pad %x with {} : f32 low [0] high [0] interior [0] : T -> T"
    assert count(f"%a = {pad.format(first)}\n%b = {pad.format(second)}") == left


def test_the_name_of_the_value_that_goes_survives() -> None:
    module = parse_module(
        "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n"
        "%0 = pico.unary exp %x : tensor<4xf32>\n%hidden = pico.unary exp %x : tensor<4xf32>\n"
        "%y = pico.binary add %0, %hidden : tensor<4xf32>\n"
        "func.return %y : tensor<4xf32>\n}"
    )
    CSE().apply(new_context(), module)
    assert "%y = pico.binary add %hidden, %hidden" in str(module)


def chain(length: int) -> ModuleOp:
    """Twice the same chain of ops, added at every step."""
    type = tensor_type((3,), float32)
    block = Block(arg_types=[type])
    a: SSAValue = block.args[0]
    b: SSAValue = block.args[0]
    for _ in range(length):
        ops = UnaryOp("tanh", a), UnaryOp("tanh", b)
        block.add_ops(ops)
        a, b = ops[0].result, ops[1].result
    last = BinaryOp("mul", a, b)
    block.add_ops([last, ReturnOp(last)])
    return ModuleOp([FuncOp("main", ([type], [type]), Region(block))])


def test_every_op_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparing ops in pairs would take minutes for the thousands that a large model has."""
    asked: list[Operation] = []
    number = cse.number_of

    def counting(op: Operation) -> Hashable:
        asked.append(op)
        return number(op)

    monkeypatch.setattr(cse, "number_of", counting)
    module = chain(500)
    assert merge_equal(module) == 500
    assert len(asked) == 1001
