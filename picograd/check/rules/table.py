"""The table of all rules: for each op class and rule, what it must match and what it must not."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.ir import Operation

from picograd.check.rules import elementwise, movement, others
from picograd.check.rules.scene import Row
from picograd.passes.rewriting.greedy import Rule

CASES: Mapping[tuple[type[Operation], Rule], Row] = {
    **elementwise.ROWS,
    **movement.ROWS,
    **others.ROWS,
    **others.FOLDING,
}
"""A row for each rule of each op class in `passes.rules.ALL`; a test fails where one is missing."""
