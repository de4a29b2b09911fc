"""The dialects of all levels together, and the context that knows them."""

from __future__ import annotations

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
