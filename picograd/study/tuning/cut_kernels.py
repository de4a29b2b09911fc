"""A program cut into its kernels, each a small program of its own that can be compiled and judged.

The cut is made at buffer level, where a kernel says what it reads, updates and writes. There it is
taken out twice: as tensor ops, which tell what is to be computed and within which error budget, and
as loops, which the schedules are for. The loops are equal, digest and all, to those in the program.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    IntegerAttr,
    ModuleOp,
    UnitAttr,
    i64,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, Region, SSAValue

from picograd.compiler.driver import run_pipeline
from picograd.compiler.in_parts import run_in_parts
from picograd.compiler.pipelines import BEFORE_SCHEDULES
from picograd.dialects import buffer
from picograd.dialects.dtypes import tensor_type, type_of
from picograd.dialects.loop import KernelOp
from picograd.errors import PipelineError
from picograd.passes import Pass
from picograd.passes.base import Level
from picograd.passes.choose_schedules import digest_of
from picograd.quick_dataclasses import dataclass
from picograd.semantics.evaluate import entry_of


@dataclass
class CutKernel:
    """A kernel of a program, or several that are equal."""

    name: str
    digest: str
    launches: int
    """How often the program runs it."""
    tensors: ModuleOp
    """What it computes: a function of tensors, from what it reads to what it writes."""
    loops: ModuleOp
    """A program that runs it once, as loops without a schedule."""


def split(steps: Sequence[Pass]) -> tuple[Sequence[Pass], Sequence[Pass], Sequence[Pass]]:
    """The passes down to buffers, those down to loops without a schedule, and those for schedules.

    Raises PipelineError where that cannot be told apart.
    """
    lowering = [n for n, step in enumerate(steps) if (step.level_in, step.level_out) == _TO_LOOPS]
    ends = [n for n, step in enumerate(steps) if step.name == BEFORE_SCHEDULES]
    if len(lowering) != 1 or not ends or ends[0] < lowering[0]:
        raise PipelineError(
            "these passes do not show where schedules begin",
            code="PG705",
            expected=f"a lowering from buffers to loops, and {BEFORE_SCHEDULES} after it",
            found=", ".join(step.name for step in steps) or "no passes",
            hint="tune a program of tensors, kernels or buffers with the CPU's own pipeline",
        )
    return steps[: lowering[0]], steps[lowering[0] : ends[0] + 1], steps[ends[0] + 1 :]


_TO_LOOPS = (Level.BUFFER, Level.LOOP)
_Constant = buffer.ConstantOp
_Notes = dict[str, Attribute]
"""What is said of an argument."""


def cut_kernels(module: ModuleOp, steps: Sequence[Pass]) -> list[CutKernel]:
    """The different kernels of a program, in their order; `steps` lead from it to the target.

    Those that run in every call: what is computed once is left out.

    Raises PipelineError for steps that lead past no buffers, and what the passes raise.
    """
    to_buffers, to_loops, _ = split(steps)
    module = module.clone()
    run_in_parts(module, to_buffers, facts=None, verify=False)
    found: dict[str, CutKernel] = {}
    for op in entry_of(module).walk():
        if not isinstance(op, buffer.KernelOp):
            continue
        loops = _alone(op)
        run_pipeline(loops, to_loops, facts=None, verify=False)
        kernels = [inner for inner in loops.ops if isinstance(inner, KernelOp)]
        if len(kernels) != 1:
            continue  # one that writes nothing: it is never launched
        digest = digest_of(kernels[0])
        if digest in found:
            found[digest].launches += 1
        else:
            name = kernels[0].sym_name.data
            found[digest] = CutKernel(name, digest, 1, _as_tensors(op), loops)
    return list(found.values())


def _as_tensors(op: buffer.KernelOp) -> ModuleOp:
    """A kernel as a function of tensors, from what it reads and updates to what it writes."""
    inputs = [*op.reads, *op.updates]
    block = Block(arg_types=[_tensor(value) for value in inputs])
    values: dict[SSAValue, SSAValue] = {}
    written: dict[SSAValue, SSAValue] = {}
    for inner in op.block.ops:
        if isinstance(inner, buffer.ReadOp):
            assert isinstance(inner.source, BlockArgument)
            values[inner.result] = block.args[inner.source.index]
        elif isinstance(inner, buffer.WriteOp):
            written[inner.target] = values[inner.value]
        else:
            copy = inner.clone(values)
            block.add_op(copy)
            values.update(zip(inner.results, copy.results, strict=True))
    targets = op.block.args[len(op.reads) :]
    results = [written[target] for target in targets]
    block.add_op(ReturnOp(*results))
    return _module(block, [value.type for value in results], [_Notes() for _ in inputs])


def _alone(op: buffer.KernelOp) -> ModuleOp:
    """A program of buffers that runs one kernel."""
    reads, updates, writes = list(op.reads), list(op.updates), list(op.writes)
    constants = {value: value.owner for value in reads if isinstance(value.owner, _Constant)}
    given = [value for value in reads if value not in constants]
    types = [value.type for value in (*given, *updates, *updates, *writes)]
    notes = [_Notes() for _ in given]
    for number in range(len(updates)):
        notes.append(_Notes({buffer.DONATED: IntegerAttr(number, i64)}))
    for number in range(len(updates)):
        place = IntegerAttr(len(given) + number, i64)
        notes.append(_Notes({buffer.OUTPUT: UnitAttr(), buffer.STORED_IN: place}))
    notes += [_Notes({buffer.OUTPUT: UnitAttr()}) for _ in writes]
    block = Block(arg_types=types)
    arguments = iter(block.args)
    values: dict[SSAValue, SSAValue] = {}
    for value, owner in constants.items():
        assert isinstance(owner, Operation)
        copy = owner.clone()
        block.add_op(copy)
        values[value] = copy.results[0]
    new_reads = [values[value] if value in constants else next(arguments) for value in reads]
    new_updates = [next(arguments) for _ in updates]
    for _ in updates:
        next(arguments)
    new_writes = [next(arguments) for _ in writes]
    body = op.body.clone()
    block.add_op(
        buffer.KernelOp(
            op.label,
            new_reads,
            new_writes,
            body,
            op.absorbed_names,
            updates=new_updates,
            guarded=op.guarded is not None,
        )
    )
    block.add_op(ReturnOp())
    return _module(block, [], notes)


def _module(block: Block, results: Sequence[Attribute], notes: Sequence[_Notes]) -> ModuleOp:
    types = FunctionType.from_lists([argument.type for argument in block.args], results)
    attributes = ArrayAttr([DictionaryAttr(note) for note in notes])
    return ModuleOp([FuncOp("main", types, Region(block), arg_attrs=attributes)])


def _tensor(value: SSAValue) -> Attribute:
    type = type_of(value)
    return tensor_type(type.get_shape(), type.element_type)
