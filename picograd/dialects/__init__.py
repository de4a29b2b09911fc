"""The dialects of the four levels, one file each, and the context that knows them all."""

from __future__ import annotations

if __name__ != "picograd.dialects":
    raise ImportError(
        f"import picograd.dialects, not {__name__}: the folder at the top of the tree is a link for"
        " readers, and importing through it would define every op a second time"
    )

from xdsl.context import Context
from xdsl.dialects.arith import Arith
from xdsl.dialects.builtin import Builtin
from xdsl.dialects.func import Func
from xdsl.dialects.math import Math
from xdsl.ir import Operation

from picograd.dialects.buffer import Buffer
from picograd.dialects.kernel import Kernel
from picograd.dialects.loop import Loop
from picograd.dialects.tensor import Pico

DIALECTS = (Builtin, Func, Arith, Math, Pico, Kernel, Buffer, Loop)
"""Every dialect that picograd's IR may use."""


_ADDED: dict[str, type[Operation]] = {}


def add_op(op: type[Operation]) -> None:
    """Let every context made from now on parse an op that is declared outside of picograd."""
    _ADDED[op.name] = op


def new_context() -> Context:
    """A fresh context that parses every level. Ops of other dialects are errors."""
    context = Context()
    for dialect in DIALECTS:
        context.load_dialect(dialect)
    for op in _ADDED.values():
        context.load_op(op)
    return context


__all__ = ["DIALECTS", "add_op", "new_context"]
