"""Fewer kernels and fewer stores, at buffer and loop level.

What a kernel reads of one that goes becomes an argument that holds what was there. What a kernel
writes for one that goes becomes a result. So no candidate reads memory that nobody has written:
such a program has no meaning that a pass could keep.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial

from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.rewriter import Rewriter

from picograd.check.reduce.arguments import as_input, as_output
from picograd.check.reduce.chunks import fewest
from picograd.check.reduce.search import Program, Search
from picograd.check.reduce.tidy import erase_dead, tidied
from picograd.dialects import buffer, loop
from picograd.dialects.buffer import outputs_of
from picograd.dialects.literals import Array
from picograd.passes import Level
from picograd.passes.base import level_of
from picograd.semantics.evaluate import entry_of, evaluate


def fewer_kernels(search: Search) -> None:
    """Take kernels away from a function of buffer or loop level."""
    if level_of(search.best.module) not in (Level.BUFFER, Level.LOOP):
        return
    base = search.best
    numbers = range(len(_steps(base)))
    fewest(numbers, lambda kept: search.accept(lambda: _only(base, kept)))


def fewer_stores(search: Search) -> None:
    """Drop all stores to a buffer that its kernel does not read; then stores that do nothing."""
    for number in reversed(range(len(_stored(search.best)))):
        search.accept(partial(_without_stores, search.best, number))
    for number in reversed(range(len(_stores(search.best)))):
        search.accept(partial(_without_store, search.best, number))


def _steps(program: Program) -> list[Operation]:
    """The kernels of the function in order: their calls, at loop level."""
    block = entry_of(program.module).body.block
    return [op for op in block.ops if isinstance(op, buffer.KernelOp | loop.LaunchOp)]


def _copied(program: Program) -> tuple[Program, dict[SSAValue, SSAValue]]:
    """A copy, and which of its values stands for which of the function's."""
    copy = Program(program.module.clone(), program.inputs)
    old, new = entry_of(program.module).body.block, entry_of(copy.module).body.block
    mapping: dict[SSAValue, SSAValue] = dict(zip(old.args, new.args, strict=True))
    for one, other in zip(old.ops, new.ops, strict=True):
        mapping.update(zip(one.results, other.results, strict=True))
    return copy, mapping


def _only(program: Program, kept: Collection[int]) -> Program | None:
    """The program with the kernels of these numbers only; None where that has no meaning."""
    steps = _steps(program)
    copy, new = _copied(program)
    given = set(entry_of(program.module).args) - set(outputs_of(entry_of(program.module)))
    missing: dict[SSAValue, Array] = {}
    written: set[SSAValue] = set()
    lost: set[SSAValue] = set()
    for number, step in enumerate(steps):
        if number not in kept:
            lost.update(_written(program, step))
            continue
        for value in _read(program, step):
            if value in lost and value not in {*written, *given, *missing}:
                missing[value] = _contents(program, number, value)
        written.update(_written(program, step))
    if written & missing.keys():
        return None
    read = {value for number in kept for value in _read(program, steps[number])}
    made = [result for op in entry_of(program.module).body.block.ops for result in op.results]
    unseen = [value for value in made if value in written and value not in read]
    for number, step in enumerate(_steps(copy)):
        if number not in kept:
            Rewriter.erase_op(step)
    for value, array in missing.items():
        copy = as_input(copy, new[value], array)
    for value in unseen:
        copy = as_output(copy, new[value])
    return tidied(copy)


def _contents(program: Program, number: int, value: SSAValue) -> Array:
    """What a buffer holds when the kernel of a number is about to run."""
    copy, new = _copied(program)
    for step in _steps(copy)[number:]:
        Rewriter.erase_op(step)
    until = as_output(copy, new[value])
    return evaluate(until.module, until.inputs)[-1]


def _read(program: Program, step: Operation) -> Sequence[SSAValue]:
    if isinstance(step, buffer.KernelOp):
        return [*step.reads, *step.updates]
    return _buffers(program, step, lambda use: not isinstance(use, loop.StoreOp))


def _written(program: Program, step: Operation) -> Sequence[SSAValue]:
    if isinstance(step, buffer.KernelOp):
        return [*step.updates, *step.writes]
    return _buffers(program, step, lambda use: isinstance(use, loop.StoreOp))


def _buffers(
    program: Program, launch: Operation, fits: Callable[[Operation], bool]
) -> Sequence[SSAValue]:
    """The buffers of a launch for which the kernel's argument has a use that fits."""
    assert isinstance(launch, loop.LaunchOp)
    kernel = _kernel_of(program, launch)
    return [
        operand
        for operand, argument in zip(launch.buffers, kernel.body.block.args, strict=True)
        if any(fits(use.operation) for use in argument.uses)
    ]


def _kernel_of(program: Program, launch: loop.LaunchOp) -> loop.KernelOp:
    for op in program.module.body.block.ops:
        if isinstance(op, loop.KernelOp) and op.sym_name == launch.kernel.root_reference:
            return op
    raise LookupError(f"no kernel is called {launch.kernel}")


def _kernels(program: Program) -> list[loop.KernelOp]:
    return [op for op in program.module.body.block.ops if isinstance(op, loop.KernelOp)]


def _stored(program: Program) -> list[tuple[loop.KernelOp, SSAValue]]:
    """The buffers to which kernels store, local ones among them."""
    return [
        (kernel, target)
        for kernel in _kernels(program)
        for target in dict.fromkeys(
            op.operands[1] for op in kernel.walk() if isinstance(op, loop.StoreOp)
        )
    ]


def _stores(program: Program) -> list[loop.StoreOp]:
    return [op for op in program.module.walk() if isinstance(op, loop.StoreOp)]


def _without_stores(program: Program, number: int) -> Program | None:
    """The program without the stores to one buffer; None where something still reads it."""
    copy = Program(program.module.clone(), program.inputs)
    if number >= len(_stored(copy)):
        return None
    kernel, target = _stored(copy)[number]
    for op in list(kernel.walk()):
        if isinstance(op, loop.StoreOp) and op.operands[1] is target:
            Rewriter.erase_op(op)
    erase_dead(kernel)
    if target.first_use is not None:
        return None
    if isinstance(target, BlockArgument):
        for launch in _steps(copy):
            assert isinstance(launch, loop.LaunchOp)
            if _kernel_of(copy, launch) is kernel:
                operand = launch.buffers[target.index]
                if any(use.operation is not launch for use in operand.uses):
                    return None
    return tidied(copy)


def _without_store(program: Program, number: int) -> Program | None:
    """The program without one store; None where a result is another one then."""
    copy = Program(program.module.clone(), program.inputs)
    if number >= len(_stores(copy)):
        return None
    Rewriter.erase_op(_stores(copy)[number])
    before = evaluate(program.module, program.inputs)
    after = evaluate(copy.module, copy.inputs)
    if any(a.tobytes() != b.tobytes() for a, b in zip(before, after, strict=True)):
        return None
    return tidied(copy)
