"""The same program at other sizes: `resize(module, {class: size})`.

`axis_classes` lists what can be chosen: axes that have one size wherever they occur, such as the
batch of a training step, which appears in hundreds of values. Sizes that follow from chosen ones
(the rows of a flattened batch, the outputs of a convolution) follow; a choice that contradicts
itself gives no module. Classes that keep their size say why.

    batch, *_ = (c for c in axis_classes(module) if c.size == 128)
    smaller = resize(module, {batch: 5})

Each op is built anew by its own inference, so what comes out is a module like any other: names,
donated arguments and notes of source lines are those of the original. Constants are cut, or
repeated from their beginning; a number that was computed from a size, as the divisor of a mean,
stays the number that it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from xdsl.dialects.builtin import FunctionType, IntegerAttr, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.rewriter import Rewriter

from picograd.compiler.diagnostics import verify_module
from picograd.compiler.validation.axes import Axes, Axis, settle
from picograd.compiler.validation.axis_rules import relate
from picograd.compiler.validation.placed_axes import Placed
from picograd.dialects.buffer import DONATED
from picograd.dialects.dtypes import tensor_type, type_of
from picograd.dialects.literals import Array
from picograd.dialects.tensor import TensorOp
from picograd.errors import PassError, PicogradError
from picograd.quick_dataclasses import dataclass
from picograd.semantics.evaluate import entry_of


@dataclass(frozen=True)
class AxisClass:
    """Axes of a program that have one size, which can be chosen unless `pinned` says why not.

    `number` tells the classes of one module apart; it is the same each time they are asked for.
    """

    number: int
    size: int
    places: tuple[str, ...]
    pinned: str | None = None

    def __str__(self) -> str:
        first, *others = self.places
        more = f" and {len(others)} more" if others else ""
        return f"{first}{more}, of size {self.size}"


@dataclass
class Study:
    """A tensor-level function, the axes of its values, and what its ops say of them."""

    function: FuncOp
    axes: Axes
    placed: dict[Operation, Placed]

    def classes(self) -> tuple[AxisClass, ...]:
        """The classes of axes, in the order in which the program first has them."""
        axes = self.axes
        return tuple(
            AxisClass(atom, axes.sizes[atom], tuple(axes.places[atom]), axes.pinned.get(atom))
            for atom in axes.roots()
        )


def study(module: ModuleOp) -> Study:
    """Find the classes of axes of a module's entry. Raises PassError below the tensor level."""
    function = entry_of(module)
    axes, placed = Axes(), dict[Operation, Placed]()
    block = function.body.block
    for argument in block.args:
        axes.of[argument] = axes.fresh_shape(argument)
    for op in block.ops:
        if isinstance(op, TensorOp):
            placed[op] = relate(axes, op)
            axes.of[op.result] = placed[op].axes
        elif not isinstance(op, ReturnOp):
            raise PassError(
                f"the axes of a function with {op.name} in it are not known",
                code="PG605",
                expected="a module at tensor level: pico ops and func.return",
                found=op.name,
                hint="resize the module before it is lowered",
            )
    _join_donated(function, axes)
    return Study(function, axes, placed)


def _join_donated(function: FuncOp, axes: Axes) -> None:
    returned = _terminator(function).operands
    for argument, notes in zip(function.args, function.arg_attrs or (), strict=False):
        number = notes.data.get(DONATED)
        if isinstance(number, IntegerAttr) and number.value.data < len(returned):
            result = returned[number.value.data]
            for one, other in zip(axes.of[argument], axes.of[result], strict=False):
                if axes.size(one) == axes.size(other):
                    axes.join(one, other, "the result that is stored in a donated argument")


def _terminator(function: FuncOp) -> ReturnOp:
    terminator = function.body.block.last_op
    assert isinstance(terminator, ReturnOp)
    return terminator


def axis_classes(module: ModuleOp) -> tuple[AxisClass, ...]:
    """The classes of axes of a tensor-level module, in the order in which they occur."""
    return study(module).classes()


def resize(module: ModuleOp, sizes: Mapping[AxisClass, int]) -> ModuleOp | None:
    """The module with other sizes of some classes of axes; None where they cannot all be had.

    The module itself stays as it is. Raises PassError for a module below the tensor level.
    """
    known = study(module)
    settled = settle(known.axes, {chosen.number: size for chosen, size in sizes.items()})
    return None if settled is None else rebuild(module, known, settled)


def first_elements(array: Array, shape: Sequence[int]) -> Array:
    """The elements at the beginning of each axis; one that has grown begins anew."""
    for axis, size in enumerate(shape):
        places = [place % max(1, array.shape[axis]) for place in range(size)]
        array = array.take(places, axis)
    return array


def rebuild(module: ModuleOp, known: Study, sizes: Mapping[int, int]) -> ModuleOp | None:
    """The module with a size for each atom; None where an op refuses its new operands."""
    axes = known.axes

    def size(axis: Axis) -> int:
        return prod(sizes[atom] for atom in axes.resolve(axis))

    block, new = Block(), dict[SSAValue, SSAValue]()
    for argument in known.function.args:
        shape = [size(axis) for axis in axes.of[argument]]
        type = tensor_type(shape, type_of(argument).element_type)
        new[argument] = block.insert_arg(type, argument.index)
        new[argument].name_hint = argument.name_hint
    try:
        for op, placed in known.placed.items():
            assert isinstance(op, TensorOp)
            made = op.make(
                [new[operand] for operand in op.operands],
                {**op.properties, **placed.changes(size)},
                op.result.name_hint,
            )
            made.attributes.update(op.attributes)
            block.add_op(made)
            if list(made.result.type.get_shape()) != [size(axis) for axis in placed.axes]:
                return None
            new[op.result] = made.result
        result = _with_body(module, known.function, block, new)
        verify_module(result)
    except PicogradError:
        return None
    return result


def _with_body(
    module: ModuleOp, function: FuncOp, block: Block, new: Mapping[SSAValue, SSAValue]
) -> ModuleOp:
    """A copy of the module whose entry has another body."""
    terminator = _terminator(function)
    returned = [new[value] for value in terminator.operands]
    ending = ReturnOp(*returned)
    ending.attributes.update(terminator.attributes)
    block.add_op(ending)
    copy = module.clone()
    old = entry_of(copy)
    made = FuncOp(
        old.sym_name.data,
        FunctionType.from_lists([a.type for a in block.args], [v.type for v in returned]),
        Region(block),
        old.sym_visibility,
        arg_attrs=old.arg_attrs,
        res_attrs=old.res_attrs,
    )
    made.attributes.update(old.attributes)
    Rewriter.replace_op(old, made, [])
    return copy
