"""Registering ops and rules: what is refused. What works is the guide "Add an op", a test of its
own, in a process of its own: what is registered stays for as long as the process lives.
"""

from typing import Any, ClassVar

import pytest
from xdsl.irdl import irdl_op_definition

from picograd.compiler.extension import register_elementwise, registered, told
from picograd.dialects.tensor import OPS, TensorOp
from picograd.errors import IndexOutOfRange, OptionError, RuleError
from picograd.passes.fusion.strides import OPERAND_STRIDES
from picograd.passes.rules import ALL, all_rules
from picograd.semantics.tensor import EVALUATE


@irdl_op_definition
class ForeignOp(TensorOp):
    """An op that is not of tensor level."""

    name: ClassVar[str] = "mine.hypot"

    @classmethod
    def infer(cls, operand_types: Any, properties: Any) -> Any:
        return operand_types[0]


@irdl_op_definition
class TakenOp(TensorOp):
    """An op whose name is another's."""

    name: ClassVar[str] = "pico.matmul"

    @classmethod
    def infer(cls, operand_types: Any, properties: Any) -> Any:
        return operand_types[0]


def never(*arguments: object) -> Any:
    raise AssertionError("an op that was refused is not used")


@pytest.mark.parametrize(
    ("op", "message"),
    [(ForeignOp, "not of tensor level"), (TakenOp, "there is an op called pico.matmul already")],
)
def test_what_cannot_be_registered_leaves_no_trace(op: type[TensorOp], message: str) -> None:
    before = registered()
    with pytest.raises(OptionError, match=message):
        register_elementwise(op, evaluate=never, bound=never, gradient=never, lower=never)
    assert registered() == before
    assert op not in EVALUATE and op not in OPERAND_STRIDES


def test_without_registrations_the_tables_are_picograds_own() -> None:
    assert set(EVALUATE) == set(OPS)
    assert all_rules() == ALL


def test_what_a_rule_raises_is_told_as_its_own() -> None:
    def wrong(x: int, *, by: int = 0) -> int:
        """A rule."""
        return x // by

    rule = told("pico.ratio", "bound", wrong)
    assert rule(7, by=2) == 3
    assert (rule.__name__, rule.__doc__) == ("wrong", "A rule.")
    with pytest.raises(RuleError, match=r"`bound` of pico\.ratio failed: Zero") as caught:
        rule(7)
    assert caught.value.code == "PG718"
    assert "return x // by" in caught.value.found and caught.value.hint
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_picograds_own_errors_stay_what_they_are() -> None:
    error = IndexOutOfRange("index 9 is out of range", code="PG401", hint="look at it")

    def refuses() -> None:
        raise error

    with pytest.raises(IndexOutOfRange) as caught:
        told("pico.ratio", "evaluate", refuses)()
    assert caught.value is error
