"""Lower rank: an axis of size 1 goes, in all values that have it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from xdsl.dialects.func import ReturnOp
from xdsl.ir import Attribute, Block, SSAValue

from picograd.check.reduce.excerpt import module_with, returned_by
from picograd.check.reduce.search import Program, Search
from picograd.compiler.validation.resize import Study, axis_classes, study
from picograd.dialects.dtypes import tensor_type, type_of
from picograd.dialects.literals import Array, array_of, literal
from picograd.dialects.tensor import (
    ArgReduceOp,
    ArgSortOp,
    BinaryOp,
    BroadcastOp,
    CastOp,
    CompareOp,
    ConcatOp,
    ConstantOp,
    GatherOp,
    MatmulOp,
    PadOp,
    PermuteOp,
    ReduceOp,
    ReshapeOp,
    ReverseOp,
    ScanOp,
    ScatterOp,
    SelectOp,
    SliceOp,
    TensorOp,
    UnaryOp,
    WindowsOp,
    int_array,
    int_attr,
    int_value,
    ints,
)
from picograd.passes import Level
from picograd.passes.base import level_of

Gone: TypeAlias = Mapping[SSAValue, Sequence[int]]
"""The axes that each value loses."""

Properties: TypeAlias = dict[str, Attribute]


def lower_ranks(search: Search) -> None:
    """Drop the axes of size 1 of a module of tensor level, class by class, those inside first."""
    if level_of(search.best.module) != Level.TENSOR:
        return
    base = None
    while base is not search.best and not search.over:
        base = search.best
        for axis in reversed(axis_classes(base.module)):
            if axis.size == 1 and search.accept(partial(_without, base, axis.number)):
                break


def _without(program: Program, atom: int) -> Program | None:
    """The program without the axes of one class; None where an op needs one of them."""
    known = study(program.module)
    gone = _axes_of(known, atom)
    if not any(gone.values()):
        return None
    block, new = Block(), dict[SSAValue, SSAValue]()
    inputs: list[Array] = []
    for argument, array in zip(known.function.args, program.inputs, strict=True):
        shape = _left(type_of(argument).get_shape(), gone[argument])
        type = tensor_type(shape, type_of(argument).element_type)
        new[argument] = block.insert_arg(type, argument.index)
        new[argument].name_hint = argument.name_hint
        inputs.append(array.reshape(shape))
    for op in known.placed:
        assert isinstance(op, TensorOp)
        operands = [new[operand] for operand in op.operands]
        made = op.make(operands, _properties(op, gone), op.result.name_hint)
        made.attributes.update(op.attributes)
        if made.result.type.get_shape() != _left(op.result.type.get_shape(), gone[op.result]):
            return None
        new[op.result] = made.result
        block.add_op(made)
    block.add_op(ReturnOp(*(new[value] for value in returned_by(known.function))))
    notes = [dict(note.data) for note in known.function.arg_attrs or ()] or [{} for _ in inputs]
    return Program(module_with(program.module, known.function, block, notes), inputs)


def _axes_of(known: Study, atom: int) -> Gone:
    """In each value, the axes that consist of one atom."""
    axes = known.axes
    return {
        value: [place for place, axis in enumerate(of) if axes.resolve(axis) == (atom,)]
        for value, of in axes.of.items()
    }


def _left(of_each: Sequence[int], gone: Sequence[int]) -> tuple[int, ...]:
    return tuple(number for place, number in enumerate(of_each) if place not in gone)


def _renumbered(axes: Sequence[int], gone: Sequence[int]) -> tuple[int, ...]:
    """What axes are called when others are gone."""
    return tuple(axis - sum(other < axis for other in gone) for axis in axes if axis not in gone)


def _properties(op: TensorOp, gone: Gone) -> Properties:
    """The properties of the op on operands of lower rank. Raises KeyError where it has none."""
    return {**op.properties, **_RULES[type(op)](op, gone)}


def _same(op: TensorOp, gone: Gone) -> Properties:
    return {}


def _shape(op: ReshapeOp | BroadcastOp, gone: Gone) -> Properties:
    return {"shape": int_array(_left(ints(op.shape), gone[op.result]))}


def _permutation(op: PermuteOp, gone: Gone) -> Properties:
    lost = gone[op.x]
    return {"permutation": int_array(_renumbered(ints(op.permutation), lost))}


def _of_each_axis(*names: str) -> Callable[[TensorOp, Gone], Properties]:
    """Properties that hold a number for each axis."""

    def rule(op: TensorOp, gone: Gone) -> Properties:
        lost = gone[op.operands[0]]
        return {name: int_array(_left(ints(op.properties[name]), lost)) for name in names}

    return rule


def _axes(op: ReduceOp | ReverseOp, gone: Gone) -> Properties:
    left = _renumbered(ints(op.axes), gone[op.x])
    if not left:
        raise KeyError("an op over no axis would be another one")
    return {"axes": int_array(left)}


def _axis(op: TensorOp, gone: Gone) -> Properties:
    """The property `axis`, which must stay."""
    (left,) = _renumbered([int_value(op.properties["axis"])], gone[op.operands[0]])
    return {"axis": int_attr(left)}


def _literal(op: ConstantOp, gone: Gone) -> Properties:
    array = array_of(op.value)
    return {"value": literal(array.reshape(_left(array.shape, gone[op.result])))}


_RULES: Mapping[type[TensorOp], Callable[..., Properties]] = {
    **dict.fromkeys((UnaryOp, BinaryOp, CompareOp, SelectOp, CastOp, MatmulOp), _same),
    **dict.fromkeys((ReshapeOp, BroadcastOp), _shape),
    **dict.fromkeys((ReduceOp, ReverseOp), _axes),
    **dict.fromkeys(
        (ArgReduceOp, ScanOp, ArgSortOp, ConcatOp, GatherOp, ScatterOp, WindowsOp), _axis
    ),
    PermuteOp: _permutation,
    SliceOp: _of_each_axis("starts", "limits", "steps"),
    PadOp: _of_each_axis("low", "high", "interior"),
    ConstantOp: _literal,
}
