"""Taking out of a program what needs to be computed once: what its kept arguments alone decide.

Before, at tensor level; `%w` seldom changes, and `pack_constants` says that its panels are worth
memory of their own:

    func.func @main(%x: tensor<4x6xf32>, %w: tensor<6x8xf32> {pico.kept}) -> tensor<4x8xf32> {
      %0 = pico.reshape %w to [6, 2, 4]
      %w_panels = pico.permute %0 by [1, 0, 2] {pico.laid_out}
      … = pico.permute %w_panels by [1, 0, 2]
      …
    }

After, two modules, each of which goes through the rest of the passes alone:

    func.func @main(%w: tensor<6x8xf32>) -> tensor<2x6x4xf32> {          the constants
      %0 = pico.reshape %w to [6, 2, 4]
      %w_panels = pico.permute %0 by [1, 0, 2]
      func.return %w_panels
    }
    func.func @main(%x: tensor<4x6xf32>, %w: tensor<6x8xf32> {pico.kept},
                    %w_panels: tensor<2x6x4xf32>) -> tensor<4x8xf32> {   what is run in every call
      … = pico.permute %w_panels by [1, 0, 2]
      …
    }

Who runs the program runs the first one when a kept argument has changed, and the second one in
every call. What both together mean is what the one module meant.

Source: partial evaluation, as in N. Jones, C. Gomard and P. Sestoft, "Partial Evaluation and
Automatic Program Generation" (1993): the kept arguments are the static ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from picograd.compiler.alone import names_something
from picograd.dialects.argument_notes import KEPT, LAID_OUT, MOST_KEPT, NAME
from picograd.dialects.dtypes import nbytes_of, type_of
from picograd.passes.base import Level, Pass, level_of
from picograd.passes.rewriting.kept_values import decided_by
from picograd.quick_dataclasses import dataclass
from picograd.semantics.entry import entry_of

NAME_OF_STEP = "hoist_constants"
"""What reports and dumps call it; it is no pass, because a pass leaves one module."""


@dataclass(frozen=True)
class Hoisted:
    """What was taken out of a module."""

    module: ModuleOp
    """Its entry takes some of the arguments, and returns what the other module's entry takes after
    all that it took before."""
    reads: tuple[int, ...]
    """Which arguments it takes, by their numbers."""


def cut(steps: Sequence[Pass]) -> tuple[Sequence[Pass], Sequence[Pass]]:
    """The passes before and after the place where a module's constants are taken out of it: in
    front of what leaves the tensor level.

    There is none where a pass behind it names a loop or an operand: one of the parts lacks it.
    """
    for number, step in enumerate(steps):
        if step.is_lowering() and step.level_in == Level.TENSOR:
            if any(names_something(later) for later in steps[number:]):
                break
            return steps[:number], steps[number:]
    return steps, ()


def hoist_constants(module: ModuleOp) -> Hoisted | None:
    """Take what its kept arguments alone decide, and a pass has marked, out of a module.

    None where there is nothing of the kind: then the module stays as it is.
    """
    if level_of(module) != Level.TENSOR:
        return None
    function = entry_of(module)
    found = _Found(function)
    if not found.values:
        return None
    hoisted = _module_of(function, found)
    _take(function, found)
    return hoisted


class _Found:
    """What is to be taken out of a function."""

    def __init__(self, function: FuncOp) -> None:
        self._decided = decided_by(function)
        self.values = [value for value in self._decided if self._is_to_be_kept(value)]
        """What is to be kept."""
        needed = _needed_by(self.values)
        self.ops = [op for op in function.body.block.ops if op in needed] if needed else []
        """What computes it, in order."""
        reads = {argument for value in self.values for argument in self._decided[value]}
        self.reads = [argument for argument in function.args if argument in reads]

    def _is_to_be_kept(self, value: SSAValue) -> bool:
        """Whether a pass says so, and it takes no more memory than it may."""
        owner = value.owner
        if not isinstance(owner, Operation) or LAID_OUT not in owner.attributes:
            return False
        read = sum(nbytes_of(type_of(argument)) for argument in self._decided[value])
        return nbytes_of(type_of(value)) <= MOST_KEPT * read


def _needed_by(values: Sequence[SSAValue]) -> frozenset[Operation]:
    """The ops that compute values."""
    needed: set[Operation] = set()
    waiting = [value.owner for value in values]
    while waiting:
        op = waiting.pop()
        if isinstance(op, Operation) and op not in needed:
            needed.add(op)
            waiting.extend(operand.owner for operand in op.operands)
    return frozenset(needed)


def _module_of(function: FuncOp, found: _Found) -> Hoisted:
    """A module that computes what is to be kept."""
    block = Block(arg_types=[argument.type for argument in found.reads])
    copies: dict[SSAValue, SSAValue] = {}
    notes: list[DictionaryAttr] = []
    assert function.arg_attrs is not None
    for source, argument in zip(found.reads, block.args, strict=True):
        copies[source] = argument
        argument.name_hint = source.name_hint
        note = dict(function.arg_attrs.data[source.index].data)
        del note[KEPT]  # nothing is to be taken out of this module
        notes.append(DictionaryAttr(note))
    for op in found.ops:
        copy = op.clone(copies)
        copy.attributes.pop(LAID_OUT, None)
        copy.results[0].name_hint = op.results[0].name_hint
        block.add_op(copy)
    block.add_op(ReturnOp(*[copies[value] for value in found.values]))
    types = [value.type for value in found.values]
    signature = FunctionType.from_lists(list(block.arg_types), types)
    main = FuncOp("main", signature, Region(block), arg_attrs=ArrayAttr(notes))
    return Hoisted(ModuleOp([main]), tuple(argument.index for argument in found.reads))


def _take(function: FuncOp, found: _Found) -> None:
    """Let a function take as arguments what it computed before."""
    block = function.body.block
    assert function.arg_attrs is not None
    notes = list(function.arg_attrs)
    for value in found.values:
        argument = block.insert_arg(value.type, len(block.args))
        argument.name_hint = value.name_hint
        notes.append(DictionaryAttr({NAME: StringAttr(_new_name(value.name_hint, notes))}))
        value.replace_all_uses_with(argument)
    for op in reversed(found.ops):
        if op.results[0].first_use is None:
            op.detach()
            op.erase()
    function.arg_attrs = ArrayAttr(notes)
    function.update_function_type()


def _new_name(hint: str | None, notes: Sequence[DictionaryAttr]) -> str:
    """A name for one more argument, which none of the others has."""
    names = [note.data.get(NAME) for note in notes]
    taken = {name.data for name in names if isinstance(name, StringAttr)}
    base = hint or "kept"
    numbered = (f"{base}_{number}" for number in count(1))
    return base if base not in taken else next(name for name in numbered if name not in taken)
