"""Counterexamples: found for each kind of fault, cut down, and never for a pass that is right."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from picograd.check.meaning import (
    WAY_TO,
    Fault,
    Program,
    assert_keeps_meaning,
    counterexample,
    in_one_line,
)
from picograd.compiler.diagnostics import parse_module
from picograd.dialects.tensor import BinaryOp, UnaryOp
from picograd.passes import PASSES, Level, Pass
from picograd.passes.rewriting.greedy import rewrite_greedily
from picograd.semantics.evaluate import entry_of

TEXT = """
func.func @main(%x: tensor<3xf32>, %w: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %a = pico.unary exp %x : tensor<3xf32>
  %b = pico.unary tanh %a : tensor<3xf32>
  %c = pico.binary mul %b, %w : tensor<3xf32>
  %d = pico.unary abs %c : tensor<3xf32>
  func.return %d, %a : tensor<3xf32>, tensor<3xf32>
}
"""


def program() -> Program:
    inputs = [np.array([0.5, -1.0, 2.0], np.float32), np.array([3.0, np.nan, 1.0], np.float32)]
    return Program(parse_module(TEXT), inputs)


def pass_that(apply: Callable[[Any], object]) -> Pass:
    """A pass that does what a function says."""

    @dataclass(frozen=True)
    class Made(Pass):
        name = "made"
        level_in = Level.TENSOR
        level_out = Level.TENSOR

        def apply(self, ctx: Any, op: Any) -> None:
            apply(op)

    return Made()


def product_to_sum(op: BinaryOp, build: Any) -> Any:
    return build(BinaryOp("add", op.a, op.b)) if op.kind.data == "mul" else None


def test_a_pass_that_does_nothing_has_no_counterexample() -> None:
    assert counterexample(pass_that(lambda op: None), program()) is None


def test_wrong_values_are_shown_in_a_program_of_one_op() -> None:
    step = pass_that(lambda op: rewrite_greedily(op, {BinaryOp: (product_to_sum,)}))
    found = counterexample(step, program())
    assert found is not None and found.fault == Fault.VALUES
    assert [op.name for op in entry_of(found.before).body.block.ops] == [
        "pico.binary",
        "func.return",
    ]
    text = str(found)
    assert "Before:\nbuiltin.module" in text and "\n%w = " in text


def test_values_within_the_budget_are_the_same() -> None:
    def by_negation(op: BinaryOp, build: Any) -> Any:
        if op.kind.data != "add":
            return None
        return build(BinaryOp("sub", op.a, build(UnaryOp("neg", op.b))))

    text = TEXT.replace("binary mul", "binary add")
    step = pass_that(lambda op: rewrite_greedily(op, {BinaryOp: (by_negation,)}))
    assert counterexample(step, Program(parse_module(text), program().inputs)) is None


@pytest.mark.parametrize(
    ("apply", "fault", "detail"),
    [
        (lambda op: op.nothing, Fault.CRASH, "AttributeError"),
        (lambda op: sys.exit(3), Fault.CRASH, "SystemExit: 3"),
        (
            lambda op: next(iter(entry_of(op).body.block.ops)).detach(),
            Fault.INVALID,
            "left IR that does not verify",
        ),
        (
            lambda op: entry_of(op).properties.update(sym_name=entry_of(op).sym_name.get("other")),
            Fault.SIGNATURE,
            "it was",
        ),
    ],
)
def test_other_faults_are_told_apart(apply: Any, fault: Fault, detail: str) -> None:
    found = counterexample(pass_that(apply), program())
    assert found is not None
    assert found.fault == fault, str(found)
    assert detail in found.detail


def test_a_rule_may_complain() -> None:
    def rule(before: Any, after: Any) -> str:
        return "no tanh, please" if "tanh" in str(after) else ""

    found = counterexample(pass_that(lambda op: None), program(), rule)
    assert found is not None and found.fault == Fault.RULE
    assert found.detail == "no tanh, please"
    assert len(list(entry_of(found.before).body.block.ops)) == 2


@pytest.mark.parametrize("name", ["canonicalize", "dce", "fuse", "plan_buffers"])
def test_the_compilers_own_passes_keep_the_meaning(name: str) -> None:
    step = PASSES[name]()
    changed = assert_keeps_meaning(step, samples=8, seed=5, way=WAY_TO[step.level_in])
    assert changed > 0


def test_a_pass_that_is_wrong_is_found_on_random_programs() -> None:
    step = pass_that(lambda op: rewrite_greedily(op, {BinaryOp: (product_to_sum,)}))
    with pytest.raises(AssertionError, match="it changed what the program computes"):
        assert_keeps_meaning(step, seed=1)


def test_arrays_are_shown_in_one_line() -> None:
    text = in_one_line(np.arange(100.0).reshape(10, 10))
    assert "\n" not in text and len(text) < 300
    assert in_one_line(np.array(2.5, np.float32)) == "2.5"
