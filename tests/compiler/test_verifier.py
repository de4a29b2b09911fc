import pytest
from xdsl.dialects.arith import ConstantOp, MulfOp
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Block, Operation
from xdsl.rewriter import Rewriter
from xdsl.utils.exceptions import DiagnosticException, VerifyException

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.verifier import Verifier

COPY = """builtin.module {
  loop.kernel @copy(%x: memref<8xf32>, %y: memref<8xf32>) {
    loop.parallel %i = 0 to 8 {
      %v = loop.load %x[%i] : memref<8xf32>
      %w = arith.mulf %v, %v : f32
      loop.store %w, %y[%i] : f32, memref<8xf32>
    }
  }
}"""


def named(module: Operation, name: str) -> Operation:
    return next(op for op in module.walk() if op.name == name)


def block_of(op: Operation) -> Block:
    block = op.parent_block()
    assert block is not None
    return block


def test_what_changed_is_verified_again() -> None:
    module, verifier = parse_module(COPY), Verifier()
    verifier.verify(module)
    verifier.verify(module)
    del named(module, "loop.load").properties["map"]
    with pytest.raises((VerifyException, DiagnosticException), match="map"):
        verifier.verify(module)


def test_a_wrong_op_is_found_each_time() -> None:
    module, verifier = parse_module(COPY), Verifier()
    store = named(module, "loop.store")
    del store.properties["map"]
    for _ in range(2):
        with pytest.raises((VerifyException, DiagnosticException), match="map"):
            verifier.verify(module)


def test_an_op_that_is_right_elsewhere_does_not_end_a_body() -> None:
    module, verifier = parse_module(COPY), Verifier()
    verifier.verify(module)
    product, end = named(module, "arith.mulf"), named(module, "loop.yield")
    block_of(end).add_op(MulfOp(product.operands[0], product.operands[1]))
    with pytest.raises((VerifyException, DiagnosticException), match=r"terminat|last"):
        verifier.verify(module)


def test_an_index_has_to_come_from_a_loop_even_if_its_type_is_right() -> None:
    module, verifier = parse_module(COPY), Verifier()
    verifier.verify(module)
    load = named(module, "loop.load")
    index = ConstantOp.from_int_and_width(0, load.operands[1].type)  # pyright: ignore
    block_of(load).insert_op_before(index, load)
    load.operands[1] = index.result
    with pytest.raises((VerifyException, DiagnosticException), match="induction variable"):
        verifier.verify(module)


def test_types_are_part_of_what_is_remembered() -> None:
    module, verifier = parse_module(COPY), Verifier()
    verifier.verify(module)
    product = named(module, "arith.mulf")
    assert product.results[0].type == f32
    number = ConstantOp.from_int_and_width(3, 32)
    block_of(product).insert_op_before(number, product)
    product.operands[1] = number.result
    with pytest.raises((VerifyException, DiagnosticException)):
        verifier.verify(module)


def test_an_empty_body_is_noticed() -> None:
    module, verifier = parse_module(COPY), Verifier()
    block = block_of(named(module, "loop.yield"))
    for op in reversed(list(block.ops)):
        op.detach()
        op.drop_all_references()
    with pytest.raises((VerifyException, DiagnosticException), match="empty block"):
        verifier.verify(module)


KERNEL = """builtin.module {
  func.func @f(%x: tensor<8xf32>) -> tensor<8xf32> {
    %y = kernel.fused "k" (%a = %x : tensor<8xf32>) -> (tensor<8xf32>) {
      %b = pico.binary mul %a, %a : tensor<8xf32>
      kernel.yield %b : tensor<8xf32>
    }
    func.return %y : tensor<8xf32>
  }
}"""


def test_a_missing_end_is_found_each_time_while_the_rest_is_known() -> None:
    module, verifier = parse_module(COPY), Verifier()
    verifier.verify(module)
    named(module, "loop.yield").detach()
    for _ in range(2):
        with pytest.raises((VerifyException, DiagnosticException), match=r"yield|terminat"):
            verifier.verify(module)


@pytest.mark.parametrize("where", ["argument", "yielded"])
def test_an_op_is_verified_again_when_only_its_body_changed(where: str) -> None:
    """The kernel's operands and results stay, and what is in it is right on its own."""
    module, verifier = parse_module(KERNEL), Verifier()
    verifier.verify(module)
    argument = named(module, "kernel.fused").regions[0].block.args[0]
    product = named(module, "pico.binary").results[0]
    value = argument if where == "argument" else product
    Rewriter.replace_value_with_new_type(value, TensorType(f32, [9]))
    if where == "yielded":
        named(module, "pico.binary").operands = [argument, argument]
        Rewriter.replace_value_with_new_type(argument, TensorType(f32, [9]))
    for _ in range(2):
        with pytest.raises((VerifyException, DiagnosticException)):
            verifier.verify(module)


def test_verification_after_a_change_that_is_right() -> None:
    module, verifier = parse_module(KERNEL), Verifier()
    verifier.verify(module)
    product = named(module, "pico.binary")
    twice = product.clone()
    block_of(product).insert_op_after(twice, product)
    verifier.verify(module)
    twice.detach()
    verifier.verify(module)
