"""Large modules: blame and reduction look at the twin first, and at the module where they must."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from picograd.check.blame import blame
from picograd.check.oracle import Case, Failure, examination, examine
from picograd.check.reduce.look import family_of, look_at_twin
from picograd.check.reduce.reducer import count_ops, reduce
from picograd.check.twins import twins
from picograd.cli.main import main
from picograd.cli.own_passes import load_passes
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pass_list import as_passes
from picograd.compiler.validation.inputs import draw_inputs
from picograd.compiler.validation.validation import LARGE
from picograd.semantics.counters import count

NETWORK = """func.func @main(%x: tensor<150x200xf32>, %w: tensor<200x300xf32>, %b: tensor<300xf32>)
    -> (tensor<150x300xf32>, tensor<150xf32>) {
  %p = pico.matmul %x, %w : tensor<150x200xf32>, tensor<200x300xf32> -> tensor<150x300xf32>
  %r = pico.reshape %b to [1, 300] : tensor<300xf32> -> tensor<1x300xf32>
  %c = pico.broadcast %r to [150, 300] : tensor<1x300xf32> -> tensor<150x300xf32>
  %s = pico.binary add %p, %c : tensor<150x300xf32>
  %t = pico.unary tanh %s : tensor<150x300xf32>
  %d = pico.binary sub %t, %c : tensor<150x300xf32>
  %m = pico.reduce max %d axes [1] : tensor<150x300xf32> -> tensor<150xf32>
  func.return %d, %m : tensor<150x300xf32>, tensor<150xf32>
}
"""

PASSES = '''
from dataclasses import dataclass
from typing import ClassVar

from picograd.dialects.dtypes import type_of
from picograd.dialects.tensor import BinaryKind, BinaryOp
from picograd.passes import Level, Pass
from picograd.passes.rewriting.greedy import rewrite_greedily


def turn(op, build):
    """a + b -> b + a: right."""
    if op.kind.data is BinaryKind.ADD and op.a.name_hint == "p":
        return build(BinaryOp("add", op.b, op.a))
    return None


def add_instead(op, build):
    """a - b -> a + b: wrong."""
    if op.kind.data is BinaryKind.SUB:
        return build(BinaryOp("add", op.a, op.b))
    return None


def add_to_long_rows(op, build):
    """a - b -> a + b, where rows have more than 100 elements."""
    return add_instead(op, build) if type_of(op.a).get_shape()[-1] > 100 else None


class OnTensors(Pass):
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR


@dataclass(frozen=True)
class Wrong(OnTensors):
    name: ClassVar[str] = "wrong"

    def apply(self, ctx, op):
        rewrite_greedily(op, {BinaryOp: (turn, add_instead)})


@dataclass(frozen=True)
class Turn(OnTensors):
    name: ClassVar[str] = "turn"

    def apply(self, ctx, op):
        rewrite_greedily(op, {BinaryOp: (turn,)})


@dataclass(frozen=True)
class WrongWhereLong(OnTensors):
    name: ClassVar[str] = "wrong_where_long"

    def apply(self, ctx, op):
        rewrite_greedily(op, {BinaryOp: (add_to_long_rows,)})


@dataclass(frozen=True)
class WantsLong(OnTensors):
    name: ClassVar[str] = "wants_long"

    def apply(self, ctx, op):
        for inner in op.walk():
            if isinstance(inner, BinaryOp) and type_of(inner.a).get_shape()[-1] < 100:
                raise ValueError("rows are too short")
'''


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    module, passes = tmp_path / "network.mlir", tmp_path / "passes.py"
    module.write_text(NETWORK)
    passes.write_text(PASSES)
    return str(module), str(passes)


def case_of(files: tuple[str, str], passes: str, device: str = "reference") -> Case:
    module = parse_module(NETWORK)
    assert count(module).operations >= LARGE
    known = load_passes([files[1]])
    inputs = tuple(draw_inputs(module, 0)[0])
    return Case(module, inputs, as_passes(passes, known), device)


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many elements the inputs of each case have that is examined."""
    seen: list[int] = []

    def watched(case: Case) -> Failure | None:
        seen.append(sum(array.size for array in case.inputs))
        return examine(case)

    for name in ("picograd.check.blame.blame", "picograd.check.reduce.look"):
        monkeypatch.setattr(import_module(name), "examine", watched)
    return seen


def test_a_rule_is_blamed_on_the_twin_of_a_large_module(
    files: tuple[str, str], examined: list[int]
) -> None:
    found = blame(case_of(files, "canonicalize,cse,wrong,dce"))
    assert found is not None and examined
    assert found.family == "add_instead on pico.binary sub"
    assert (found.number, found.total) == (2, 2)
    assert max(examined) < 3000
    assert "  on a twin: @main: (tensor<" in str(found)


def test_a_large_module_is_reduced_from_its_twin(
    files: tuple[str, str], examined: list[int]
) -> None:
    case = case_of(files, "canonicalize,cse,wrong,dce")
    failure = examine(case)
    assert failure is not None
    told: list[str] = []
    small = reduce(case, failure, tell=told.append)
    assert told[0].startswith("on a twin: 7 ops, 3 arguments, ")
    assert max(examined) < 3000
    assert count_ops(small.module) <= 2
    assert str(small.passes) == "wrong"
    assert family_of(small) == "add_instead on pico.binary sub"


def test_what_fails_in_the_large_module_only_is_found_there(files: tuple[str, str]) -> None:
    case = case_of(files, "turn,wrong_where_long")
    found = blame(case)
    assert found is not None and not found.twin
    assert found.family == "add_to_long_rows on pico.binary sub"
    assert look_at_twin(case) is None


def test_another_failure_of_the_twin_is_none_of_the_module(files: tuple[str, str]) -> None:
    case = case_of(files, "wants_long,wrong")
    on_twins = [examine(small.case) for small in twins(case)]
    assert on_twins and all(found and found.culprit == "wants_long" for found in on_twins)
    found = blame(case)
    assert found is not None and not found.twin
    assert found.family == "add_instead on pico.binary sub"


def test_nobody_is_blamed_for_a_large_module_that_is_right(files: tuple[str, str]) -> None:
    assert blame(case_of(files, "canonicalize,turn,cse")) is None


def test_the_twin_is_lowered_for_the_device(files: tuple[str, str]) -> None:
    case = case_of(files, "turn", "cpu")
    first, *_ = twins(case)
    names = [step.name for step in first.case.passes]
    assert names[0] == "turn" and "tile_loops" in names
    outcome = examination(first.case)
    assert outcome.failure is None and outcome.kernels
    found = blame(case_of(files, "wrong", "cpu"))
    assert found is not None and found.twin
    assert found.family == "add_instead on pico.binary sub"


def test_small_modules_have_no_twin(rng: np.random.Generator) -> None:
    module = parse_module(NETWORK.replace("300", "30"))
    case = Case(module, tuple(draw_inputs(module, 0)[0]), as_passes("cse"))
    assert list(twins(case)) == []


def test_the_commands_say_that_they_looked_at_a_twin(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, passes = files
    chosen = [module, "--load", passes, "--passes", "canonicalize,wrong"]
    assert main(["blame", *chosen]) == 1
    shown = capsys.readouterr().out
    assert "wrong is to blame" in shown and "add_instead on pico.binary sub" in shown
    assert "on a twin: @main: " in shown
    assert main(["reduce", *chosen, "-o", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("on a twin: wrong: it changed what the program computes\n")
    assert "reduced:  from 7 to 1 op" in printed.out
    assert main(["blame", str(tmp_path / "out" / "reduced.mlir")]) == 1
