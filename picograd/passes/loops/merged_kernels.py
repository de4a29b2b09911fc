"""One kernel of several nests that share outer loops: for `merge_launches`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from picograd.dialects import buffer
from picograd.dialects.affine import Leaf, LinearLike
from picograd.dialects.loop import (
    AllocOp,
    KernelOp,
    LoadOp,
    ParallelOp,
    StoreOp,
    YieldOp,
    memref_type,
)
from picograd.dialects.loop_syntax import memref_shape
from picograd.dialects.quick import clone
from picograd.passes.loops.shared_loops import Group, Nest
from picograd.passes.rewriting.loops import set_expressions, substitute_indices, take_ops


class MergedKernels:
    """The kernels that groups become: those of equal groups are built once."""

    def __init__(self, module: ModuleOp) -> None:
        self._module = module
        self._known: dict[object, KernelOp] = {}
        self._names = {op.sym_name.data for op in module.ops if isinstance(op, FuncOp | KernelOp)}

    def kernel_of(self, group: Group) -> tuple[KernelOp, list[SSAValue]]:
        """The kernel that does what a group does, and the buffers that it is given."""
        touched = dict.fromkeys(value for nest in group.nests for value in nest.arguments)
        places = {value: number for number, value in enumerate(touched)}
        private = [value for value in touched if _is_private(value, group)]
        key = (
            tuple(nest.kernel for nest in group.nests),
            tuple(places[value] for nest in group.nests for value in nest.arguments),
            tuple(places[value] for value in private),
            group.axes,
        )
        if key not in self._known:
            self._known[key] = self._built(group, [*touched], private)
        return self._known[key], [value for value in touched if value not in private]

    def _built(self, group: Group, touched: list[SSAValue], private: list[SSAValue]) -> KernelOp:
        public = [value for value in touched if value not in private]
        first = {
            value: nest.arguments[value]
            for nest in reversed(group.nests)
            for value in nest.arguments
        }
        block = Block(arg_types=[first[value].type for value in public])
        new: dict[SSAValue, SSAValue] = dict(zip(public, block.args, strict=True))
        for value, argument in zip(public, block.args, strict=True):
            argument.name_hint = first[value].name_hint
        leader = group.nests[0].shape.root
        shared = [axis[0] for axis in group.axes]
        outer = ParallelOp([replace(dim, iv=None) for dim in leader.dims if dim.variable in shared])
        dropped: dict[SSAValue, list[int]] = {}
        for value in private:
            alloc, axes = _part_of(value, group)
            new[value] = alloc.memref
            dropped[alloc.memref] = axes
            outer.body.block.add_op(alloc)
        for number, nest in enumerate(group.nests):
            variables = {
                axis[number]: outer.induction_variables[shared_at]
                for shared_at, axis in enumerate(group.axes)
            }
            outer.body.block.add_ops(_inside(nest, variables, new, dropped))
        outer.body.block.add_op(YieldOp())
        block.add_op(outer)
        kernel = KernelOp(self._free_name(group), block)
        kernel.attributes |= _notes_in_common(group)
        Rewriter.insert_op(kernel, InsertPoint.before(group.nests[0].kernel))
        return kernel

    def _free_name(self, group: Group) -> str:
        base = "_".join(dict.fromkeys(_stem(nest.kernel.sym_name.data) for nest in group.nests))
        name, number = base, 1
        while name in self._names:
            number += 1
            name = f"{base}_{number}"
        self._names.add(name)
        return name


def _stem(name: str) -> str:
    """The name of a kernel without the number that tells it from others called alike."""
    stem, _, number = name.rpartition("_")
    return stem if stem and number.isdigit() else name


def _is_private(value: SSAValue, group: Group) -> bool:
    """Whether a buffer lives in the group only, and in each iteration only a part of it."""
    launches = {nest.launch for nest in group.nests}
    return (
        isinstance(value.owner, buffer.AllocOp | buffer.PlaceOp)
        and all(use.operation in launches for use in value.uses)
        and value in group.handed_on()
    )


def _part_of(value: SSAValue, group: Group) -> tuple[AllocOp, list[int]]:
    """A buffer for what one iteration touches of another, and the axes that it lacks."""
    number, nest = next(
        (number, nest) for number, nest in enumerate(group.nests) if value in nest.arguments
    )
    argument = nest.arguments[value]
    shared = [axis[number] for axis in group.axes]
    walked = nest.shape.walks[argument]
    axes = [next(at for at, by in walked.items() if by is variable) for variable in shared]
    shape = [size for at, size in enumerate(memref_shape(argument.type)) if at not in axes]
    alloc = AllocOp(shape, memref_type(argument).element_type, "packed")
    alloc.memref.name_hint = value.name_hint
    return alloc, axes


def _inside(
    nest: Nest,
    variables: Mapping[SSAValue, SSAValue],
    values: Mapping[SSAValue, SSAValue],
    dropped: Mapping[SSAValue, list[int]],
) -> list[Operation]:
    """What a nest does in one iteration of the loops that it shares."""
    root = clone(
        nest.shape.root, {argument: values[value] for value, argument in nest.arguments.items()}
    )
    shared: dict[SSAValue, SSAValue] = {
        new: variables[old]
        for old, new in zip(
            nest.shape.root.induction_variables, root.induction_variables, strict=True
        )
        if old in variables
    }
    body = root.body.block
    left = [dim for dim in root.dims if dim.variable not in shared]
    loop = ParallelOp([replace(dim, iv=None) for dim in left]) if left else None
    replacements: dict[Leaf, LinearLike] = {**shared}
    if loop is not None:
        own = loop.induction_variables
        replacements |= {dim.variable: new for dim, new in zip(left, own, strict=True)}
    substitute_indices(body, replacements)
    for op in list(body.walk()):
        if isinstance(op, LoadOp | StoreOp) and op.memref in dropped:
            gone = dropped[op.memref]
            set_expressions(op, [one for at, one in enumerate(op.indices) if at not in gone])
    ops = take_ops(body)
    if loop is None:
        last = ops.pop()
        last.erase()
        return ops
    loop.attributes |= root.attributes
    loop.body.block.add_ops(ops)
    return [loop]


def _notes_in_common(group: Group) -> dict[str, Attribute]:
    """The notes that all kernels of a group have."""
    first, *others = [nest.kernel.attributes for nest in group.nests]
    return {
        name: note
        for name, note in first.items()
        if all(other.get(name) == note for other in others)
    }
