"""The passes, in the order in which a pipeline runs them. README.md holds the laws for writing one.

Adding a pass is adding a row here: its name is how the command line and the dumps spell it.
"""

from picograd.passes.base import Level, Pass, level_of

PASSES: dict[str, type[Pass]] = {}

__all__ = ["PASSES", "Level", "Pass", "level_of"]
