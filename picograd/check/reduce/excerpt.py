"""A part of a function as a function of its own: some ops, fed with the values that they got.

At tensor and kernel level an op reads values and nothing else. So any of a function's ops can be
taken out of it: what they read of the others becomes an argument that holds the computed value, and
what the others read of them is returned, so that a value with several uses keeps having them.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    IntegerAttr,
    ModuleOp,
    StringAttr,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, Region, SSAValue
from xdsl.rewriter import Rewriter

from picograd.check.reduce.search import Program
from picograd.dialects.buffer import DONATED, NAME
from picograd.dialects.literals import Array
from picograd.dialects.tensor import int_attr
from picograd.semantics.evaluate import entry_of, evaluate

Values = Mapping[SSAValue, Array]


def ops_of(function: FuncOp) -> list[Operation]:
    """The ops of a function without the one that returns."""
    return [op for op in function.body.block.ops if not isinstance(op, ReturnOp)]


def returned_by(function: FuncOp) -> Sequence[SSAValue]:
    """The values that a function returns."""
    terminator = function.body.block.last_op
    assert isinstance(terminator, ReturnOp)
    return terminator.operands


def values_of(program: Program) -> Values:
    """What each op of a program of tensor or kernel level computes.

    Raises what evaluation raises where the program cannot be run.
    """
    function = entry_of(program.module)
    copy = program.module.clone()
    inner = entry_of(copy)
    results = [result for op in ops_of(inner) for result in op.results]
    terminator = inner.body.block.last_op
    assert isinstance(terminator, ReturnOp)
    Rewriter.replace_op(terminator, ReturnOp(*results), [])
    arrays = evaluate(copy, [np.array(array) for array in program.inputs])
    values: dict[SSAValue, Array] = dict(zip(function.args, program.inputs, strict=True))
    own = [result for op in ops_of(function) for result in op.results]
    values.update(zip(own, arrays, strict=True))
    return values


def needed_for(function: FuncOp, positions: Collection[int]) -> list[int]:
    """The numbers of the ops that some of the function's results come from."""
    returned = returned_by(function)
    wanted = {returned[position] for position in positions}
    needed: list[int] = []
    ops = ops_of(function)
    for number in reversed(range(len(ops))):
        if any(result in wanted for result in ops[number].results):
            needed.append(number)
            wanted.update(ops[number].operands)
    return needed[::-1]


def excerpt(
    program: Program,
    kept: Collection[int],
    values: Values,
    *,
    positions: Collection[int] | None = None,
) -> Program:
    """The function with the ops of these numbers only, and arguments that they read only.

    `positions` are those of the results to keep; without them, all that can be kept, and what ops
    that are gone have read. Raises KeyError when a value is read that `values` does not have.
    """
    function = entry_of(program.module)
    ops = [op for number, op in enumerate(ops_of(function)) if number in set(kept)]
    inside = {result for op in ops for result in op.results}
    returned = [
        (position, value)
        for position, value in enumerate(returned_by(function))
        if (positions is None or position in positions)
        and (value in inside or isinstance(value, BlockArgument))
    ]
    results = [value for _, value in returned]
    if positions is None:
        results += _read_elsewhere(ops, {value for _, value in returned})
    read = dict.fromkeys([*(value for op in ops for value in op.operands), *results])
    arguments = [argument for argument in function.args if argument in read]
    boundary = [value for value in read if value not in inside and value not in function.args]
    block = Block(arg_types=[value.type for value in (*arguments, *boundary)])
    mapping: dict[SSAValue, SSAValue] = {}
    for old, new in zip((*arguments, *boundary), block.args, strict=True):
        new.name_hint = old.name_hint
        mapping[old] = new
    for op in ops:
        block.add_op(op.clone(mapping))
    block.add_op(ReturnOp(*(mapping[value] for value in results)))
    moved = {position: number for number, (position, _) in enumerate(returned)}
    notes = [_note(function, argument, moved) for argument in arguments]
    notes += [{} for _ in boundary]
    given = dict(zip(function.args, program.inputs, strict=True))
    inputs = [given[argument] for argument in arguments] + [values[value] for value in boundary]
    return Program(module_with(program.module, function, block, notes), inputs)


def _read_elsewhere(ops: Sequence[Operation], returned: Collection[SSAValue]) -> list[SSAValue]:
    """The results of some ops that others read, and that are not returned anyway."""
    own = set(ops)
    return [
        result
        for op in ops
        for result in op.results
        if result not in returned
        and any(
            use.operation not in own and not isinstance(use.operation, ReturnOp)
            for use in result.uses
        )
    ]


def _note(
    function: FuncOp, argument: BlockArgument, moved: Mapping[int, int]
) -> dict[str, Attribute]:
    """The attributes of an argument, when results have other places than before."""
    if function.arg_attrs is None:
        return {}
    note = dict(function.arg_attrs.data[argument.index].data)
    donated = note.pop(DONATED, None)
    if isinstance(donated, IntegerAttr) and donated.value.data in moved:
        note[DONATED] = int_attr(moved[donated.value.data])
    return note


def name_of(note: Mapping[str, Attribute]) -> str | None:
    """The user's name for an argument; None where it has none that can be a name in IR."""
    name = note.get(NAME)
    if isinstance(name, StringAttr) and SSAValue.is_valid_name(name.data):
        return name.data
    return None


def module_with(
    module: ModuleOp, function: FuncOp, block: Block, notes: Sequence[dict[str, Attribute]]
) -> ModuleOp:
    """A copy of a module in which a function has another body."""
    taken = {name_of(note) for note in notes}
    for argument, note in zip(block.args, notes, strict=True):
        if NAME not in note:
            name = argument.name_hint or f"x{argument.index}"
            while name in taken:
                name += "_"
            taken.add(name)
            note[NAME] = StringAttr(name)
        argument.name_hint = argument.name_hint or name_of(note)
    terminator = block.last_op
    assert terminator is not None
    rebuilt = FuncOp(
        function.sym_name.data,
        FunctionType.from_lists(list(block.arg_types), [v.type for v in terminator.operands]),
        Region(block),
        function.sym_visibility,
        arg_attrs=ArrayAttr([DictionaryAttr(note) for note in notes]),
    )
    return ModuleOp([rebuilt if op is function else op.clone() for op in module.body.block.ops])
