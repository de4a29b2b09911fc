"""Passes that treat each kernel by itself are given the kernels one by one, whoever runs them.

So what a pass sees does not depend on how its module is compiled: all kernels together, or each
through the last passes before the next (`kernel_by_kernel`). One that claims wrongly to treat
kernels alone is as wrong in a dump, under validation and for `blame` as in a compilation.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import fields

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from picograd.dialects.loop import KernelOp
from picograd.passes.base import Pass


def treats_kernels_alone(step: Pass) -> bool:
    """Whether a pass treats each kernel by itself, with the options that it has."""
    return step.alone and not names_something(step)


def names_something(step: Pass) -> bool:
    """Whether an option names a loop or an operand, which some kernel has, and not each.

    Such a pass needs all kernels: it refuses a name that none of those it sees has.
    """
    options = [option for option in fields(step) if option.name != "target"]
    return any(
        option.type in ("str", str) and getattr(step, option.name) != option.default
        for option in options
    )


def kernels_of(module: ModuleOp) -> list[KernelOp]:
    """The kernels of a module, in order."""
    return [op for op in module.body.block.ops if isinstance(op, KernelOp)]


@contextmanager
def apart(kernel: KernelOp) -> Generator[ModuleOp]:
    """A kernel in a module of its own; what becomes of it there takes its place at the end."""
    block, following = kernel.parent_block(), kernel.next_op
    assert block is not None
    kernel.detach()
    part = ModuleOp([kernel])
    try:
        yield part
    finally:
        for op in list(part.body.block.ops):
            op.detach()
            if following is None:
                block.add_op(op)
            else:
                block.insert_op_before(op, following)


def apply(step: Pass, context: Context, module: ModuleOp) -> None:
    """Let a pass do its work: on the whole module, or on each of its kernels."""
    if len(module.body.block.ops) == 1 or not treats_kernels_alone(step):
        step.apply(context, module)
        return
    for kernel in kernels_of(module):
        with apart(kernel) as part:
            step.apply(context, part)
