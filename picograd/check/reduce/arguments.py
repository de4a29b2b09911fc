"""The arguments of a function of buffer or loop level: inputs, and results that are stored."""

from collections.abc import Collection, Mapping, Sequence

from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    IntegerAttr,
    StringAttr,
    UnitAttr,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, SSAValue

from picograd.check.reduce.search import Program
from picograd.dialects.buffer import DONATED, NAME, OUTPUT, STORED_IN, outputs_of
from picograd.dialects.literals import Array
from picograd.dialects.tensor import int_attr
from picograd.semantics.evaluate import entry_of

Note = dict[str, Attribute]


def notes_of(function: FuncOp) -> list[Note]:
    """The attributes of each argument."""
    if function.arg_attrs is None:
        return [{} for _ in function.args]
    return [dict(note.data) for note in function.arg_attrs]


def set_notes(function: FuncOp, notes: Sequence[Note]) -> None:
    """Give the arguments attributes, and the function the type that its block has."""
    function.properties["arg_attrs"] = ArrayAttr([DictionaryAttr(note) for note in notes])
    function.properties["function_type"] = FunctionType.from_lists(
        [argument.type for argument in function.args], list(function.function_type.outputs)
    )


def unread(function: FuncOp) -> list[int]:
    """The numbers of the arguments that nobody uses. One in which a result is stored is used."""
    kept = {
        place.value.data
        for argument, note in zip(function.args, notes_of(function), strict=True)
        if argument.first_use is not None and isinstance(place := note.get(STORED_IN), IntegerAttr)
    }
    return [
        argument.index
        for argument in function.args
        if argument.first_use is None and argument.index not in kept
    ]


def without_arguments(program: Program, gone: Collection[int]) -> Program:
    """The program, which is changed, without arguments that it does not use.

    The numbers in the attributes of the others are those that arguments and results then have.
    """
    function = entry_of(program.module)
    notes, outputs = notes_of(function), outputs_of(function)
    given = iter(program.inputs)
    inputs = [None if argument in outputs else next(given) for argument in function.args]
    kept = [number for number in range(len(notes)) if number not in gone]
    places = {old: new for new, old in enumerate(kept)}
    results = {
        outputs.index(argument): number
        for number, argument in enumerate(output for output in outputs if output.index in places)
    }
    left = [_renumbered(notes[number], places, results) for number in kept]
    arrays = [array for number in kept if (array := inputs[number]) is not None]
    for number in sorted(gone, reverse=True):
        function.body.block.erase_arg(function.args[number])
    set_notes(function, left)
    return Program(program.module, arrays)


def _renumbered(note: Note, places: Mapping[int, int], results: Mapping[int, int]) -> Note:
    left = dict(note)
    for key, numbers in ((STORED_IN, places), (DONATED, results)):
        number = left.pop(key, None)
        if isinstance(number, IntegerAttr) and number.value.data in numbers:
            left[key] = int_attr(numbers[number.value.data])
    return left


def as_input(program: Program, value: SSAValue, array: Array) -> Program:
    """Let a new argument that holds an array stand for a buffer. The program is changed."""
    return Program(program.module, _with_argument(program, value, {}, array))


def as_output(program: Program, value: SSAValue) -> Program:
    """Let a new result stand for a buffer. The program is changed."""
    return Program(program.module, _with_argument(program, value, {OUTPUT: UnitAttr()}, None))


def _with_argument(
    program: Program, value: SSAValue, note: Note, array: Array | None
) -> list[Array]:
    """Inputs stand before outputs, so an input is put before the first output."""
    function = entry_of(program.module)
    notes, outputs = notes_of(function), outputs_of(function)
    place = min((output.index for output in outputs), default=len(notes))
    if array is None:
        place = len(notes)
    argument = function.body.block.insert_arg(value.type, place)
    argument.name_hint = value.name_hint
    name = value.name_hint or f"b{len(notes)}"
    notes = [_shifted(other, place) for other in notes]
    notes.insert(place, {**note, NAME: StringAttr(name)})
    value.replace_all_uses_with(argument)
    set_notes(function, notes)
    return list(program.inputs) if array is None else [*program.inputs, array]


def _shifted(note: Note, place: int) -> Note:
    """The attributes of an argument when another is put before the one of a number."""
    number = note.get(STORED_IN)
    if isinstance(number, IntegerAttr) and number.value.data >= place:
        return {**note, STORED_IN: int_attr(number.value.data + 1)}
    return note
