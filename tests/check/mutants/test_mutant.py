"""A mutant is seen by whoever calls the function, and gone afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from picograd.check.mutants.killer import Verdict
from picograd.check.mutants.mutant import Mutant, applied, find, innermost, mutated_code
from picograd.check.mutants.table import MUTANTS
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.validation.fault import Fault
from picograd.dialects.loop import Dim
from picograd.errors import OptionError
from picograd.passes.canonicalize import Canonicalize
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.rules import ALL

NEGATED_TWICE = """builtin.module {
  func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    %n = pico.unary neg %x : tensor<4xf32>
    %y = pico.unary neg %n : tensor<4xf32>
    func.return %y : tensor<4xf32>
  }
}"""


@dataclass(frozen=True)
class Nobody:
    """A killer that sees nothing."""

    def hunt(self) -> Verdict:
        return Verdict(1)

    @property
    def kind(self) -> str:
        return "nobody"

    def __str__(self) -> str:
        return "nobody"


def mutant(target: str, old: str, new: str) -> Mutant:
    return Mutant("trial", target, "a trial", old, new, Nobody(), Fault.VALUES)


def canonicalized() -> str:
    module = parse_module(NEGATED_TWICE)
    run_pipeline(module, [Canonicalize()])
    return str(module)


def test_tables_that_hold_the_function_see_the_mutant_and_see_it_undone() -> None:
    before = {op: tuple(rules) for op, rules in ALL.items()}
    assert "neg" not in canonicalized()
    with applied(MUTANTS["double_negation"]):
        assert "neg" in canonicalized()
        assert {op: tuple(rules) for op, rules in ALL.items()} == before
    assert "neg" not in canonicalized()


def test_the_function_is_right_again_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), applied(MUTANTS["double_negation"]):
        raise ZeroDivisionError
    assert "neg" not in canonicalized()


def test_methods_properties_and_cached_functions_have_mutants() -> None:
    facts = "picograd.passes.loops.facts:LoopFacts.divisor"
    with applied(mutant(facts, "return abs(result)", "return 7")):
        assert LoopFacts().divisor(12) == 7
    assert LoopFacts().divisor(12) == 12
    extent = "picograd.dialects.loop_base:Dim.extent"
    assert isinstance(find(extent), property)
    step = Dim.__dict__["extent"].fget
    with applied(mutant(extent, "return", "return 1 and")):
        assert Dim.__dict__["extent"].fget is step
    cached = find("picograd.dialects.limits:finfo")
    assert hasattr(cached, "cache_clear")
    with applied(mutant("picograd.dialects.limits:finfo", "return", "return 0 or")):
        assert cached.cache_info().currsize == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: replace(m, target="picograd.passes.nowhere:f"), "no module"),
        (lambda m: replace(m, target="picograd.passes.cse:numbr_of"), "'number_of'"),
        (lambda m: replace(m, target="picograd.passes.cse:_COMMUTES"), "only functions"),
        (lambda m: replace(m, old="no such passage"), "occurs 0 times"),
        (lambda m: replace(m, old="op"), "times"),
        (lambda m: replace(m, new="return ("), "no Python"),
    ],
)
def test_what_does_not_fit_is_refused(change: Callable[[Mutant], Mutant], said: str) -> None:
    with (
        pytest.raises(OptionError, match=said) as raised,
        applied(change(MUTANTS["double_negation"])),
    ):
        pass
    assert raised.value.hint


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_fits_its_function(name: str) -> None:
    one = MUTANTS[name]
    function = innermost(find(one.target))
    assert mutated_code(one, function) != function.__code__
    assert one.old != one.new
    assert one.wrong
