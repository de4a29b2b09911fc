"""Applications of rewrites: counted, limited, told; every prefix of every pass is a good pass."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import assume
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from picograd.check.generation.orders import Walk
from picograd.check.generation.strategy import Sample
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pipelines import pipeline
from picograd.dialects import new_context
from picograd.dialects.tensor import BinaryOp, UnaryOp
from picograd.passes import PASSES, Level, Pass
from picograd.passes.canonicalize import Canonicalize
from picograd.passes.cse import CSE
from picograd.passes.dce import DCE
from picograd.passes.rewriting.applications import Application, Applications, applies, counted
from picograd.passes.rewriting.greedy import Build, rewrite_greedily
from picograd.semantics.bounds import compare
from picograd.semantics.evaluate import evaluate
from tests.check.test_properties import (
    CPU,
    EVERYTHING,
    GPU,
    MOST_ROUNDS,
    NO_DOUBLES,
    NOTES,
    WORK,
    Tally,
    check_meaning,
    check_text,
    fits_32_bits,
    machines_for,
    narrowed,
    property_of,
)
from tests.programs import softmax_of

CHAIN = """builtin.module {
  func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
    %a = pico.unary neg %x : tensor<3xf32>
    %b = pico.unary neg %a : tensor<3xf32>
    %c = pico.unary neg %b : tensor<3xf32>
    %d = pico.unary neg %c : tensor<3xf32>
    %e = pico.unary exp %d : tensor<3xf32>
    %f = pico.unary exp %d : tensor<3xf32>
    %y = pico.binary add %e, %f : tensor<3xf32>
    func.return %y : tensor<3xf32>
  }
}"""

# Passes that cannot stop half way: lowerings, new types, and new results.
WHOLE = {
    "outline_kernels",
    "lower_kernels_to_buffers",
    "lower_buffers_to_loops",
    "legalize_types",
    "differentiate",
}
# Passes that find one thing to do, or none, in a small random module.
FEW_STEPS = {"merge_reduce", "stage_operands", "tree_reduce"}
STEPWISE = [name for name in PASSES if name not in WHOLE]


def run(step: Pass, module: ModuleOp, limit: int | None = None) -> Applications:
    applications = Applications(limit)
    with counted(applications):
        step.apply(new_context(), module)
    return applications


def test_outside_of_a_count_every_step_applies() -> None:
    op = next(op for op in parse_module(CHAIN).walk() if isinstance(op, UnaryOp))
    assert applies(run, op)


def test_steps_are_counted_and_told() -> None:
    module = parse_module(CHAIN)
    applications = run(CSE(), module)
    assert applications.count == 1
    last = applications.last
    assert isinstance(last, Application)
    assert (last.number, last.name, last.op) == (1, "use_instead", "pico.unary exp")
    file, _, line = last.source.rpartition(":")
    assert file.endswith("picograd/passes/cse.py") and int(line) > 30


@pytest.mark.parametrize("step", [Canonicalize(), CSE(), DCE()])
def test_no_application_leaves_the_module_as_it_is(step: Pass) -> None:
    module = parse_module(CHAIN)
    assert run(step, module, 0).count == 0
    assert str(module) == str(parse_module(CHAIN))


def test_so_many_applications_and_no_more() -> None:
    module = parse_module(CHAIN)
    total = run(Canonicalize(), parse_module(CHAIN)).count
    assert total == 2
    applications = run(Canonicalize(), module, 1)
    assert applications.count == 1 and applications.exhausted
    assert sum(isinstance(op, UnaryOp) and op.kind.data == "neg" for op in module.walk()) == 2


def refuse(op: UnaryOp, build: Build) -> SSAValue | None:
    """A rule that fails."""
    raise ZeroDivisionError


def test_the_last_attempt_is_known_when_a_rule_crashes() -> None:
    applications = Applications()
    with pytest.raises(ZeroDivisionError), counted(applications):
        rewrite_greedily(parse_module(CHAIN), {UnaryOp: (refuse,)})
    assert applications.count == 0 and applications.last is not None
    assert (applications.last.name, applications.last.number) == ("refuse", 1)
    assert "test_applications.py:" in applications.last.source


def test_a_pass_may_be_its_own_rule() -> None:
    application = Application(1, WithPatterns(), "pico.unary neg")
    assert application.name == "with_patterns"
    assert "test_applications.py:" in application.source


def test_what_has_no_source_has_none() -> None:
    application = Application(1, len, "pico.unary neg")
    assert (application.name, application.source) == ("len", "")


def test_counts_nest() -> None:
    outer, inner = Applications(), Applications(0)
    op = next(op for op in parse_module(CHAIN).walk() if isinstance(op, UnaryOp))
    with counted(outer):
        assert applies(run, op)
        with counted(inner):
            assert not applies(run, op)
        assert applies(run, op)
    assert (outer.count, inner.count) == (2, 0)


# Patterns of xDSL's


class ExpOfAnything(RewritePattern):
    """exp becomes neg."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: UnaryOp, rewriter: PatternRewriter, /) -> None:
        if op.kind.data == "exp":
            rewriter.replace(op, UnaryOp("neg", op.x))


class AddToSub(RewritePattern):
    """add becomes sub, in place, and the rewriter is not told."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        if isinstance(op, BinaryOp) and op.kind.data == "add":
            op.properties["kind"] = BinaryOp("sub", op.a, op.b).properties["kind"]


@dataclass(frozen=True)
class WithPatterns(Pass):
    """A pass as xDSL's documentation shows them."""

    name: ClassVar[str] = "with_patterns"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        patterns = GreedyRewritePatternApplier([ExpOfAnything(), AddToSub()])
        PatternRewriteWalker(patterns, apply_recursively=False).rewrite_module(op)


def test_patterns_of_xdsl_are_counted() -> None:
    applications = run(WithPatterns(), parse_module(CHAIN))
    assert applications.count == 3


@pytest.mark.parametrize(
    ("limit", "name", "exps", "adds"),
    [
        (0, None, 2, 1),
        (1, "ExpOfAnything", 1, 1),
        (2, "ExpOfAnything", 0, 1),
        (3, "AddToSub", 0, 0),
    ],
)
def test_patterns_of_xdsl_are_limited(limit: int, name: str | None, exps: int, adds: int) -> None:
    module = parse_module(CHAIN)
    applications = run(WithPatterns(), module, limit)
    last = applications.last
    assert (last and last.name) == name
    assert last is None or "test_applications.py:" in last.source
    kinds = [op.kind.data.value for op in module.walk() if isinstance(op, UnaryOp | BinaryOp)]
    assert (kinds.count("exp"), kinds.count("add")) == (exps, adds)


UNREAD = """
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %nobody = pico.unary neg %x : tensor<3xf32>
  func.return %x : tensor<3xf32>
}
"""


class Backwards(GreedyRewritePatternApplier):
    """An applier of one's own: it tries its patterns from the last to the first."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        for pattern in reversed(self.rewrite_patterns):
            pattern.match_and_rewrite(op, rewriter)


def test_what_the_greedy_applier_erases_has_a_name_of_its_own() -> None:
    applications = run(WithPatterns(), module := parse_module(UNREAD), limit=1)
    assert applications.last is not None
    assert (applications.count, applications.last.name) == (1, "EraseUnusedOp")
    assert not [op for op in module.walk() if isinstance(op, UnaryOp)]
    kept = parse_module(UNREAD)
    run(WithPatterns(), kept, limit=0)
    assert [op for op in kept.walk() if isinstance(op, UnaryOp)]


def test_an_applier_of_ones_own_does_what_it_says() -> None:
    def names(pattern: RewritePattern) -> list[str]:
        applications, module = Applications(), parse_module(CHAIN)
        with counted(applications):
            PatternRewriteWalker(pattern, apply_recursively=False).rewrite_module(module)
        assert applications.last is not None
        return [applications.last.name, str(module)]

    greedy = names(GreedyRewritePatternApplier([Backwards([ExpOfAnything(), AddToSub()])]))
    plain = parse_module(CHAIN)
    PatternRewriteWalker(
        Backwards([ExpOfAnything(), AddToSub()]), apply_recursively=False
    ).rewrite_module(plain)
    assert greedy == ["Backwards", str(plain)]


def test_xdsl_is_as_it_was_afterwards() -> None:
    before = PatternRewriteWalker.rewrite_region
    with counted(Applications()):
        assert PatternRewriteWalker.rewrite_region is not before
        with counted(Applications()):
            pass
        assert PatternRewriteWalker.rewrite_region is not before
    assert PatternRewriteWalker.rewrite_region is before


# Every pass


@pytest.mark.parametrize("name", STEPWISE)
def test_every_prefix_keeps_the_meaning(name: str) -> None:
    kind, tally = PASSES[name], Tally()
    machines = machines_for(kind)
    partial = 0

    def check(sample: Sample, rng: Random) -> None:
        nonlocal partial
        assume(machines == [CPU] or fits_32_bits(sample))
        walk = Walk(sample.module.clone(), rng.choice(machines), rng)
        walk.lead_to(kind)
        before = walk.module
        walk.run(kind)
        step, whole = walk.passes[-1], walk.module
        walk.module = before.clone()
        assert run(step, walk.module, 0).count == 0
        assert str(walk.module) == str(before), "no application, and yet a change"
        walk.module = before.clone()
        total = run(step, walk.module).count
        assert str(walk.module) == str(whole), "counting changes what the pass does"
        if total == 0:
            assert str(whole) == str(before), "a change that no application accounts for"
            return
        tally.changed += 1
        walk.module = before.clone()
        run(step, walk.module, total)
        assert str(walk.module) == str(whole), "all applications are less than the pass"
        limit = rng.randint(1, max(1, total - 1))
        partial += limit < total
        walk.module = before.clone()
        assert run(step, walk.module, limit).count == limit
        check_text(walk.module)
        check_meaning(sample, walk, tally)

    dtypes = NO_DOUBLES if GPU in machines else EVERYTHING
    for number in range(3 * MOST_ROUNDS):
        property_of(check, dtypes, WORK.get(name), examples=10, number=number)
        if name in NOTES or (tally.changed >= 1 and partial >= (name not in FEW_STEPS)):
            return
    pytest.fail(f"too little was done: {tally}, {partial} in part")


ROWS = f"""func.func @main(%a: tensor<48x40xf32>, %b: tensor<40x100xf32>) -> tensor<48x100xf32> {{
  %p = pico.matmul %a, %b : tensor<48x40xf32>, tensor<40x100xf32> -> tensor<48x100xf32>
{softmax_of("%p", 48, 100)}
  func.return %y : tensor<48x100xf32>
}}"""


# Passes that take more than one step there.
SEVERAL_STEPS = {
    "cpu": {"fuse", "tile_loops", "vectorize_loops", "lower_reduce", "expand_math"},
    "gpu": {"fuse", "tile_loops", "stage_operands", "lower_reduce", "tree_reduce"},
}


@pytest.mark.parametrize(("device", "machine"), [("cpu", CPU), ("gpu", GPU)])
def test_every_prefix_in_a_pipeline(device: str, machine: str, rng: np.random.Generator) -> None:
    """Of a softmax after a matmul: large enough to be blocked, packed and made trees of."""
    module = parse_module(ROWS)
    inputs = [rng.normal(size=shape).astype(np.float32) for shape in ((48, 40), (40, 100))]
    partial: set[str] = set()
    for step in narrowed(pipeline(device), machine):
        before = module.clone()
        total = run(step, module).count
        for limit in sorted({1, total // 2, total - 1}) if step.name not in WHOLE else ():
            if 0 < limit < total:
                attempt = before.clone()
                run(step, attempt, limit)
                check_text(attempt)
                report = compare(parse_module(ROWS), inputs, evaluate(attempt, inputs))
                assert not report.excesses, f"{step} to {limit} of {total}: {report}"
                partial.add(step.name)
    assert partial >= SEVERAL_STEPS[device]


PRINT_STEPS = """
import sys
from picograd.check.generation.programs import random_samples
from picograd.compiler.pipelines import pipeline
from picograd.dialects import new_context
from picograd.passes.rewriting.applications import Applications, counted
for sample in random_samples(4, 11, fewest_ops=12, most_ops=24):
    module = sample.module
    for step in pipeline("cpu"):
        applications = Applications()
        with counted(applications):
            step.apply(new_context(), module)
        print(step.name, applications.count, applications.last)
    print(module)
"""


def test_the_order_is_the_same_in_every_process() -> None:
    """Whatever the addresses in memory and the seed of Python's hashes are."""

    def printed(seed: str) -> str:
        ballast = f"ballast = [object() for _ in range({seed} * 1000)]\n"
        result = subprocess.run(
            [sys.executable, "-c", ballast + PRINT_STEPS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[3],
        )
        return "\n".join(line.partition(" at 0x")[0] for line in result.stdout.splitlines())

    assert printed("1") == printed("2")
