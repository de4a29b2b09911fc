"""Every rewrite rule alone: it applies where it must, nowhere else, and keeps every bit."""

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from picograd.check.rules import CASES, Case, draw_case
from picograd.compiler.diagnostics import verify_module
from picograd.dialects.literals import Array
from picograd.errors import IndexOutOfRange
from picograd.passes.rewriting.greedy import Rule, rewrite_greedily
from picograd.passes.rules import all_rules
from picograd.semantics.bounds import compare
from picograd.semantics.evaluate import evaluate

EACH = 12
"""So many modules are drawn for each way to match, or to miss, a rule."""

KEYS = [(op, rule) for op, rules in all_rules().items() for rule in rules]


def spelled(key: tuple[type[Operation], Rule]) -> str:
    op, rule = key
    return f"{getattr(rule, '__name__', rule)} on {op.name}"


def same_bits(a: Array, b: Array) -> bool:
    """Equal shapes, dtypes and bits, but that a NaN may be another NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    wide = [x.astype(np.float64) if x.dtype.kind not in "biu" else x for x in (a, b)]
    signs = [np.signbit(x) & ~np.isnan(x) if x.dtype.kind == "f" else x for x in wide]
    equal_nan = wide[0].dtype.kind == "f"
    same_values = np.array_equal(wide[0], wide[1], equal_nan=equal_nan)
    return same_values and np.array_equal(signs[0], signs[1])


def values(module: ModuleOp, case: Case) -> list[Array] | str:
    try:
        with np.errstate(all="ignore"):
            return evaluate(module, case.inputs)
    except IndexOutOfRange:
        return "an index is out of range"


def test_every_rule_has_a_row() -> None:
    assert set(CASES) == set(KEYS)
    for key, row in CASES.items():
        assert row.matches or spelled(key) == "fold on pico.iota"
        assert row.misses, spelled(key)


@pytest.mark.parametrize("key", KEYS, ids=spelled)
def test_a_rule_alone_keeps_what_it_matches(key: tuple[type[Operation], Rule]) -> None:
    op, rule = key
    row = CASES[key]
    for number in range(len(row.matches) * EACH):
        case = draw_case(row.matches[number % len(row.matches)], f"{spelled(key)} {number}")
        module = case.module.clone()
        verify_module(module)
        applied = rewrite_greedily(module, {op: (rule,)})
        assert applied, f"{spelled(key)} does not apply to\n{case.module}"
        verify_module(module)
        before, after = values(case.module, case), values(module, case)
        where = f"{spelled(key)}\n{case.module}\n{module}\n{case.inputs}\n{before}\n{after}"
        if isinstance(before, str) or isinstance(after, str):
            assert before == after, where
        elif row.exception:
            report = compare(case.module, case.inputs, after)
            assert not report.excesses, f"{report}\n{where}"
        else:
            assert all(map(same_bits, before, after)), where


@pytest.mark.parametrize("key", KEYS, ids=spelled)
def test_a_rule_leaves_near_misses_alone(key: tuple[type[Operation], Rule]) -> None:
    op, rule = key
    row = CASES[key]
    for number in range(len(row.misses) * EACH):
        draw = row.misses[number % len(row.misses)]
        case = draw_case(draw, f"near {spelled(key)} {number}", read=False)
        module = case.module.clone()
        assert not rewrite_greedily(module, {op: (rule,)}), f"{spelled(key)}\n{case.module}"
        assert module.is_structurally_equivalent(case.module)
