"""Who is to blame: the pass, then the one rewrite of it; or the device's kernel, then its store.

    found = blame(Case(module, inputs, passes, "cpu"))
    print(found)

A wrong pass is run with only its first n rewrites (`passes.rewriting.applications`), and n is
halved until the first n are wrong and the first n - 1 are right. Where a pass cannot stop half way,
because it is a lowering, its work is cut at the kernels of the module instead.
"""

from picograd.check.blame.blame import blame
from picograd.check.blame.verdict import Blame

__all__ = ["Blame", "blame"]
