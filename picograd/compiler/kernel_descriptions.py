"""Kernels in a few words: the ops that they hold, and the user's lines that asked for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Operation

from picograd.dialects.tensor import ConstantOp, TensorOp


def name_ops(ops: Iterable[Operation]) -> str:
    """Tensor ops in the order in which they first occur, with how often they do.

    Constants are not worth a word, unless there is nothing else.
    """
    names = Counter(
        _word(op) for op in ops if isinstance(op, TensorOp) and not isinstance(op, ConstantOp)
    )
    listed = [name if times == 1 else f"{name} ×{times}" for name, times in names.items()]
    return ", ".join(listed) or "a constant"


def lines_of(ops: Iterable[Operation]) -> tuple[str, ...]:
    """The lines of the user's program that ops come from, each once, in their order."""
    notes = [op.attributes.get("at") for op in ops]
    return tuple(dict.fromkeys(note.data for note in notes if isinstance(note, StringAttr)))


def _word(op: TensorOp) -> str:
    """`add` for `pico.binary add`, `permute` for `pico.permute`."""
    kind = op.properties.get("kind")
    data = getattr(kind, "data", None)
    base = op.name.removeprefix("pico.")
    if data is None:
        return base
    return f"{base} {data}" if base in ("reduce", "compare", "scan", "argreduce") else str(data)
