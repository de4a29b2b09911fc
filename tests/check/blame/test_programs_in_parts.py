"""Blame follows what is compiled: a module taken apart, and kernels that a pass sees alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp

from picograd.check.blame import Blame, blame
from picograd.check.oracle import Case, examination
from picograd.check.standing import standing
from picograd.compiler import in_parts
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module
from picograd.compiler.hoist_constants import Hoisted, hoist_constants
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.error import ValidationError
from picograd.compiler.validation.fault import Fault
from picograd.dialects.loop import KernelOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.applications import applies
from picograd.semantics.evaluate import entry_of
from tests.check.blame.test_device import wrong_on
from tests.compiler.test_constants import doubled

WEIGHTS = """
func.func @main(%x: tensor<4x6xf32>, %w: tensor<6x8xf32> {pico.kept},
                %v: tensor<6x8xf32> {pico.kept}) -> tensor<4x8xf32> {
  %d = pico.binary sub %w, %v : tensor<6x8xf32>
  %1 = pico.reshape %d to [6, 2, 4] : tensor<6x8xf32> -> tensor<6x2x4xf32>
  %panels = pico.permute %1 by [1, 0, 2] {pico.laid_out} : tensor<6x2x4xf32> -> tensor<2x6x4xf32>
  %2 = pico.permute %panels by [1, 0, 2] : tensor<2x6x4xf32> -> tensor<6x2x4xf32>
  %3 = pico.reshape %2 to [6, 8] : tensor<6x2x4xf32> -> tensor<6x8xf32>
  %4 = pico.matmul %x, %3 : tensor<4x6xf32>, tensor<6x8xf32> -> tensor<4x8xf32>
  %y = pico.binary add %4, %4 : tensor<4x8xf32>
  func.return %y : tensor<4x8xf32>
}"""
LOWERING = as_passes("outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops")


def turned(op: arith.SubfOp | arith.MulfOp) -> None:
    """A wrong step."""
    if applies(turned, op):
        if isinstance(op, arith.SubfOp):
            op.operands = tuple(reversed(op.operands))
        else:
            op.operands = (op.operands[0], op.operands[0])


@dataclass(frozen=True)
class Turns(Pass):
    """Wrong about differences, which only the weights need, or about products."""

    name: ClassVar[str] = "turns"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    products: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in list(op.walk()):
            if isinstance(inner, arith.MulfOp if self.products else arith.SubfOp):
                turned(inner)


def case_of(steps: list[Pass], rng: np.random.Generator, device: str = "reference") -> Case:
    shapes = ((4, 6), (6, 8), (6, 8))
    inputs = tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return Case(parse_module(WEIGHTS), inputs, Pipeline(steps), device)


def blamed(case: Case) -> Blame:
    found = blame(case)
    assert found is not None
    return found


def test_everything_agrees_and_both_parts_are_looked_at(rng: np.random.Generator) -> None:
    steps = [step for step in pipeline("cpu") if step.name != "canonicalize"]
    found = examination(case_of(steps, rng, "cpu"))
    assert found.failure is None and found.kernels > 0
    looked_at = [check.step for check in found.checks]
    assert looked_at.count("outline_kernels") == 2 and "hoist_constants" in looked_at


@pytest.mark.parametrize(("products", "arguments"), [(False, 2), (True, 4)])
def test_a_pass_is_blamed_on_the_part_that_it_spoils(
    products: bool, arguments: int, rng: np.random.Generator
) -> None:
    found = blamed(case_of([*LOWERING, Turns(products)], rng))
    assert found.failure.fault is Fault.VALUES and found.rule == "turned"
    assert found.failure.culprit.startswith("turns")
    assert ("arith.mulf" if products else "arith.subf") in found.before
    assert len(found.inputs) == arguments, "weights alone, or what is run in every call"


@pytest.mark.parametrize("passes", [(), LOWERING])
def test_nothing_is_taken_out_where_a_pass_names_a_loop(
    passes: Pipeline, rng: np.random.Generator
) -> None:
    ways = "outline_kernels,lower_kernels_to_buffers,lower_buffers_to_loops,tile_loops"
    case = case_of([*as_passes(ways + '{sizes="k=2"}')], rng)
    found = examination(case)
    assert found.failure is None and not found.refused
    (stands,) = standing(case.module, case.inputs, case.passes, len(passes))
    assert len(stands.inputs) == 3, "the whole module"


def test_the_order_of_parts_does_not_matter_to_a_crash(rng: np.random.Generator) -> None:
    @dataclass(frozen=True)
    class Falls(Turns):
        """Falls over what the weights need."""

        name: ClassVar[str] = "falls"

        def apply(self, ctx: Context, op: ModuleOp) -> None:
            if any(isinstance(inner, arith.SubfOp) for inner in op.walk()):
                raise ZeroDivisionError

    found = blamed(case_of([*LOWERING, Falls()], rng))
    assert found.failure.fault is Fault.CRASH and len(found.inputs) == 2


@pytest.mark.parametrize(
    "fault",
    [
        lambda out: Hoisted(doubled(out.module), out.reads),
        lambda out: Hoisted(out.module, out.reads[::-1]),
    ],
)
def test_what_takes_a_module_apart_is_blamed(
    fault: Callable[[Hoisted], Hoisted], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    def wrong(module: ModuleOp) -> Hoisted | None:
        out = hoist_constants(module)
        return None if out is None else fault(out)

    monkeypatch.setattr(in_parts, "hoist_constants", wrong)
    found = blamed(case_of([*LOWERING], rng))
    assert found.step == "hoist_constants" and found.failure.fault is Fault.VALUES
    assert found.before.count("@main") == 1 and found.after.count("@main") == 2
    assert "hoist_constants.py" in found.source


def test_a_device_is_blamed_for_the_part_that_it_spoils(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    wrong_on("cpu", monkeypatch)
    steps = [step for step in pipeline("cpu") if step.name != "canonicalize"]
    found = blamed(case_of(steps, rng, "cpu"))
    assert found.on_device and found.failure.fault is Fault.VALUES
    assert found.op == "arith.subf" and len(found.inputs) == 2


@dataclass(frozen=True)
class SeesOthers(Pass):
    """Claims to treat each kernel by itself, and does the right thing only beside another one."""

    name: ClassVar[str] = "sees_others"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP
    alone: ClassVar[bool] = True

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if sum(isinstance(one, KernelOp) for one in op.ops) == 1:
            for inner in list(op.walk()):
                if isinstance(inner, arith.SubfOp):
                    turned(inner)


def test_a_pass_that_looks_beyond_its_kernel_is_blamed(rng: np.random.Generator) -> None:
    text = WEIGHTS.replace(" {pico.kept}", "").replace(" {pico.laid_out}", "")
    case = case_of([*LOWERING, SeesOthers()], rng)
    case = Case(parse_module(text), case.inputs, case.passes)
    assert blamed(case).rule == "turned"
    steps = pipeline("cpu").after("lower_buffers_to_loops", SeesOthers())
    with pytest.raises(ValidationError, match="sees_others"):
        compile_module(parse_module(text), "cpu", passes=steps, cached=False, check=True)
    assert len(entry_of(case.module).args) == 3
