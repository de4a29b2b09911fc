"""A module cut into its parts: each op or kernel as a module of its own, with what it was given.

So a lowering, which has no half-done form, can be tried on one kernel after the other; and so can a
device. The values between the parts are those of the evaluator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from picograd.compiler.driver import run_pipeline
from picograd.compiler.validation.inputs import fitted
from picograd.dialects import buffer, loop
from picograd.dialects.buffer import (
    DONATED,
    OUTPUT,
    STORED_IN,
    inputs_of,
    outputs_of,
    stored_in,
)
from picograd.dialects.dtypes import AnyMemRef
from picograd.dialects.kernel import FusedOp, YieldOp
from picograd.dialects.literals import Array
from picograd.dialects.tensor import TensorOp, int_attr
from picograd.errors import IndexOutOfRange
from picograd.passes import Pass
from picograd.passes.rewriting.applications import describe
from picograd.quick_dataclasses import dataclass
from picograd.semantics.environment import Environment, poisoned
from picograd.semantics.evaluate import HANDLERS, entry_of


@dataclass(frozen=True)
class Part:
    """One op of a function, alone in a module, and the inputs that it had."""

    label: str
    op: str
    module: ModuleOp
    inputs: tuple[Array, ...]


def parts_of(module: ModuleOp, inputs: Sequence[Array]) -> Iterator[Part]:
    """The parts of the entry function, in order.

    At tensor level every op is a part, below it every kernel (or launch of one). They end where an
    index is out of range: behind it nothing has a value. Raises what else the evaluator raises.
    """
    function = entry_of(module)
    environment = Environment("native", HANDLERS, module)
    _bind(environment, function, inputs)
    for op in function.body.block.ops:
        if isinstance(op, ReturnOp):
            return
        if isinstance(op, TensorOp | FusedOp):
            yield _of_values(op, environment)
        elif isinstance(op, buffer.KernelOp):
            updated = set[SSAValue](op.updates)
            written = updated.union(op.writes)
            yield _of_memory(op, environment, updated, written, [])
        elif isinstance(op, loop.LaunchOp):
            kernel = _callee(module, op)
            updated, written = _accesses(op, kernel)
            yield _of_memory(op, environment, updated, written, [kernel.clone()])
        try:
            with np.errstate(all="ignore"):
                environment.run_op(op)
        except IndexOutOfRange:
            return


def parts_inside(part: Part, prelude: Sequence[Pass]) -> Iterator[Part]:
    """The tensor ops in the one kernel of a part, each as a kernel of its own.

    `prelude` brings a module of tensor level to the level of the part.
    """
    function = entry_of(part.module)
    kernels = [op for op in function.body.block.ops if isinstance(op, FusedOp | buffer.KernelOp)]
    if len(kernels) != 1:
        return
    (kernel,) = kernels
    environment = Environment("native", HANDLERS, part.module)
    _bind(environment, function, [array.copy() for array in part.inputs])
    outside = kernel.inputs if isinstance(kernel, FusedOp) else kernel.operands
    environment.bind(kernel.block.args, environment.get(outside))
    for op in kernel.block.ops:
        if isinstance(op, YieldOp):
            return
        if isinstance(op, TensorOp):
            alone = _of_values(op, environment)
            run_pipeline(alone.module, prelude)
            label = f"{alone.label} in {part.label}"
            yield Part(label, alone.op, alone.module, alone.inputs)
        with np.errstate(all="ignore"):
            environment.run_op(op)


def _bind(environment: Environment, function: FuncOp, inputs: Sequence[Array]) -> None:
    """Give the arguments of a function their arrays, as `evaluate` does."""
    for argument, array in zip(inputs_of(function), fitted(inputs, function), strict=True):
        environment.values[argument] = array
    for argument in outputs_of(function):
        environment.values[argument] = poisoned(cast(AnyMemRef, argument.type), "native")
    for result, place in stored_in(function).items():
        environment.values[function.args[result]] = environment.values[function.args[place]]


def _of_values(op: TensorOp | FusedOp, environment: Environment) -> Part:
    """A part whose operands are tensors."""
    operands = list(dict.fromkeys(op.operands))
    block = Block(arg_types=[value.type for value in operands])
    inside: dict[SSAValue, SSAValue] = dict(zip(operands, block.args, strict=True))
    _keep_names(inside)
    copy = op.clone(inside)
    block.add_ops([copy, ReturnOp(*copy.results)])
    types = [value.type for value in op.results]
    function = FuncOp("main", (list(block.arg_types), types), Region(block))
    arrays = tuple(np.array(environment.values[value]) for value in operands)
    label = f'kernel "{op.label.data}"' if isinstance(op, FusedOp) else _named(op)
    return Part(label, describe(op), ModuleOp([function]), arrays)


def _of_memory(
    op: buffer.KernelOp | loop.LaunchOp,
    environment: Environment,
    updated: set[SSAValue],
    written: set[SSAValue],
    beside: Sequence[Operation],
) -> Part:
    """A part whose operands are memory: what it updates is an input that it is given."""
    operands = list(dict.fromkeys(op.operands))
    inputs = [value for value in operands if value not in written or value in updated]
    fresh = [value for value in operands if value in written and value not in updated]
    given = [value for value in inputs if value in updated]
    block = Block(arg_types=[value.type for value in (*inputs, *given, *fresh)])
    inside: dict[SSAValue, SSAValue] = {}
    for value, argument in zip((*inputs, *given, *fresh), block.args, strict=True):
        inside.setdefault(value, argument)
    _keep_names(inside)
    block.add_ops([op.clone(inside), ReturnOp()])
    notes: list[dict[str, Attribute]] = [
        {DONATED: int_attr(given.index(value))} if value in given else {} for value in inputs
    ]
    for value in given:
        notes.append({OUTPUT: UnitAttr(), STORED_IN: int_attr(inputs.index(value))})
    for _ in fresh:
        notes.append({OUTPUT: UnitAttr()})
    function = FuncOp(
        "main",
        (list(block.arg_types), []),
        Region(block),
        arg_attrs=ArrayAttr([DictionaryAttr(note) for note in notes]),
    )
    arrays = tuple(np.array(environment.values[value], order="C") for value in inputs)
    name = op.label.data if isinstance(op, buffer.KernelOp) else op.kernel.root_reference.data
    label = f'kernel "{name}"' if isinstance(op, buffer.KernelOp) else f"kernel @{name}"
    return Part(label, describe(op), ModuleOp([*beside, function]), arrays)


def _callee(module: ModuleOp, launch: loop.LaunchOp) -> loop.KernelOp:
    """The kernel that a launch names; the verifier has seen that there is one."""
    name = launch.kernel.root_reference.data
    found = [op for op in module.ops if isinstance(op, loop.KernelOp) and op.sym_name.data == name]
    return found[0]


def _accesses(launch: loop.LaunchOp, kernel: loop.KernelOp) -> tuple[set[SSAValue], set[SSAValue]]:
    """Which buffers a launch updates (reads first, in effect, and writes), and which it writes."""
    updated: set[SSAValue] = set()
    written: set[SSAValue] = set()
    for value, argument in zip(launch.operands, kernel.body.block.args, strict=True):
        if argument in kernel.written:
            written.add(value)
            if any(isinstance(use.operation, loop.LoadOp) for use in argument.uses):
                updated.add(value)
    return updated, written


def _keep_names(inside: dict[SSAValue, SSAValue]) -> None:
    for old, new in inside.items():
        new.name_hint = old.name_hint


def _named(op: Operation) -> str:
    hint = op.results[0].name_hint if op.results else None
    return f"%{hint}" if hint else op.name
