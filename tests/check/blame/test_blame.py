"""Blame: a wrong step of any pass is found, with its rule and the lines that it touched."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import (
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)
from xdsl.rewriter import Rewriter

from picograd.check.blame import Blame, blame
from picograd.check.generation.programs import random_samples
from picograd.check.oracle import Case
from picograd.compiler import alone
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.fault import Fault
from picograd.dialects import new_context
from picograd.dialects.literals import Array
from picograd.dialects.loop import KernelOp
from picograd.dialects.tensor import BinaryKind, BinaryOp, UnaryOp
from picograd.passes import Level, Pass
from picograd.passes.fuse import Fuse
from picograd.passes.lowering import rules as lowering
from picograd.passes.parallelize_loops import ParallelizeLoops
from picograd.passes.rewriting import applications
from picograd.passes.rewriting.applications import Applications, counted
from picograd.passes.rewriting.greedy import Build, rewrite_greedily
from tests.programs import softmax_of

SUMS = """builtin.module {
  func.func @main(%x: tensor<5xf32>, %z: tensor<5xf32>) -> tensor<5xf32> {
    %a = pico.binary add %x, %x : tensor<5xf32>
    %b = pico.binary sub %a, %z : tensor<5xf32>
    %0 = pico.unary neg %b : tensor<5xf32>
    %1 = pico.binary sub %0, %z : tensor<5xf32>
    %y = pico.binary mul %1, %b : tensor<5xf32>
    func.return %y : tensor<5xf32>
  }
}"""


def inputs_of(text: str, rng: np.random.Generator) -> tuple[Array, ...]:
    (function,) = (op for op in parse_module(text).ops if isinstance(op, FuncOp))
    shapes = [type.get_shape() for type in function.function_type.inputs]  # pyright: ignore
    return tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes)


def case_of(text: str, steps: Sequence[Pass], rng: np.random.Generator) -> Case:
    return Case(parse_module(text), inputs_of(text, rng), Pipeline(steps))


def blamed(text: str, steps: Sequence[Pass], rng: np.random.Generator) -> Blame:
    found = blame(case_of(text, steps, rng))
    assert found is not None
    return found


# Rules of the greedy driver's


def double(op: BinaryOp, build: Build) -> SSAValue | None:
    """x + x -> x * x: wrong."""
    if op.kind.data is BinaryKind.ADD and op.a is op.b:
        return build(BinaryOp("mul", op.a, op.a))
    return None


def three_times(op: BinaryOp, build: Build) -> SSAValue | None:
    """Right: a * b -> b * a, once."""
    if op.kind.data is BinaryKind.MUL and op.a.name_hint is None:
        return build(BinaryOp("mul", op.b, op.a))
    return None


def crash(op: BinaryOp, build: Build) -> SSAValue | None:
    """Falls over the subtraction of an unnamed value, after it has matched that of a named one."""
    if op.kind.data is not BinaryKind.SUB:
        return None
    if op.a.name_hint is None:
        raise ZeroDivisionError("the rule divides by zero")
    return build(BinaryOp("add", op.a, op.b))


def later(op: BinaryOp, build: Build) -> SSAValue | None:
    """Uses a value before it is defined."""
    if op.kind.data is BinaryKind.ADD:
        last = [use.operation for use in op.b.uses][-1]
        return build(BinaryOp("sub", op.a, last.results[0]))
    return None


@dataclass(frozen=True)
class Greedy(Pass):
    """Runs the rules that are named."""

    name: ClassVar[str] = "greedy"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    rules: str = ""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        named = {rule.__name__: rule for rule in (double, three_times, crash, later)}
        rewrite_greedily(op, {BinaryOp: [named[name] for name in self.rules.split()]})


def test_the_wrong_rule_among_right_ones(rng: np.random.Generator) -> None:
    passes = [*as_passes("cse"), Greedy("three_times double"), *as_passes("dce")]
    found = blamed(SUMS, passes, rng)
    assert (found.rule, found.op, found.family) == (
        "double",
        "pico.binary add",
        "double on pico.binary add",
    )
    assert (found.number, found.total) == (1, 2)
    assert found.step == 'greedy{rules="three_times double"}'
    assert found.source.startswith("tests/check/blame/test_blame.py:")
    assert found.failure.fault is Fault.VALUES
    before = ["%a = pico.binary add %x, %x", "%b = pico.binary sub %a, %z"]
    after = ["%a = pico.binary mul %x, %x", "%b = pico.binary sub %a, %z"]
    for lines, shown in ((before, found.before), (after, found.after)):
        assert all(line in shown for line in lines), shown
    assert "neg" not in found.before + found.after
    text = str(found)
    assert "rewrite:  number 1 of 2: double on pico.binary add" in text
    assert "first wrong value" in text and "%x = [" in text


def test_a_rule_that_crashes(rng: np.random.Generator) -> None:
    found = blamed(SUMS, [Greedy("three_times crash")], rng)
    assert found.failure.fault is Fault.CRASH
    assert (found.rule, found.op, found.number) == ("crash", "pico.binary sub", 2)
    assert found.after == "" and "pico.binary sub %0, %z" in found.before
    assert [line for line in found.before.splitlines() if line.startswith(">")] == [
        ">     %1 = pico.binary sub %0, %z : tensor<5xf32>"
    ]
    assert "it came to no end" in str(found) and "divides by zero" in str(found)


def test_ir_that_does_not_verify(rng: np.random.Generator) -> None:
    found = blamed(SUMS, [Greedy("later")], rng)
    assert found.failure.fault is Fault.INVALID
    assert (found.rule, found.number, found.op) == ("later", 1, "pico.binary add")
    assert "pico.binary add %x, %x" in found.before and "pico.binary sub %x" in found.after


def test_of_many_inputs_the_first_are_shown(rng: np.random.Generator) -> None:
    more = ", ".join(f"%p{n}: tensor<5xf32>" for n in range(20))
    found = blamed(SUMS.replace("%z: tensor<5xf32>", f"%z: tensor<5xf32>, {more}"), [ByHand()], rng)
    whole = replace(found, module=parse_module(SUMS), inputs=inputs_of(SUMS, rng))
    assert "more" not in str(whole)
    many = SUMS.replace("%z: tensor<5xf32>", f"%z: tensor<5xf32>, {more}")
    shown = str(replace(found, module=parse_module(many), inputs=inputs_of(many, rng)))
    assert "%p5 = [" in shown and "%p6" not in shown and "… 14 more" in shown


# Patterns of xDSL's, and passes that count nothing


class SwapSubtraction(RewritePattern):
    """a - b -> b - a, of unnamed values only."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: BinaryOp, rewriter: PatternRewriter, /) -> None:
        if op.kind.data is BinaryKind.SUB:
            rewriter.replace(op, BinaryOp("sub", op.b, op.a))


class AddTwice(RewritePattern):
    """x + x -> x * x - … no: the same op again, which is right."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: BinaryOp, rewriter: PatternRewriter, /) -> None:
        if op.kind.data is BinaryKind.ADD:
            rewriter.replace(op, BinaryOp("add", op.b, op.a))


@dataclass(frozen=True)
class Patterns(Pass):
    """Two patterns of xDSL's, one after the other."""

    name: ClassVar[str] = "patterns"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for pattern in (AddTwice(), SwapSubtraction()):
            PatternRewriteWalker(pattern, apply_recursively=False).rewrite_module(op)


def test_a_pattern_of_xdsls(rng: np.random.Generator) -> None:
    found = blamed(SUMS, [Patterns()], rng)
    assert (found.rule, found.op) == ("SwapSubtraction", "pico.binary sub")
    assert (found.number, found.total) == (2, 3)
    assert found.source.startswith("tests/check/blame/test_blame.py:")
    assert "%b = pico.binary sub %a, %z" in found.before
    assert "%b = pico.binary sub %z, %a" in found.after
    assert "%0" not in found.after.replace("neg", "").split("%b = ")[0]


class Fails(RewritePattern):
    """Falls over the first negation."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: UnaryOp, rewriter: PatternRewriter, /) -> None:
        raise ZeroDivisionError("the pattern divides by zero")


@dataclass(frozen=True)
class Failing(Pass):
    """A right pattern, and one that fails."""

    name: ClassVar[str] = "failing"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for pattern in (AddTwice(), Fails()):
            PatternRewriteWalker(pattern, apply_recursively=False).rewrite_module(op)


def test_a_pattern_that_crashes(rng: np.random.Generator) -> None:
    found = blamed(SUMS, [Failing()], rng)
    assert found.failure.fault is Fault.CRASH
    assert (found.rule, found.op, found.number) == ("Fails", "pico.unary neg", 2)
    assert "divides by zero" in str(found) and found.after == ""


@dataclass(frozen=True)
class ByHand(Pass):
    """Swaps subtractions without asking anybody."""

    name: ClassVar[str] = "by_hand"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in [i for i in op.walk() if isinstance(i, BinaryOp)]:
            if inner.kind.data is BinaryKind.SUB:
                Rewriter.replace_op(inner, BinaryOp("sub", inner.b, inner.a))


def test_a_pass_that_counts_nothing_is_tried_op_by_op(rng: np.random.Generator) -> None:
    found = blamed(SUMS, [ByHand()], rng)
    assert (found.number, found.total, found.family) == (0, 0, "by_hand on pico.binary sub")
    assert "%b, alone in a module" in found.scope
    assert "%b = pico.binary sub %a, %z" in found.before
    assert "%b = pico.binary sub %z, %a" in found.after


@dataclass(frozen=True)
class SwapsInLoops(Pass):
    """Swaps scalar subtractions without asking anybody."""

    name: ClassVar[str] = "swaps_in_loops"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in [i for i in op.walk() if isinstance(i, arith.SubfOp)]:
            inner.operands = tuple(reversed(inner.operands))


def test_a_pass_that_counts_nothing_is_tried_kernel_by_kernel(rng: np.random.Generator) -> None:
    way = as_passes("outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops")
    found = blamed(SUMS, [*way, SwapsInLoops()], rng)
    assert found.family == "swaps_in_loops on loop.launch"
    assert found.scope.startswith("kernel @sub, alone in a module")
    assert "arith.subf" in found.before and "func.func" not in found.before
    assert len(found.before.splitlines()) == len(found.after.splitlines()) == 3


@dataclass(frozen=True)
class LosesAnArgument(Pass):
    """Returns an argument in place of the result."""

    name: ClassVar[str] = "loses_an_argument"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    results: int = 1

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        (function,) = (inner for inner in op.ops if isinstance(inner, FuncOp))
        last = function.body.block.last_op
        assert isinstance(last, ReturnOp)
        if sum(1 for _ in function.body.block.ops) < 5:
            return
        values = [function.args[0]] * self.results
        Rewriter.replace_op(last, ReturnOp(*values))
        inputs = list(function.function_type.inputs)
        function.function_type = FunctionType.from_lists(inputs, [v.type for v in values])


@pytest.mark.parametrize(("results", "fault"), [(1, Fault.VALUES), (2, Fault.SIGNATURE)])
def test_a_pass_as_a_whole(results: int, fault: Fault, rng: np.random.Generator) -> None:
    found = blamed(SUMS, [LosesAnArgument(results)], rng)
    assert found.failure.fault is fault
    assert (found.number, found.op) == (0, "modules of tensor level")
    assert "as a whole" in found.scope
    assert "func.return %y" in found.before and "func.return %x" in found.after
    assert "pico.unary" not in found.before, "only what was touched is shown"


# Every pass that takes steps

# Rows, depth and columns: large enough for the passes to find work, and no larger.
SIZES = {"cpu": (5, 9, 37), "gpu": (17, 40, 100)}


def rows(device: str) -> str:
    """A softmax of the rows of a product, and two values that cse and dce see to."""
    m, k, n = SIZES[device]
    a, b, y = f"tensor<{m}x{k}xf32>", f"tensor<{k}x{n}xf32>", f"tensor<{m}x{n}xf32>"
    return f"""func.func @main(%a: {a}, %b: {b}) -> {y} {{
  %unread = pico.unary neg %a : {a}
  %again = pico.unary neg %a : {a}
  %minus = pico.unary neg %a : {a}
  %p = pico.matmul %minus, %b : {a}, {b} -> {y}
{softmax_of("%p", m, n)}
  func.return %y : {y}
}}"""


ON_CPU = (
    "cse dce fuse reuse_in_place plan_buffers tile_loops vectorize_loops lower_reduce expand_math "
    "parallelize_loops unroll_tiles"
)
ON_GPU = "stage_operands hoist_reduce round_up_loops map_to_grid tree_reduce insert_barriers"
STEPWISE = [("cpu", name) for name in ON_CPU.split()] + [("gpu", name) for name in ON_GPU.split()]


Rule = applications.RewriteRule
Number = tuple[str, int]
"""A step by its number in a run on a kernel alone, which is named, or on a whole module."""


def spoil(module: Operation) -> None:
    """Let the first subtraction subtract the other way round; else the first product be a square.

    A pass that sees kernels alone sees one without subtractions, too.
    """
    products: list[Operation] = []
    for op in module.walk():
        is_sub = isinstance(op, BinaryOp) and op.kind.data is BinaryKind.SUB
        if is_sub or isinstance(op, arith.SubfOp):
            op.operands = tuple(reversed(op.operands))
            return
        if isinstance(op, arith.MulfOp):
            products.append(op)
    products[0].operands = (products[0].operands[0],) * 2


def top_of(op: Operation) -> Operation:
    while (parent := op.parent_op()) is not None:
        op = parent
    return op


def numbering() -> Callable[[Operation], Number]:
    """What tells a step's number, when it is taken on an op."""
    seen: dict[Operation, int] = {}

    def number(op: Operation) -> Number:
        top = top_of(op)
        seen[top] = seen.get(top, 0) + 1
        kernels = [inner.sym_name.data for inner in top.walk() if isinstance(inner, KernelOp)]
        return (kernels[0] if len(kernels) == 1 else "", seen[top])

    return number


def steps_of(step: Pass, module: ModuleOp, monkeypatch: pytest.MonkeyPatch) -> list[Number]:
    """The steps that a pass takes on a module."""
    found: list[Number] = []
    number = numbering()

    def noting(rule: Rule, op: Operation) -> bool:
        if not applications.applies(rule, op):
            return False
        found.append(number(op))
        return True

    counter = Applications()
    with monkeypatch.context() as patch, counted(counter):
        replace_applies(noting, patch)
        alone.apply(step, new_context(), module)
    assert len(found) == counter.count
    return found


def spoiling(wrong: Number) -> Callable[[Rule, Operation], bool]:
    """`applies`, but for the step of that number, which does something wrong besides."""
    number = numbering()

    def applies(rule: Rule, op: Operation) -> bool:
        if not applications.applies(rule, op):
            return False
        if number(op) == wrong:
            spoil(top_of(op))
        return True

    return applies


def replace_applies(
    applies: Callable[[Rule, Operation], bool],
    monkeypatch: pytest.MonkeyPatch,
    where: str = "picograd.passes.",
) -> None:
    """Let all passes in `where` ask another function."""
    for loaded in [module for name, module in sys.modules.items() if name.startswith(where)]:
        if loaded is not applications and hasattr(loaded, "applies"):
            monkeypatch.setattr(loaded, "applies", applies)


@pytest.mark.parametrize(("device", "name"), STEPWISE)
def test_a_wrong_step_of_every_pass(
    device: str, name: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, inputs = parse_module(rows(device)), inputs_of(rows(device), rng)
    steps: list[Number] = []
    step = None
    for step in pipeline(device):
        if isinstance(step, ParallelizeLoops):
            step = ParallelizeLoops(grain=1, serial_below=0)
        if isinstance(step, Fuse) and name == "reuse_in_place":
            continue  # it leaves no kernel that could write over what it reads
        if step.name == name:
            steps = steps_of(step, module.clone(), monkeypatch)
            if steps:
                break
        if step.is_lowering() or step.level_in != Level.TENSOR:
            step.apply(new_context(), module)
    assert step is not None and steps, "the pass does nothing here"
    wrong = Random(name).randint(1, len(steps))
    replace_applies(spoiling(steps[wrong - 1]), monkeypatch)
    found = blame(Case(module, inputs, Pipeline([step])))
    assert found is not None
    assert (found.step, found.number, found.total) == (str(step), wrong, len(steps))
    assert "picograd/passes/" in found.source
    assert found.failure.excess is not None
    assert found.before != found.after


# Lowerings


@pytest.mark.parametrize("fuse", ["", "fuse,"])
def test_a_lowering_is_blamed_kernel_by_kernel(
    fuse: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = lowering.RULES[UnaryOp]

    def wrong(op: UnaryOp, index: object, at: object) -> SSAValue:
        value = right(op, index, at)  # pyright: ignore
        if op.kind.data.value == "neg" and isinstance(value.owner, arith.NegfOp):
            return value.owner.operand
        return value

    monkeypatch.setitem(lowering.RULES, UnaryOp, wrong)  # pyright: ignore
    passes = as_passes(
        f"outline_kernels,{fuse}lower_kernels_to_buffers,plan_buffers,lower_buffers_to_loops"
    )
    found = blamed(SUMS, passes, rng)
    assert found.step == "lower_buffers_to_loops"
    assert found.family == "lower_buffers_to_loops on pico.unary neg"
    assert "alone in a module" in found.scope and "in kernel" in found.scope
    assert "pico.unary neg" in found.before and "loop.store" in found.after
    assert "sub" not in found.before, "the op is shown alone, whatever it was fused with"


def test_a_lowering_that_is_wrong_about_two_ops_together(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = lowering.RULES[UnaryOp]

    def wrong(op: UnaryOp, index: object, at: object) -> SSAValue:
        value = right(op, index, at)  # pyright: ignore
        alone = not isinstance(op.x.owner, BinaryOp)
        return value if alone or not isinstance(value.owner, arith.NegfOp) else value.owner.operand

    monkeypatch.setitem(lowering.RULES, UnaryOp, wrong)  # pyright: ignore
    passes = as_passes("outline_kernels,fuse,lower_kernels_to_buffers,lower_buffers_to_loops")
    found = blamed(SUMS, passes, rng)
    assert found.family == "lower_buffers_to_loops on buffer.kernel"
    assert "pico.unary neg" in found.before and "pico.binary sub" in found.before


# Faults that come and go, and those that are not there


@dataclass(frozen=True)
class ThereAndBack(Pass):
    """Swaps the first subtraction three times: wrong, right again, wrong."""

    name: ClassVar[str] = "there_and_back"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    times: int = 3

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for _ in range(self.times):
            subtraction = next(
                inner
                for inner in op.walk()
                if isinstance(inner, BinaryOp) and inner.kind.data is BinaryKind.SUB
            )
            if applications.applies(spoil, subtraction):
                spoil(op)


@pytest.mark.parametrize("times", [1, 3, 7])
def test_a_fault_that_comes_and_goes(times: int, rng: np.random.Generator) -> None:
    found = blamed(SUMS, [ThereAndBack(times)], rng)
    assert found.number % 2 == 1 and found.total == times
    assert found.rule == "spoil"
    case = case_of(SUMS, [ThereAndBack(found.number)], rng)
    assert blame(case) is not None
    assert blame(replace(case, passes=Pipeline([ThereAndBack(found.number - 1)]))) is None


def test_right_passes_are_not_blamed(rng: np.random.Generator) -> None:
    passes = [*as_passes("canonicalize,cse,dce"), Greedy("three_times"), ThereAndBack(2)]
    assert blame(case_of(SUMS, passes, rng)) is None
    for sample in random_samples(3, 3, fewest_ops=6):
        inputs = tuple(sample.inputs)
        assert blame(Case(sample.module, inputs, pipeline("cpu"), "cpu")) is None


def test_passes_behind_those_of_the_case_may_be_to_blame(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A case may name a device and no passes; the device's own are looked at then."""
    replace_applies(spoiling(("", 1)), monkeypatch, "picograd.passes.fusion.")
    module = parse_module(SUMS)
    run_pipeline(module, as_passes("canonicalize"))
    found = blame(Case(module, inputs_of(SUMS, rng), Pipeline(()), "cpu"))
    assert found is not None and found.step.startswith("fuse")
