"""The rules together: they end, in any order, once is enough, and nothing becomes larger."""

from random import Random

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.parser import Parser

from picograd.check.generation.programs import random_samples
from picograd.check.rules import CASES, draw_case
from picograd.check.rules.cost import cost
from picograd.compiler.diagnostics import verify_module
from picograd.dialects import new_context
from picograd.passes.canonicalize import Canonicalize
from picograd.passes.rewriting.greedy import REWRITES_PER_OP, Rule, rewrite_greedily
from picograd.passes.rules import ALL, all_rules
from picograd.semantics.bounds import compare
from picograd.semantics.evaluate import evaluate

EACH = 4
"""Modules for each way to match a rule."""

KEYS = [(op, rule) for op, rules in all_rules().items() for rule in rules]


def spelled(key: tuple[type[Operation], Rule]) -> str:
    op, rule = key
    return f"{getattr(rule, '__name__', rule)} on {op.name}"


@pytest.mark.parametrize("key", KEYS, ids=spelled)
def test_no_rule_increases_the_cost(key: tuple[type[Operation], Rule]) -> None:
    op, rule = key
    for way, draw in enumerate(CASES[key].matches):
        for number in range(EACH):
            case = draw_case(draw, f"cost {spelled(key)} {way} {number}")
            module = case.module.clone()
            rewrite_greedily(module, {op: (rule,)})
            assert cost(module) <= cost(case.module), f"{spelled(key)}\n{case.module}\n{module}"


@pytest.mark.parametrize("key", KEYS, ids=spelled)
def test_a_rule_alone_comes_to_an_end(key: tuple[type[Operation], Rule]) -> None:
    op, rule = key
    for way, draw in enumerate(CASES[key].matches):
        case = draw_case(draw, f"end {spelled(key)} {way}")
        module = case.module.clone()
        assert rewrite_greedily(module, {op: (rule,)}) <= 4 * len(list(case.module.walk()))
        assert rewrite_greedily(module, {op: (rule,)}) == 0, module


def modules(seed: int, count: int) -> list[ModuleOp]:
    """Random programs, and programs in which rules meet each other: the matches of several."""
    rng = Random(seed)
    drawn = [sample.module for sample in random_samples(count, seed, fewest_ops=4)]
    keys = [key for key in KEYS if CASES[key].matches]
    for number in range(count):
        draw = rng.choice(CASES[rng.choice(keys)].matches)
        drawn.append(draw_case(draw, f"together {seed} {number}").module)
    return drawn


@pytest.mark.parametrize("seed", range(4))
def test_canonicalization_is_idempotent_and_never_grows(seed: int) -> None:
    for module in modules(seed, 40):
        once = module.clone()
        Canonicalize().apply(new_context(), once)
        verify_module(once)
        assert cost(once) <= cost(module), f"{module}\n{once}"
        twice = once.clone()
        assert rewrite_greedily(twice, ALL) == 0
        assert str(twice) == str(once)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 61])
def test_in_any_order_the_rules_end_and_mean_the_same(seed: int) -> None:
    rng = Random(f"orders {seed}")
    for number, sample in enumerate(random_samples(25, 100 + seed, fewest_ops=4)):
        table = {op: tuple(rng.sample(rules, len(rules))) for op, rules in ALL.items()}
        module = sample.module.clone()
        ops = len(list(module.walk()))
        # The cap is not met, by far.
        assert rewrite_greedily(module, table) < REWRITES_PER_OP * ops / 8
        verify_module(module)
        with np.errstate(all="ignore"):
            outputs = evaluate(module, sample.inputs)
        report = compare(sample.module, sample.inputs, outputs)
        assert not report.excesses, f"{number}: {report}\n{sample}{module}"
        assert cost(module) <= cost(sample.module)
        assert rewrite_greedily(module, table) == 0


def test_a_deep_chain_of_views_stays_below_the_cap() -> None:
    lines = [
        f"%v{n + 1} = pico.permute %v{n} by [{'1, 0' if n % 2 else '0, 1'}]"
        " : tensor<3x3xf32> -> tensor<3x3xf32>"
        for n in range(200)
    ]
    text = (
        "func.func @main(%v0: tensor<3x3xf32>) -> tensor<3x3xf32> {\n"
        + "\n".join(lines)
        + "\nfunc.return %v200 : tensor<3x3xf32>\n}"
    )
    module = Parser(new_context(), text).parse_module()
    assert rewrite_greedily(module, ALL) < 4 * 200
    assert "permute" not in str(module)


def test_the_cost_tells_what_matters() -> None:
    def of(body: str) -> tuple[int, int]:
        text = f"func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {{\n{body}\n}}"
        return cost(Parser(new_context(), text).parse_module())

    one = "%c = pico.constant dense<2.0> : tensor<4xf32>\n"
    divided = one + "%y = pico.binary div %x, %c : tensor<4xf32>\nfunc.return %y : tensor<4xf32>"
    times = divided.replace("div", "mul")
    dead = times.replace("func.return", "%d = pico.unary exp %x : tensor<4xf32>\nfunc.return")
    assert of(times) == of(dead) < of(divided)
    twice = times.replace(
        "func.return %y", "%z = pico.unary neg %y : tensor<4xf32>\nfunc.return %z"
    )
    assert of(twice) == (of(times)[0] + 2, 2)
