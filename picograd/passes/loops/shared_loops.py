"""Which outer loops the nests of several launches have in common, and what they hand each other.

Two nests share a loop where each buffer that one of them writes and the other touches is indexed by
it in both, on one axis, with nothing added: then what one iteration of the one writes only the same
iteration of the other touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, SSAValue

from picograd.dialects.affine import Linear
from picograd.dialects.buffer import stored_in
from picograd.dialects.dtypes import from_ir
from picograd.dialects.loop import (
    BarrierOp,
    ForOp,
    KernelOp,
    LaunchOp,
    LoadOp,
    ParallelOp,
    ReduceOp,
    StoreOp,
    memref_type,
)
from picograd.dialects.loop_syntax import memref_shape
from picograd.quick_dataclasses import dataclass

_LINE = 16
"""A loop whose steps are at least so many elements apart has cache lines of its own."""


@dataclass(frozen=True)
class NestShape:
    """What a kernel that is one nest of parallel loops looks like from outside."""

    root: ParallelOp
    shareable: tuple[BlockArgument, ...]
    """The loops that others may run around this nest without slowing it down."""
    walks: Mapping[BlockArgument, Mapping[int, SSAValue]]
    """For each buffer the axes on which every access has the same variable and nothing else."""
    written: frozenset[SSAValue]

    def extent(self, variable: SSAValue) -> int:
        """How often a shareable loop runs."""
        return next(dim.extent or 0 for dim in self.root.dims if dim.variable is variable)


@dataclass(frozen=True)
class Nest:
    """A launch of such a kernel."""

    number: int
    launch: LaunchOp
    kernel: KernelOp
    shape: NestShape
    arguments: Mapping[SSAValue, BlockArgument]

    def writes(self, value: SSAValue) -> bool:
        """Whether the launch writes a buffer."""
        return self.arguments[value] in self.shape.written

    def pairs(self, other: Nest, value: SSAValue) -> set[tuple[SSAValue, SSAValue]]:
        """Loops of the two that walk an axis of a buffer alike."""
        ours = self.shape.walks[self.arguments[value]]
        theirs = other.shape.walks[other.arguments[value]]
        return {
            (ours[axis], theirs[axis])
            for axis in ours.keys() & theirs.keys()
            if self.shape.extent(ours[axis]) == other.shape.extent(theirs[axis])
        }


Axis = tuple[SSAValue, ...]
"""A loop that nests have in common: its variable in each of them."""


def shape_of(kernel: KernelOp) -> NestShape | None:
    """What a kernel looks like from outside; None if it is no nest of loops without mapping."""
    ops = list(kernel.body.block.ops)
    root = ops[0] if len(ops) == 1 else None
    if kernel.guarded is not None or not isinstance(root, ParallelOp):
        return None
    inner = list(kernel.walk())
    if any(
        isinstance(op, BarrierOp) or (isinstance(op, ParallelOp) and op.mapping is not None)
        for op in inner
    ):
        return None
    summed = {
        load
        for op in inner
        if isinstance(op, ReduceOp | ForOp)
        for load in op.walk()
        if isinstance(load, LoadOp)
    }
    accesses = [op for op in inner if isinstance(op, LoadOp | StoreOp)]
    walks: dict[BlockArgument, dict[int, SSAValue]] = {}
    variables = {
        dim.variable: None
        for dim in root.dims
        if dim.step == 1 and dim.lower == Linear.of(0) and dim.is_constant
    }
    for argument in kernel.body.block.args:
        of_it = [op.indices for op in accesses if op.memref is argument]
        if any(not isinstance(use.operation, LoadOp | StoreOp) for use in argument.uses):
            return None
        walks[argument] = {
            axis: value
            for axis, indices in enumerate(zip(*of_it, strict=True))
            if (value := _only(indices)) is not None and value in variables
        }
    shareable = tuple(
        argument
        for argument in root.induction_variables
        if argument in variables
        and all(argument in _values(load) for load in summed)
        and not any(_is_close(argument, op) for op in accesses)
    )
    written = frozenset(op.memref for op in accesses if isinstance(op, StoreOp))
    return NestShape(root, shareable, walks, written)


def _only(indices: Sequence[Linear]) -> SSAValue | None:
    """The variable that all of these consist of."""
    first = indices[0]
    if first.constant or len(first.terms) != 1 or any(other != first for other in indices):
        return None
    ((atom, factor),) = first.terms.items()
    return atom if factor == 1 and isinstance(atom, SSAValue) else None


def _values(load: LoadOp) -> set[SSAValue]:
    return {value for index in load.indices for value in index.values()}


def _is_close(variable: SSAValue, op: LoadOp | StoreOp) -> bool:
    """Whether what two iterations of a loop touch shares cache lines."""
    if not op.indices or variable not in op.indices[-1].values():
        return False
    return abs(op.indices[-1].coefficient(variable)) < _LINE


class Memories:
    """Which operands of a function's launches are the same memory."""

    def __init__(self, main: FuncOp) -> None:
        self._holders = stored_in(main)

    def of(self, value: SSAValue) -> object:
        """What stands for the memory behind an operand: results may lie in an argument's."""
        if isinstance(value, BlockArgument):
            return self._holders.get(value.index, value.index)
        return value


@dataclass(frozen=True)
class Limits:
    """What sharing loops is to lead to."""

    least: int
    """Bytes that the nests hand each other in an iteration: with fewer it is hardly any work."""
    most: int
    """More do not stay in the cache; and where all of it stays there, nothing is to be gained."""
    iterations: int
    """So many at least, for the cores."""

    def allow(self, nbytes: int, iterations: int) -> bool:
        """Whether so many bytes an iteration are right."""
        return self.least <= nbytes <= self.most and iterations >= self.iterations


@dataclass(frozen=True)
class Group:
    """Nests in the order in which they run, and the loops that they have in common."""

    nests: tuple[Nest, ...]
    axes: tuple[Axis, ...]

    @property
    def numbers(self) -> set[int]:
        """The numbers of the launches."""
        return {nest.number for nest in self.nests}

    def sharing(self, count: int) -> Group:
        """The same, sharing so many of the loops only."""
        return Group(self.nests, self.axes[:count])

    def handed_on(self) -> list[SSAValue]:
        """The buffers that one of the nests writes and another touches, in order."""
        return list(
            dict.fromkeys(
                value
                for nest in self.nests
                for value in nest.arguments
                if any(_hands_on(nest, other, value) for other in self.nests if other is not nest)
            )
        )

    def with_nest(self, new: Nest, memories: Memories) -> Group | None:
        """The group with one more nest; None if that has no loop in common with it."""
        links: list[tuple[int, set[tuple[SSAValue, SSAValue]]]] = []
        for number, nest in enumerate(self.nests):
            if not _are_apart(nest, new, memories):
                return None
            links += [
                (number, nest.pairs(new, value))
                for value in nest.arguments
                if _hands_on(nest, new, value)
            ]
        if not links:
            return None
        axes: list[Axis] = []
        free = list(new.shape.shareable)
        for axis in self.axes:
            for variable in free:
                if all((axis[number], variable) in pairs for number, pairs in links):
                    axes.append((*axis, variable))
                    free.remove(variable)
                    break
        return Group((*self.nests, new), tuple(axes)) if axes else None

    def in_order(self) -> Group:
        """The same with the nests in the order of their launches."""
        order = sorted(range(len(self.nests)), key=lambda place: self.nests[place].number)
        return Group(
            tuple(self.nests[place] for place in order),
            tuple(tuple(axis[place] for place in order) for axis in self.axes),
        )

    def loops_to_share(self, limits: Limits) -> int:
        """How many of the loops to share, outermost first: none if that does not pay."""
        first = self.nests[0]
        nbytes = sum(_nbytes(value) for value in self.handed_on())
        iterations = 1
        for number, axis in enumerate(self.axes):
            if nbytes <= limits.most:
                return number if limits.allow(nbytes, iterations) else 0
            extent = max(1, first.shape.extent(axis[0]))
            iterations *= extent
            nbytes //= extent
        return len(self.axes) if limits.allow(nbytes, iterations) else 0


def _hands_on(one: Nest, other: Nest, value: SSAValue) -> bool:
    """Whether two nests touch a buffer that one of them writes."""
    return value in other.arguments and value in one.arguments and (
        one.writes(value) or other.writes(value)
    )  # fmt: skip


def _are_apart(one: Nest, other: Nest, memories: Memories) -> bool:
    """Whether two nests see the memory that both touch under the same name."""
    return not any(
        memories.of(value) == memories.of(second)
        for value in one.arguments
        if value not in other.arguments
        for second in other.arguments
    )


def _nbytes(value: SSAValue) -> int:
    count = from_ir(memref_type(value).element_type).itemsize
    for size in memref_shape(value.type):
        count *= size
    return count
