"""Cutting a failing program down: fewer ops, fewer arguments, while it goes on failing.

Three kinds of cuts are tried, until none helps: return one value only, and an early one; let an
op's result be an argument that holds the value which the op computed; let it be one of the op's
operands. The result is no smallest program, but one that a person can read.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from picograd.dialects.literals import Array
from picograd.dialects.tensor import TensorOp
from picograd.errors import PicogradError
from picograd.semantics.evaluate import entry_of, evaluate

Fails: TypeAlias = Callable[[ModuleOp, Sequence[Array]], bool]
Candidate: TypeAlias = tuple[ModuleOp, list[Array]]

MOST_TRIES = 150


def shrink(module: ModuleOp, inputs: Sequence[Array], fails: Fails) -> Candidate:
    """A smaller module of tensor level, and inputs for it, that fail as the given ones do."""
    best: Candidate = module, list(inputs)
    tries = 0
    progress = True
    while progress:
        progress = False
        for candidate in _cuts(*best):
            tries += 1
            if tries > MOST_TRIES:
                return best
            if _size(candidate[0]) < _size(best[0]) and fails(*candidate):
                best, progress = candidate, True
                break
    return best


def _size(module: ModuleOp) -> tuple[int, int, int]:
    function = entry_of(module)
    returned = _terminator(function).operands
    return len(function.body.block.ops), len(returned), len(function.args)


def _terminator(function: FuncOp) -> ReturnOp:
    terminator = function.body.block.last_op
    assert isinstance(terminator, ReturnOp)
    return terminator


def _ops(function: FuncOp) -> list[TensorOp]:
    return [op for op in function.body.block.ops if isinstance(op, TensorOp)]


def _cuts(module: ModuleOp, inputs: list[Array]) -> Iterator[Candidate]:
    """Smaller programs, the smallest first. Each is a copy."""
    count = len(_ops(entry_of(module)))
    for number in range(count):
        copy = module.clone()
        function = entry_of(copy)
        _return(function, [_ops(function)[number].result])
        yield _tidied(copy, inputs)
    values = _values(module, inputs)
    for number in reversed(range(count if values else 0)):
        copy = module.clone()
        function = entry_of(copy)
        op = _ops(function)[number]
        argument = function.body.block.insert_arg(op.result.type, len(function.args))
        argument.name_hint = op.result.name_hint
        _replace(function, op, argument)
        yield _tidied(copy, [*inputs, values[number]])
    for number in reversed(range(count)):
        for place in range(len(_ops(entry_of(module))[number].operands)):
            copy = module.clone()
            function = entry_of(copy)
            op = _ops(function)[number]
            if op.operands[place].type == op.result.type:
                _replace(function, op, op.operands[place])
                yield _tidied(copy, inputs)


def _values(module: ModuleOp, inputs: Sequence[Array]) -> list[Array]:
    """What each op computes; nothing where the program cannot be run."""
    copy = module.clone()
    function = entry_of(copy)
    _return(function, [op.result for op in _ops(function)])
    try:
        return evaluate(copy, inputs)
    except PicogradError:
        return []


def _return(function: FuncOp, values: Sequence[SSAValue]) -> None:
    """Let the function return other values."""
    Rewriter.replace_op(_terminator(function), ReturnOp(*values), [])


def _replace(function: FuncOp, op: TensorOp, value: SSAValue) -> None:
    op.result.replace_all_uses_with(value)
    Rewriter.erase_op(op)


def _tidied(module: ModuleOp, inputs: Sequence[Array]) -> Candidate:
    """The program without dead ops and arguments that nobody reads."""
    function = entry_of(module)
    block = function.body.block
    for op in reversed(_ops(function)):
        if op.result.first_use is None:
            Rewriter.erase_op(op)
    names: list[str] = []
    kept: list[Array] = []
    for argument, array in zip(tuple(block.args), inputs, strict=True):
        if argument.first_use is None:
            block.erase_arg(argument)
        else:
            argument.name_hint = argument.name_hint or f"x{len(names)}"
            names.append(argument.name_hint)
            kept.append(array)
    returned = _terminator(function).operands
    types = FunctionType.from_lists([a.type for a in block.args], [v.type for v in returned])
    attributes = ArrayAttr([DictionaryAttr({"pico.name": StringAttr(name)}) for name in names])
    block_region = function.detach_region(function.body)
    rebuilt = FuncOp(function.sym_name.data, types, block_region, arg_attrs=attributes)
    Rewriter.replace_op(function, rebuilt, [])
    return module, kept
