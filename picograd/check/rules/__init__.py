"""Modules that a rewrite rule must match, and modules that it must leave alone, rule by rule.

A rule that is only tested among others may hide behind them: what it breaks, another one folds
away. `CASES` has a row for every rule of every op class that `canonicalize` knows; a test applies
each rule alone, asserts that it applied where it must and not where it must not, and compares what
the module computes bit by bit.
"""

from picograd.check.rules.scene import Case, Row, Scene, draw_case, draw_inputs
from picograd.check.rules.table import CASES

__all__ = ["CASES", "Case", "Row", "Scene", "draw_case", "draw_inputs"]
