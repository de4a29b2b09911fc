"""The search: better schedules are kept, worse and wrong ones never, whatever the clock says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp
from xdsl.rewriter import Rewriter

import picograd as torch
from picograd.backends.runtime import device
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.pipelines import pipeline
from picograd.errors import LimitError
from picograd.passes.base import Level, Pass
from picograd.passes.rewriting.loops import kernels
from picograd.passes.schedule.choices import NONE, Choices, choices_for
from picograd.study.tuning import search
from picograd.study.tuning.cut_kernels import cut_kernels, split
from picograd.study.tuning.search import Found, Limits, tune
from picograd.study.tuning.trials import CLOCKS, Bench, Trial


@dataclass(frozen=True)
class SpoilSome(Pass):
    """Makes sums of differences, or fails, in kernels for which certain things are chosen."""

    name: ClassVar[str] = "spoil_some"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in kernels(op):
            chosen = choices_for(kernel)
            if chosen.pack == "left":
                raise LimitError("too much is packed", code="PG709", hint="pack less")
            if chosen.vectors == 1:
                for inner in list(kernel.walk()):
                    if isinstance(inner, arith.AddfOp):
                        Rewriter.replace_op(inner, arith.SubfOp(inner.lhs, inner.rhs))


PRODUCT = """
func.func @main(%x: tensor<30x100xf32>, %w: tensor<100x70xf32>, %b: tensor<70xf32>)
    -> tensor<30x70xf32> {
  %y = pico.matmul %x, %w : tensor<30x100xf32>, tensor<100x70xf32> -> tensor<30x70xf32>
  %t = pico.broadcast %b to [30, 70] : tensor<70xf32> -> tensor<30x70xf32>
  %z = pico.binary add %y, %t : tensor<30x70xf32>
  func.return %z : tensor<30x70xf32>
}"""


MOVES = [
    Choices(pack="left"),
    Choices(rows=7),
    Choices(vectors=1),
    Choices(depth=64),
    Choices(depth=64, stores="cached"),
]
"""What is tried here, whatever this machine is."""


def searched(
    monkeypatch: pytest.MonkeyPatch,
    speed: Callable[[Choices], float],
    steps: Pipeline | None = None,
    **settings: Any,
) -> Found:
    """What is found where a schedule is so many times as fast as the cost model's."""

    def ratio(self: Bench, best: Trial, other: Trial, rounds: int, hopeless: float = 2.0) -> float:
        return speed(other.choices) / speed(best.choices)

    monkeypatch.setattr(Bench, "ratio", ratio)
    monkeypatch.setattr(search, "moves", lambda *_, **__: iter(MOVES))
    limits = Limits(seconds=60.0)
    steps = pipeline("cpu") if steps is None else steps
    (found,) = tune(parse_module(PRODUCT), device("cpu"), steps, limits, **settings)
    return found


def test_better_schedules_are_found_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def speed(choices: Choices) -> float:
        return 1.0 + (choices.rows == 7) * 0.5 + (choices.depth == 64) * 0.25

    found = searched(monkeypatch, speed)
    assert (found.best.rows, found.best.depth) == (7, 64)
    assert found.gain == 1.75 and found.after == found.before / 1.75
    assert 3 <= found.tried <= 6 and not found.wrong and not found.refused
    assert found.as_data()["best"] == str(found.best)


def test_what_is_hardly_better_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found = searched(monkeypatch, lambda choices: 1.02 if choices.depth == 64 else 1.0)
    assert found.best == NONE and found.gain == 1.0 and found.tried


def test_what_is_known_is_tried_first(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Choices(rows=3, vectors=2)
    (kernel,) = cut_kernels(parse_module(PRODUCT), pipeline("cpu"))

    def speed(choices: Choices) -> float:
        return 2.0 if choices == known else 1.0

    assert searched(monkeypatch, speed, known={kernel.digest: known}).best == known
    assert searched(monkeypatch, speed).best == NONE


def test_a_schedule_that_is_wrong_or_fails_is_never_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def speed(choices: Choices) -> float:
        wrong = choices.vectors == 1 or choices.pack == "left"
        return 10.0 if wrong else 1.5 if choices.depth == 64 else 1.0

    steps = pipeline("cpu").before("lower_reduce", SpoilSome())
    found = searched(monkeypatch, speed, steps)
    best = found.best
    assert best.depth == 64 and best.vectors != 1 and best.pack != "left"
    assert any("vectors=1" in line and "outside their budget" in line for line in found.wrong)
    assert any("pack=left" in line and "too much is packed" in line for line in found.refused)


def test_there_is_no_search_without_time() -> None:
    found = tune(parse_module(PRODUCT), device("cpu"), pipeline("cpu"), Limits(seconds=1e-9))
    assert [each.tried for each in found] == [0]
    assert found[0].before > 0 and found[0].own.rows


@dataclass(frozen=True)
class Refuse(Pass):
    """Fails whatever it is given."""

    name: ClassVar[str] = "refuse"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise LimitError("nothing pleases this pass", code="PG709", hint="leave it out")


def test_a_kernel_that_fails_as_it_is_takes_no_time_and_is_told_of() -> None:
    steps = pipeline("cpu").before("lower_reduce", Refuse())
    (found,) = tune(parse_module(PRODUCT), device("cpu"), steps, Limits(seconds=5.0))
    assert not found.searched and found.before == 0.0 and found.share == 0.0
    assert "the cost model's schedule: nothing pleases this pass" in found.refused[0]


def test_inputs_suit_kernels_with_indices_and_logarithms() -> None:
    def look(x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        return x[indices].log() + x[indices].sqrt()

    x, indices = torch.ones(2, 30), torch.zeros(5, dtype=torch.int64)
    module = torch.compile(look, "cpu").trace(x, indices).module
    for kernel in cut_kernels(module, pipeline("cpu")):
        bench = Bench(kernel, device("cpu"), split(pipeline("cpu"))[2], CLOCKS["wall"])
        trial = bench.load(bench.lower(NONE))
        comparison = bench.judge(trial)
        assert comparison.ok and bench.seconds(trial) > 0
        for result in trial.outputs:
            assert bool((device("cpu").download(result) > -1e6).all())


def test_two_schedules_take_turns() -> None:
    (kernel,) = cut_kernels(parse_module(PRODUCT), pipeline("cpu"))
    bench = Bench(kernel, device("cpu"), split(pipeline("cpu"))[2], CLOCKS["processor"])
    trials = [bench.load(bench.lower(NONE)) for _ in range(2)]
    assert bench.ratio(*trials, rounds=3) > 0
