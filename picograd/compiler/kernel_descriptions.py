"""Kernels in a few words: the ops that they hold, and the user's lines that asked for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.ir import Attribute, Operation

from picograd.dialects.loop import KernelOp
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


def lines_by_kernel(module: ModuleOp) -> Mapping[str, Sequence[str]]:
    """The lines that each kernel of a module at loop level comes from, as far as it knows them."""
    found: dict[str, Sequence[str]] = {}
    for kernel in module.ops:
        at = kernel.attributes.get("at") if isinstance(kernel, KernelOp) else None
        if isinstance(kernel, KernelOp) and isinstance(at, ArrayAttr):
            notes = cast(ArrayAttr[Attribute], at).data
            lines = [note.data for note in notes if isinstance(note, StringAttr)]
            found[kernel.sym_name.data] = lines
    return found


def _word(op: TensorOp) -> str:
    """`add` for `pico.binary add`, `permute` for `pico.permute`."""
    kind = op.properties.get("kind")
    data = getattr(kind, "data", None)
    base = op.name.removeprefix("pico.")
    if data is None:
        return base
    return f"{base} {data}" if base in ("reduce", "compare", "scan", "argreduce") else str(data)
