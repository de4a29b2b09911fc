"""Facts about index expressions hold in every iteration, and are tight where passes need it."""

import itertools

import numpy as np
import pytest
from xdsl.dialects.builtin import MemRefType, f32

from picograd.compiler.diagnostics import parse_module
from picograd.dialects.affine import FloorDiv, Lane, Linear, Mod, floordiv, mod
from picograd.dialects.loop import LoopOp
from picograd.passes.loops.facts import LoopFacts

NEST = """
loop.kernel @k(%x: memref<4xi64>) {
  loop.parallel %a = 0 to 1000 step 336 {
    loop.parallel (%b, %c) = (%a, 3) to (min(%a + 336, 1000), 20) step (8, 5) {
      %n = loop.load %x[0] : memref<4xi64>
      %d = loop.checked_index %n : i64 below 7
      loop.for %e = %b to %b + 8 {
      }
      loop.for %f = 5 to %c {
      }
    }
  }
}"""


def nest() -> tuple[dict, LoopFacts]:
    module = parse_module(NEST)
    values = {
        dim.name: dim.variable for op in module.walk() if isinstance(op, LoopOp) for dim in op.dims
    }
    checked = next(op for op in module.walk() if op.name == "loop.checked_index")
    return {**values, "d": checked.results[0], "module": module}, LoopFacts()


def iterations():
    for a in range(0, 1000, 336):
        for b, c, d in itertools.product(
            range(a, min(a + 336, 1000), 8), range(3, 20, 5), range(7)
        ):
            if (a + b + c + d) % 5 == 0:
                for e in (b, b + 3, b + 7):
                    yield {"a": a, "b": b, "c": c, "d": d, "e": e}


ITERATIONS = list(iterations())


def value_of(expression: Linear, point: dict, names: dict, lane: int) -> int:
    total = expression.constant
    for atom, coefficient in expression.terms.items():
        if isinstance(atom, Lane):
            part = lane
        elif isinstance(atom, FloorDiv):
            part = value_of(atom.expression, point, names, lane) // atom.by
        elif isinstance(atom, Mod):
            part = value_of(atom.expression, point, names, lane) % atom.by
        else:
            part = point[names[atom]]
        total += coefficient * part
    return total


def random_expression(rng: np.random.Generator, values: dict) -> Linear:
    total = Linear.of(int(rng.integers(-9, 10)))
    for name in "abcde":
        if rng.integers(2):
            total = total + Linear.of(values[name]) * int(rng.integers(-8, 9))
    if rng.integers(2):
        total = total + Linear.of(Lane(0)) * int(rng.integers(1, 9))
    return total


def test_facts_hold_in_every_iteration() -> None:
    values, facts = nest()
    names = {value: name for name, value in values.items() if name != "module"}
    rng = np.random.default_rng(6)
    for _ in range(40):
        plain = random_expression(rng, values)
        by = int(rng.choice([2, 4, 8, 48, 336]))
        divided = plain + floordiv(random_expression(rng, values), by) * 2 - mod(plain, by)
        low, high = facts.bounds(divided, [8])
        tight = facts.greatest(divided, [8])
        simple = facts.simplify(divided, [8])
        parts = facts.split(plain, by, [8])
        divisor = facts.divisor(plain.substitute({Lane(0): 0}))
        for point in ITERATIONS[:: int(rng.integers(1, 40))]:
            lane = int(rng.integers(8))
            value = value_of(divided, point, names, lane)
            assert low is not None and high is not None and tight is not None
            assert low <= value <= tight <= high
            assert value_of(simple, point, names, lane) == value
            whole = value_of(plain, point, names, lane)
            if parts is not None:
                assert value_of(parts[0], point, names, lane) == whole // by
                assert value_of(parts[1], point, names, lane) == whole % by
            at_zero = value_of(plain, point, names, 0)
            assert at_zero == 0 if divisor == 0 else at_zero % divisor == 0


def test_packed_layouts_lose_their_divisions() -> None:
    values, facts = nest()
    b, a = Linear.of(values["b"]), Linear.of(values["a"])
    inside = b + Lane(0) - a
    assert facts.simplify(mod(inside, 8), [8]) == Linear.of(Lane(0))
    assert facts.simplify(floordiv(inside, 8), [8]) == floordiv(b - a, 8)
    assert facts.simplify(mod(inside, 16), [8]) == mod(inside, 16), "b may be an odd multiple of 8"
    # What is divided again loses the first division all the same.
    again = mod(floordiv(inside, 8), 6)
    assert facts.simplify(again, [8]) == mod(floordiv(b - a, 8), 6)


@pytest.mark.parametrize(
    ("name", "extent", "runs"),
    [("a", 1000, True), ("b", 336, True), ("e", 8, True), ("f", 13, False)],
)
def test_extents(name: str, extent: int, runs: bool) -> None:
    values, facts = nest()
    dim = facts.dim(values[name])
    assert dim is not None
    assert facts.extent(dim) == extent
    assert facts.runs(dim) == runs


def test_the_last_block_ends_at_the_bound() -> None:
    values, facts = nest()
    assert facts.bounds(values["b"])[1] == 672 + 328
    assert facts.greatest(values["b"]) == 999
    assert facts.within(values["b"], 1000) and not facts.within(values["b"], 999)


def test_offsets_of_packed_panels_are_linear() -> None:
    values, facts = nest()
    type = MemRefType(f32, [42, 336, 8])
    offset = facts.linearize(type, [floordiv(values["b"], 8), Linear.of(values["c"]), Linear.of(0)])
    assert offset == Linear.of(values["b"]) * 336 + Linear.of(values["c"]) * 8
