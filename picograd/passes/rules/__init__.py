"""The rewrite rules of `canonicalize`, by theme. Each keeps every bit, -0.0 and infinity included.

A rule is a function of one op and a `Build`; it returns the value that replaces the op's result, or
None where it does not apply. (A NaN stays a NaN; its sign and payload are not kept.)
"""

from xdsl.ir import Operation

from picograd.passes.rewriting.greedy import Rule
from picograd.passes.rules import algebra, choices, folding, indexing, reductions, views

THEMES = (folding, algebra, choices, views, reductions, indexing)


def all_rules() -> dict[type[Operation], tuple[Rule, ...]]:
    """One table for the rewrite driver: for every op class the rules that look at it, in order."""
    table: dict[type[Operation], tuple[Rule, ...]] = {}
    for theme in THEMES:
        for op_class, rules in theme.RULES.items():
            table[op_class] = table.get(op_class, ()) + rules
    return table


ALL = all_rules()
"""The table that `canonicalize` applies; `picograd.compiler.extension` adds to it."""

__all__ = ["ALL", "THEMES", "all_rules"]
