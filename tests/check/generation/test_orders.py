"""Random orders are legal, lead where they should, and are the same for the same seed."""

from dataclasses import dataclass
from random import Random
from typing import ClassVar

import pytest

from picograd.check.generation.orders import Walk, suits
from picograd.compiler.diagnostics import parse_module
from picograd.errors import PipelineError
from picograd.passes import PASSES, Level, Pass, level_of

TEXT = """
func.func @main(%x: tensor<8x6xf32>, %w: tensor<6x5xf32>) -> tensor<8x5xf32> {
  %h = pico.matmul %x, %w : tensor<8x6xf32>, tensor<6x5xf32> -> tensor<8x5xf32>
  %y = pico.unary tanh %h : tensor<8x5xf32>
  func.return %y : tensor<8x5xf32>
}
"""


def check_legal(passes: list[Pass]) -> None:
    level, facts = Level.TENSOR, frozenset[str]()
    for step in passes:
        assert step.level_in == level and step.requires <= facts, passes
        level, facts = step.level_out, facts | step.establishes


@pytest.mark.parametrize("machine", ["cpu", "gpu"])
@pytest.mark.parametrize("level", list(Level))
def test_orders_end_where_they_should(machine: str, level: Level) -> None:
    for seed in range(4):
        walk = Walk(parse_module(TEXT), machine, Random(seed))
        walk.descend(level)
        assert level_of(walk.module) == level
        check_legal(walk.passes)


@pytest.mark.parametrize("name", list(PASSES))
def test_prefixes_lead_to_the_pass(name: str) -> None:
    machine = "cpu" if suits(PASSES[name], "cpu") else "gpu"
    for seed in range(2):
        walk = Walk(parse_module(TEXT), machine, Random(seed))
        walk.lead_to(PASSES[name])
        walk.run(PASSES[name])
        check_legal(walk.passes)
        assert walk.passes[-1].name == name


def test_a_seed_decides() -> None:
    def run(seed: int) -> list[str]:
        walk = Walk(parse_module(TEXT), "cpu", Random(seed))
        walk.descend(Level.LOOP)
        return [str(step) for step in walk.passes]

    assert run(3) == run(3)
    assert any(run(3) != run(seed) for seed in range(5))


def test_what_nothing_establishes_is_an_error() -> None:
    @dataclass(frozen=True)
    class Wishful(Pass):
        name: ClassVar[str] = "wishful"
        level_in: ClassVar[Level] = Level.KERNEL
        level_out: ClassVar[Level] = Level.KERNEL
        requires: ClassVar[frozenset[str]] = frozenset({"perfect"})

    with pytest.raises(PipelineError, match="perfect"):
        Walk(parse_module(TEXT), "cpu", Random(0)).lead_to(Wishful)
