"""What a cut leaves behind and nobody reads: ops, bindings of kernels, kernels, arguments."""

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation
from xdsl.rewriter import Rewriter
from xdsl.traits import IsTerminator

from picograd.check.reduce.arguments import unread, without_arguments
from picograd.check.reduce.excerpt import excerpt, ops_of
from picograd.check.reduce.search import Program
from picograd.dialects import loop
from picograd.dialects.kernel import FusedOp, YieldOp
from picograd.passes import Level
from picograd.passes.base import level_of
from picograd.semantics.evaluate import entry_of


def tidied(program: Program) -> Program:
    """The program without what nobody reads. Its module is used up."""
    module = program.module
    erase_dead(module)
    if level_of(module) in (Level.TENSOR, Level.KERNEL):
        for op in ops_of(entry_of(module)):
            if isinstance(op, FusedOp):
                _tidy_kernel(op)
        erase_dead(module)
        return excerpt(program, range(len(ops_of(entry_of(module)))), {})
    _drop_unread_arguments(module)
    _drop_kernels_without_launch(module)
    return without_arguments(program, unread(entry_of(module)))


def erase_dead(root: Operation) -> None:
    """Erase the ops inside another that do nothing and whose results nobody reads."""
    for region in root.regions:
        for block in region.blocks:
            for op in reversed(tuple(block.ops)):
                erase_dead(op)
                if _is_dead(op):
                    Rewriter.erase_op(op)


def _is_dead(op: Operation) -> bool:
    if isinstance(op, FuncOp | loop.KernelOp) or op.has_trait(IsTerminator):
        return False
    return all(result.first_use is None for result in op.results) and not any(
        acts(inner) for inner in op.walk()
    )


def acts(op: Operation) -> bool:
    """Whether an op is there for what it does, not for a result: a store, a launch, a barrier."""
    return not op.results and not op.regions and not op.has_trait(IsTerminator)


def _tidy_kernel(op: FusedOp) -> None:
    """Drop the results of a kernel that nobody reads, and the operands that it does not read."""
    if any(result.first_use is None for result in op.outputs):
        used = [result for result in op.outputs if result.first_use is not None]
        yielded = [op.yield_op.values[result.index] for result in used]
        Rewriter.replace_op(op.yield_op, YieldOp(yielded), [])
        erase_dead(op)
        new = FusedOp(op.label, op.inputs, op.detach_region(op.body), op.absorbed_names)
        for old, result in zip(used, new.outputs, strict=True):
            result.name_hint = old.name_hint
            old.replace_all_uses_with(result)
        Rewriter.replace_op(op, new, [None] * len(op.results))
        op = new
    keep = [argument.first_use is not None for argument in op.block.args]
    for argument in tuple(op.block.args):
        if argument.first_use is None:
            op.block.erase_arg(argument)
    op.operands = [value for value, kept in zip(op.inputs, keep, strict=True) if kept]


def _drop_unread_arguments(module: ModuleOp) -> None:
    """Drop the arguments of loop kernels that they do not use, at every launch."""
    for kernel in _kernels(module):
        gone = [argument.index for argument in kernel.body.block.args if not argument.first_use]
        for number in reversed(gone):
            kernel.body.block.erase_arg(kernel.body.block.args[number])
        for launch in _launches(module):
            if launch.kernel.root_reference == kernel.sym_name:
                launch.operands = [v for n, v in enumerate(launch.operands) if n not in gone]


def _drop_kernels_without_launch(module: ModuleOp) -> None:
    launched = {launch.kernel.root_reference for launch in _launches(module)}
    if launched:
        for kernel in _kernels(module):
            if kernel.sym_name not in launched:
                Rewriter.erase_op(kernel)


def _kernels(module: ModuleOp) -> list[loop.KernelOp]:
    return [op for op in module.body.block.ops if isinstance(op, loop.KernelOp)]


def _launches(module: ModuleOp) -> list[loop.LaunchOp]:
    return [op for op in module.walk() if isinstance(op, loop.LaunchOp)]
