"""Index rules, proved by exhaustion over small ranges: affine, lowering, facts, both emitters."""

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product

import numpy as np
import pytest
from xdsl.ir import SSAValue

from picograd.backends.llvm.emit_address import linear as emit_linear
from picograd.backends.llvm.ranges import Ranges
from picograd.backends.wgsl.indices import IndexWriter
from picograd.backends.wgsl.text import Helpers
from picograd.check.rules.indices import (
    Grid,
    Values,
    grid,
    nested,
    sums,
    value_of,
    variables,
)
from picograd.compiler.diagnostics import parse_module
from picograd.dialects.affine import (
    Atom,
    FloorDiv,
    Leaf,
    Linear,
    Mod,
    decode,
    encode,
    floordiv,
    mod,
)
from picograd.dialects.loop import Dim, LoopOp
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.intervals import Interval, interval_of, quotient_of, remainder_of
from picograd.passes.lowering import indices as lowering

FACTORS = (-4, -3, -1, 0, 1, 2, 3, 4)
CONSTANTS = (-7, -1, 0, 1, 5)
DIVISORS = (1, 2, 3, 4, 6)


def equal(a: Values, b: Values) -> bool:
    return bool(np.array_equal(a, b))


@pytest.mark.parametrize("by", DIVISORS)
def test_quotients_and_remainders_round_down(by: int) -> None:
    names = variables(2)
    at = grid({name: (-5, 5) for name in names})
    for expression in sums(names, FACTORS, CONSTANTS):
        value = value_of(expression, at)
        quotient, rest = floordiv(expression, by), mod(expression, by)
        assert equal(value_of(quotient, at), value // by), expression
        assert equal(value_of(rest, at), value % by), expression
        # Of what has quotients in it, too.
        again = floordiv(quotient + names[0], 3), mod(quotient * 2 + rest, 4)
        assert equal(value_of(again[0], at), (value // by + at[names[0]]) // 3)
        assert equal(value_of(again[1], at), (value // by * 2 + value % by) % 4)


@pytest.mark.parametrize("by", DIVISORS)
def test_substitution_and_encoding_keep_values(by: int) -> None:
    names = variables(3)
    at = grid({name: (-4, 4) for name in names})
    a, b, c = names
    new: Mapping[Leaf, Linear] = {a: Linear.of(c) * 2 - 3, b: Linear.of(a) - Linear.of(c)}
    there: Grid = {**at, a: at[c] * 2 - 3, b: at[a] - at[c]}
    for expression in nested(names[:2], (-3, 0, 2), (-5, 0, 4), by):
        assert equal(value_of(expression.substitute(new), at), value_of(expression, there))
        (decoded,) = decode(*encode([expression]))
        assert equal(value_of(decoded, at), value_of(expression, at))


RANGES = ((0, 0), (0, 3), (-3, 2), (2, 6))


@pytest.mark.parametrize("ranges", list(product(RANGES, repeat=2)))
def test_lowering_knows_ranges(ranges: Sequence[tuple[int, int]]) -> None:
    names = variables(2)
    known = dict(zip(names, ranges, strict=True))
    at = grid(known)
    for expression in sums(names, (-3, -1, 0, 1, 2, 4), (-5, 0, 3)):
        value = value_of(expression, at)
        low, high = lowering.interval(expression, known)
        assert (low, high) == (value.min(), value.max())
        for by in (1, 2, 4, 6):
            quotient = lowering.quotient(expression, by, known)
            rest = lowering.remainder(expression, by, known)
            assert equal(value_of(quotient, at), value // by), (expression, by)
            assert equal(value_of(rest, at), value % by), (expression, by)
        for least, most in ((0, 4), (-2, 1), (3, 3)):
            inside = (value >= least) & (value < most)
            guard = lowering.in_range(expression, least, most, known)
            assert (guard is None) <= (not inside.any())
            if guard is not None:
                held = np.ones_like(inside)
                for condition in guard:
                    compare = np.greater_equal if condition.predicate == "ge" else np.less
                    held &= compare(value_of(condition.expression, at), condition.value)
                assert np.array_equal(held, inside)


@pytest.mark.parametrize("shape", list(product((1, 2, 3), repeat=3)))
def test_positions_and_indices_are_inverse(shape: tuple[int, ...]) -> None:
    names = variables(4)
    ranges = {name: (0, size - 1) for name, size in zip(names, (*shape, 1), strict=True)}
    at = grid(ranges)
    here = tuple(map(Linear.of, names[:3]))
    position = lowering.linearize(here, shape)
    flat = sum(at[name] * int(np.prod(shape[axis + 1 :])) for axis, name in enumerate(names[:3]))
    assert equal(value_of(position, at), np.asarray(flat))
    count = int(np.prod(shape))
    line = grid({names[3]: (0, count - 1)})
    for other in [s for s in product(range(1, count + 1), repeat=3) if np.prod(s) == count]:
        # Through another shape, and back: nothing but the position is left.
        index = lowering.delinearize(Linear.of(names[3]), other, {names[3]: (0, count - 1)})
        expected = np.unravel_index(line[names[3]], other)
        assert all(equal(value_of(e, line), v) for e, v in zip(index, expected, strict=True))
        assert equal(value_of(lowering.linearize(index, other), line), line[names[3]])


def test_intervals_hold_every_value_and_no_more() -> None:
    for low, high, by in product(range(-7, 8), range(-7, 8), DIVISORS):
        if low > high:
            continue
        values = np.arange(low, high + 1)
        assert quotient_of((low, high), by) == ((values // by).min(), (values // by).max())
        least, most = remainder_of((low, high), by)
        assert least is not None and most is not None
        assert least <= (values % by).min()
        assert most >= (values % by).max()
        for unknown in ((None, high), (low, None), (None, None)):
            least, most = quotient_of(unknown, by)
            assert least is None or least == low // by
            assert most is None or most == high // by
            assert remainder_of(unknown, by) == (0, by - 1)


# Facts about loops


@cache
def nest(low: int, high: int, step: int, inner: int) -> tuple[LoopFacts, list[Dim]]:
    module = parse_module(f"""
    loop.kernel @k(%x: memref<4xf32>) {{
      loop.parallel %a = {low} to {high} step {step} {{
        loop.parallel %b = %a to min(%a + {step}, {high}) step {inner} {{
          loop.parallel %c = %b to min(%b + {inner}, %a + {step}, {high}) {{
          }}
        }}
      }}
    }}""")
    loops = [op for op in module.walk() if isinstance(op, LoopOp)]
    return LoopFacts(), [dim for op in loops for dim in op.dims]


def iterations(low: int, high: int, step: int, inner: int) -> list[tuple[int, int, int]]:
    return [
        (a, b, c)
        for a in range(low, high, step)
        for b in range(a, min(a + step, high), inner)
        for c in range(b, min(b + inner, a + step, high))
    ]


NESTS = [
    (low, low + extent, step, inner)
    for low, extent, step, inner in product((0, 3), (1, 5, 7, 12), (1, 2, 3, 6), (1, 2, 3))
]


@pytest.mark.parametrize("low_high_step_inner", NESTS, ids=str)
def test_facts_hold_in_every_iteration(low_high_step_inner: tuple[int, int, int, int]) -> None:
    facts, dims = nest(*low_high_step_inner)
    points = np.array(iterations(*low_high_step_inner)).T
    names = [dim.variable for dim in dims]
    at: dict[Leaf, Values] = dict(zip(names, points, strict=True))
    a, b, c = names
    for dim, variable in zip(dims, names, strict=True):
        distances = [value_of(upper - dim.lower, at) for upper in dim.uppers]
        extent = facts.extent(dim)
        assert extent is not None
        assert extent >= np.minimum.reduce(distances).max()
        assert facts.trips(dim) == -(-extent // dim.step)
        assert not facts.runs(dim) or np.minimum.reduce(distances).min() > 0
        assert equal(value_of(facts.contract(facts.expand(variable)), at), at[variable])
    for factors in product((-1, 0, 2), repeat=3):
        whole = sum((Linear.of(n) * f for n, f in zip(names, factors, strict=True)), Linear({}))
        for expression in (whole, whole + Linear({FloorDiv(Linear.of(b) - a, 2): 2}, -1)):
            value = value_of(expression, at)
            least, most = facts.bounds(expression)
            greatest = facts.greatest(expression)
            assert least is not None and least <= value.min()
            assert most is not None and most >= value.max()
            assert greatest is not None and most >= greatest >= value.max()
            assert not facts.within(expression, 5) or (value.min() >= 0 and value.max() < 5)
            divisor = facts.divisor(expression) if whole is expression else 1
            assert not (value % divisor).any() if divisor else not value.any()
            for by in (1, 2, 3):
                parts = facts.split(expression, by)
                if parts is not None:
                    assert equal(value_of(parts[0], at), value // by)
                    assert equal(value_of(parts[1], at), value % by)
                told = facts.simplify(Linear({FloorDiv(whole, by): 1, Mod(whole, by): 2}, 1))
                plain = value_of(whole, at)
                assert equal(value_of(told, at), plain // by + plain % by * 2 + 1)
    assert facts.within(Linear.of(c) - b, low_high_step_inner[3])


# What the emitters write


class Emitted:
    """A function of the LLVM emitter, run on the spot instead of compiled."""

    def __init__(self, at: Grid, known: Mapping[SSAValue, tuple[int, int]]) -> None:
        self.values: dict[str, Values] = {}
        self.names: dict[SSAValue, str] = {}
        self.ranges = Ranges()
        for name, values in at.items():
            assert isinstance(name, SSAValue)
            self.names[name] = f"%{name.name_hint}"
            self.values[self.names[name]] = values
        for name, (low, high) in known.items():
            self.ranges.limit(name, low, high)

    def assign(self, hint: str | None, line: str) -> str:
        found = re.fullmatch(r"(add nsw|sub nsw|mul nsw|ashr|and|sdiv) i64 (\S+), (\S+)", line)
        assert found is not None, line
        operation, left, right = found.groups()
        name = f"%{len(self.values)}"
        self.values[name] = LLVM[operation](self.value(left), self.value(right))
        return name

    def value(self, text: str) -> Values:
        return self.values[text] if text in self.values else np.asarray(int(text))


def truncated(a: Values, b: Values) -> Values:
    return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))


LLVM: Mapping[str, Callable[[Values, Values], Values]] = {
    "add nsw": np.add,
    "sub nsw": np.subtract,
    "mul nsw": np.multiply,
    "ashr": np.right_shift,
    "and": np.bitwise_and,
    "sdiv": truncated,
}


class Known(LoopFacts):
    """Facts that consist of the ranges of some variables."""

    def __init__(self, known: Mapping[SSAValue, tuple[int, int]]) -> None:
        super().__init__()
        self.known = known

    def _atom_bounds(self, atom: Atom, lanes: Sequence[int]) -> Interval:
        if isinstance(atom, SSAValue):
            return self.known.get(atom, (None, None))
        return super()._atom_bounds(atom, lanes)


def wgsl_value(text: str, names: Mapping[str, Values]) -> Values:
    """The value of a WGSL expression of i32, whose division truncates."""
    python = re.sub(r"\b(\d+)i\b", r"\1", text).replace("&&", " and ")

    def of(node: ast.AST) -> Values:
        match node:
            case ast.Expression(body):
                return of(body)
            case ast.Constant(int(number)):
                return np.asarray(number)
            case ast.Name(name):
                return names[name]
            case ast.UnaryOp(ast.USub(), operand):
                return -of(operand)
            case ast.BinOp(left, operator, right):
                return WGSL[type(operator)](of(left), of(right))
            case ast.BoolOp(ast.And(), parts):
                return np.logical_and.reduce(np.broadcast_arrays(*map(of, parts)))
            case ast.Compare(left, [operator], [right]):
                return COMPARE[type(operator)](of(left), of(right))
            case ast.Call(ast.Name("select"), [no, yes, condition]):
                return np.where(of(condition), of(yes), of(no))
            case ast.Call(ast.Name(name), arguments):
                return helper(name, [of(argument) for argument in arguments])
            case _:
                raise AssertionError(ast.dump(node))

    return of(ast.parse(python, mode="eval"))


WGSL: Mapping[type[ast.operator], Callable[[Values, Values], Values]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: truncated,
    ast.Mod: lambda a, b: a - truncated(a, b) * b,
}
COMPARE: Mapping[type[ast.cmpop], Callable[[Values, Values], Values]] = {
    ast.GtE: np.greater_equal,
    ast.Lt: np.less,
    ast.NotEq: np.not_equal,
}


def helper(name: str, arguments: Sequence[Values]) -> Values:
    """What a helper function returns, read from its own text."""
    declared = Helpers()
    declared.use(name.removeprefix("pg_"))
    (text,) = declared.declarations()
    parameters = re.findall(r"(\w+): i32", text)
    names = dict(zip(parameters, arguments, strict=True))
    for local, value in re.findall(r"let (\w+) = (.*);", text):
        names[local] = wgsl_value(value, names)
    (returned,) = re.findall(r"return (.*);", text)
    return wgsl_value(returned, names)


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("span", [(-6, 6), (0, 8), (-9, -1)])
@pytest.mark.parametrize("by", [1, 2, 3, 5, 8])
def test_emitters_divide_as_the_expression_says(
    by: int, span: tuple[int, int], is_known: bool
) -> None:
    names = variables(2)
    ranges = dict.fromkeys(names, span)
    at, known = grid(ranges), ranges if is_known else {}
    texts = {str(name.name_hint): at[name] for name in names}
    writer = IndexWriter({n: str(n.name_hint) for n in names}, Known(known), Helpers())
    for expression in nested(names, (-2, 0, 3), (-4, 0, 3), by):
        value = value_of(expression, at)
        emitted = Emitted(at, known)
        text = emit_linear(emitted, expression)  # pyright: ignore[reportArgumentType]
        assert equal(emitted.value(text), value), expression
        written = writer.text(expression)
        assert equal(wgsl_value(written, texts), value), (expression, written)
        condition = writer.inside((4,), (expression,))
        inside = (value >= 0) & (value < 4)
        found = wgsl_value(condition, texts) if condition else np.full_like(inside, True)
        assert np.array_equal(np.broadcast_to(found, inside.shape), inside), condition


@pytest.mark.parametrize("by", [1, 2, 3, 7])
def test_intervals_of_the_emitter_hold_every_value(by: int) -> None:
    names = variables(2)
    ranges = {names[0]: (-3, 4), names[1]: (0, 5)}
    at, known = grid(ranges), Ranges()
    for name, (low, high) in ranges.items():
        known.limit(name, low, high)
    for expression in nested(names, (-2, 0, 1, 3), (-4, 0, 3), by):
        value = value_of(expression, at)
        low, high = known.interval(expression)
        assert low is not None and low <= value.min()
        assert high is not None and high >= value.max()
        assert not known.within(expression, 6) or (value.min() >= 0 and value.max() < 6)
        assert interval_of(expression, lambda atom: (None, None))[0] in (None, expression.constant)
