"""The launches of a function that are worth merging, found from first to last."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from picograd.dialects.loop import LaunchOp
from picograd.passes.loops.shared_loops import (
    Group,
    Limits,
    Memories,
    Nest,
    NestShape,
    shape_of,
)
from picograd.passes.rewriting.loops import kernels

_PASSED_OVER = 4
"""How many launches that have nothing to do with a group may stand among its launches."""


def groups_of(module: ModuleOp, main: FuncOp, limits: Limits) -> list[Group]:
    """Groups of launches to merge, with the loops to share. No launch is in two of them.

    What stands between the launches of a group has nothing to do with those before it: the group
    may run where its last launch does.
    """
    search = _Search(module, main, limits)
    found: list[Group] = []
    start = 0
    while start < len(search.launches):
        group, end = search.from_launch(start)
        if group is None:
            start += 1
        else:
            found.append(group)
            start = end
    return found


class _Search:
    def __init__(self, module: ModuleOp, main: FuncOp, limits: Limits) -> None:
        self._kernels = {op.sym_name.data: op for op in kernels(module)}
        self._shapes: dict[str, NestShape | None] = {}
        self._written: dict[str, set[int]] = {}
        self._memories = Memories(main)
        self._limits = limits
        self.launches = [op for op in main.body.block.ops if isinstance(op, LaunchOp)]

    def from_launch(self, start: int) -> tuple[Group | None, int]:
        """The group that begins with a launch, and the number of the next launch to begin with."""
        first = self._nest(start)
        if first is None or not first.shape.shareable:
            return None, start + 1
        group = Group((first,), tuple((one,) for one in first.shape.shareable))
        between: list[int] = []
        end = start + 1
        for number in range(start + 1, len(self.launches)):
            larger = self._with_launch(group, number, between)
            if larger is not None:
                group = larger
                between = [one for one in between if one not in group.numbers]
                end = number + 1
            elif self._is_apart(number, group) and len(between) < _PASSED_OVER:
                between.append(number)
            else:
                break
        if len(group.nests) == 1:
            return None, start + 1
        return group.sharing(group.loops_to_share(self._limits)), end

    def _with_launch(self, group: Group, number: int, between: list[int]) -> Group | None:
        """The group with a launch, and with those between that hand it something; None if there
        is nothing to gain."""
        nest = self._nest(number)
        larger = None if nest is None else group.with_nest(nest, self._memories)
        if larger is None or not larger.loops_to_share(self._limits):
            return None
        for other in reversed(between):
            nest = self._nest(other)
            more = None if nest is None else larger.with_nest(nest, self._memories)
            if more is not None and more.in_order().loops_to_share(self._limits):
                larger = more
        return larger.in_order()

    def _is_apart(self, number: int, group: Group) -> bool:
        """Whether a launch has nothing to do with those of a group: it may run before them."""
        mine = self.launches[number]
        return not any(self._collide(mine, nest.launch) for nest in group.nests)

    def _collide(self, one: LaunchOp, other: LaunchOp) -> bool:
        """Whether one launch writes what the other touches."""
        return bool(
            self._writes(one) & self._touches(other) or self._writes(other) & self._touches(one)
        )

    def _touches(self, launch: LaunchOp) -> set[object]:
        return {self._memories.of(value) for value in launch.buffers}

    def _writes(self, launch: LaunchOp) -> set[object]:
        name = launch.kernel.root_reference.data
        if name not in self._written:
            written = self._kernels[name].written
            self._written[name] = {
                argument.index
                for argument in self._kernels[name].body.block.args
                if argument in written
            }
        return {self._memories.of(launch.buffers[number]) for number in self._written[name]}

    def _nest(self, number: int) -> Nest | None:
        launch = self.launches[number]
        name = launch.kernel.root_reference.data
        kernel = self._kernels[name]
        if name not in self._shapes:
            self._shapes[name] = shape_of(kernel)
        shape = self._shapes[name]
        values: list[SSAValue] = list(launch.buffers)
        if shape is None or len(set(values)) != len(values):
            return None
        arguments = dict(zip(values, kernel.body.block.args, strict=True))
        return Nest(number, launch, kernel, shape, arguments)
