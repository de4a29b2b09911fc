"""late_formats: an op's assembly format is read when it is first printed or parsed."""

from __future__ import annotations

import pytest
from xdsl.dialects import test
from xdsl.dialects.builtin import f32
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, result_def
from xdsl.parser import Parser
from xdsl.utils.exceptions import PyRDLOpDefinitionError

from picograd.dialects import new_context


def test_a_format_prints_and_parses() -> None:
    @irdl_op_definition
    class Twice(IRDLOperation):
        name = "loop.twice"
        x = operand_def(f32)
        result = result_def(f32)
        assembly_format = "`of` $x attr-dict"

    assert Twice.get_irdl_definition().assembly_format == Twice.assembly_format
    op = Twice(operands=[test.TestOp(result_types=[f32]).results[0]], result_types=[f32])
    op.attributes["note"] = f32
    for _ in range(2):
        assert str(op) == "%0 = loop.twice of %1 {note = f32}"
    context = new_context()
    context.load_op(Twice)
    text = "func.func @main(%x: f32) { %y = loop.twice of %x {note = f32} func.return }"
    module = Parser(context, text).parse_module()
    (read,) = (op for op in module.walk() if isinstance(op, Twice))
    assert read.attributes == {"note": f32} and read.result.type == f32


def test_a_wrong_format_is_told_of_by_its_first_use() -> None:
    @irdl_op_definition
    class Wrong(IRDLOperation):
        name = "loop.wrong"
        x = operand_def(f32)
        assembly_format = "`of` $y attr-dict"

    op = Wrong(operands=[test.TestOp(result_types=[f32]).results[0]])
    for _ in range(2):
        with pytest.raises(PyRDLOpDefinitionError, match="assembly format"):
            str(op)


def test_ops_without_a_format_are_printed_in_full() -> None:
    @irdl_op_definition
    class Plain(IRDLOperation):
        name = "loop.plain"

    assert str(Plain()) == '"loop.plain"() : () -> ()'
