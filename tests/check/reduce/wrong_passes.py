"""Passes that are wrong, each in a way of its own, and cases that they spoil."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import SSAValue
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)
from xdsl.rewriter import Rewriter

from picograd.check.generation.programs import random_samples
from picograd.check.oracle import Case, Failure, examine
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.validation.inputs import draw_inputs
from picograd.dialects.tensor import BinaryOp, ReduceOp, TensorOp, UnaryOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.greedy import Build, rewrite_greedily
from picograd.semantics.evaluate import entry_of


@dataclass(frozen=True)
class OnTensors(Pass):
    """What all of them are: passes that stay at tensor level."""

    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR


def product_to_sum(op: BinaryOp, build: Build) -> SSAValue | None:
    return build(BinaryOp("add", op.a, op.b)) if op.kind.data == "mul" else None


@dataclass(frozen=True)
class WrongValue(OnTensors):
    """Every product becomes a sum."""

    name: ClassVar[str] = "wrong_value"
    often: bool = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_greedily(op, {BinaryOp: (product_to_sum,)})


def sum_of_operand(op: ReduceOp, build: Build) -> SSAValue | None:
    return op.x if op.kind.data == "add" else None


@dataclass(frozen=True)
class WrongShape(OnTensors):
    """Every sum becomes what is summed."""

    name: ClassVar[str] = "wrong_shape"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite_greedily(op, {ReduceOp: (sum_of_operand,)})


class Lookup(RewritePattern):
    """Knows some functions, and trips over the others."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: UnaryOp, rewriter: PatternRewriter, /) -> None:
        if op.kind.data == "tanh":
            raise KeyError("tanh")


@dataclass(frozen=True)
class Crash(OnTensors):
    """Walks over the ops as xDSL does, and raises."""

    name: ClassVar[str] = "crash"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        PatternRewriteWalker(GreedyRewritePatternApplier([Lookup()])).rewrite_module(op)


@dataclass(frozen=True)
class DropResult(OnTensors):
    """Returns one value less, where a maximum is computed: a pass that uses no driver of rules."""

    name: ClassVar[str] = "drop_result"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        function = entry_of(op)
        if not any("maximum" in str(inner) for inner in function.body.block.ops):
            return
        terminator = function.body.block.last_op
        assert isinstance(terminator, ReturnOp)
        left = terminator.operands[:-1]
        Rewriter.replace_op(terminator, ReturnOp(*left), [])
        function.update_function_type()


@dataclass(frozen=True)
class TwoFaults(OnTensors):
    """A wrong value; and a crash at rank 0, to which a careless reduction would slip."""

    name: ClassVar[str] = "two_faults"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in op.walk():
            if isinstance(inner, TensorOp) and not inner.result.type.get_shape():
                raise IndexError("no axis 0")
        rewrite_greedily(op, {BinaryOp: (product_to_sum, quotient_to_difference)})


def quotient_to_difference(op: BinaryOp, build: Build) -> SSAValue | None:
    return build(BinaryOp("sub", op.a, op.b)) if op.kind.data == "div" else None


def failing(
    passes: Pipeline, *, ops: int, seed: int, fits: Callable[[Case], Any] = lambda case: True
) -> Iterator[tuple[Case, Failure]]:
    """Random cases of so many ops and more that the passes spoil."""
    kinds = ("unary", "binary", "reduce", "broadcast", "matmul", "select", "permute", "slice")
    samples = random_samples(200, seed, fewest_ops=ops, most_ops=ops, makers=kinds)
    for sample in samples:
        case = Case(sample.module, tuple(sample.inputs), passes)
        failure = examine(case) if fits(case) else None
        if failure is not None:
            yield case, failure


def case_of(text: str, *passes: Pass, seed: int = 0, device: str = "reference") -> Case:
    """A case in a text, with ordinary inputs."""
    module = parse_module(text)
    return Case(module, tuple(draw_inputs(module, seed)[0]), Pipeline(passes), device)
