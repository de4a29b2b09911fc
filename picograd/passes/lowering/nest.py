"""Scopes: the loops under construction, and in which of them an element is computed.

An element's value is asked for in the loop that needs it. It is computed there, or further out:
what is costly (a reduction, an exponential) moves out of every loop that its index does not
depend on, anything else only out of reductions. Ops are added to the end of an outer body while
its inner loop is still being built, so they come to stand before that loop.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import field
from itertools import count
from math import prod

from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.ir import Block, Operation, SSAValue

from picograd.dialects import loop
from picograd.dialects.affine import Linear
from picograd.dialects.loop import Dim, loop_block
from picograd.passes.lowering.indices import Index
from picograd.quick_dataclasses import dataclass

Path = tuple[Hashable, ...]
"""What tells a scope from others, and finds it again when the kernel is lowered anew."""


@dataclass(frozen=True)
class Local:
    """A buffer that holds elements of a value, for fixed positions along some of its axes."""

    memref: SSAValue
    bound: dict[int, Linear]
    """Along these axes of the value the contents are those of one position."""
    place: Callable[[Index], Index]
    """The buffer's index of the element at an index of the value."""

    def holds(self, index: Index) -> bool:
        """Whether the element at this index is in the buffer."""
        return all(index[axis] == position for axis, position in self.bound.items())


@dataclass
class Scope:
    """The body of the kernel, or of one of its loops, while it is being filled."""

    block: Block
    parent: Scope | None
    path: Path
    extents: tuple[int, ...] = ()
    sequential: bool = False
    """Whether this is the body of a reduction or of a sequential loop."""
    executions: int = 1
    depth: int = 0
    memo: dict[Hashable, tuple[SSAValue, int]] = field(
        default_factory=dict[Hashable, tuple[SSAValue, int]]
    )
    """What has been computed here, and what it cost."""
    locals: dict[SSAValue, Local] = field(default_factory=dict[SSAValue, Local])
    """Values of which a buffer is filled by now."""

    def chain(self) -> Iterator[Scope]:
        """This scope and those around it, from the inside out."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def recall(self, key: Hashable) -> tuple[Scope, SSAValue, int] | None:
        """What has been computed here or further out under this key: where, result and cost."""
        for scope in self.chain():
            if key in scope.memo:
                return scope, *scope.memo[key]
        return None

    def find_local(self, value: SSAValue, index: Index) -> Local | None:
        """A filled buffer, visible from here, that holds an element."""
        for scope in self.chain():
            local = scope.locals.get(value)
            if local is not None and local.holds(index):
                return local
        return None

    def find_path(self, path: Path) -> Scope | None:
        """The scope of this path, here or further out."""
        return next((scope for scope in self.chain() if scope.path == path), None)


def open_scope(
    parent: Scope, label: Hashable, extents: Sequence[int], *, sequential: bool
) -> Scope:
    """The body of a loop inside `parent`, to be filled; its arguments are the loop variables."""
    return Scope(
        block=loop_block([""] * len(extents)),
        parent=parent,
        path=(*parent.path, label),
        extents=tuple(extents),
        sequential=sequential,
        executions=parent.executions * prod(extents),
        depth=parent.depth + 1,
    )


def dims_of(scope: Scope) -> list[Dim]:
    """The dimensions of the loop whose body the scope is, all from 0."""
    return [
        Dim(Linear.of(0), (Linear.of(extent),), 1, variable.name_hint or "")
        for variable, extent in zip(scope.block.args, scope.extents, strict=False)
    ]


def close_parallel(scope: Scope) -> None:
    """Make the body a parallel loop, at the end of the scope around it.

    A body that holds nothing but another parallel loop becomes one loop of more dimensions.
    """
    assert scope.parent is not None
    inner = scope.block.first_op
    if isinstance(inner, loop.ParallelOp) and inner is scope.block.last_op:
        scope.parent.block.add_op(_joined(scope, inner))
        return
    scope.block.add_op(loop.YieldOp())
    scope.parent.block.add_op(loop.ParallelOp(dims_of(scope), body=scope.block))


def _joined(scope: Scope, inner: loop.ParallelOp) -> loop.ParallelOp:
    dims = [*dims_of(scope), *(Dim(d.lower, d.uppers, d.step, d.name) for d in inner.dims)]
    body = loop_block([dim.name for dim in dims])
    old = [*scope.block.args, *inner.body.block.args]
    for before, after in zip(old, body.args, strict=True):
        before.replace_all_uses_with(after)
    ops: list[Operation] = list(inner.body.block.ops)
    for op in ops:
        op.detach()
        body.add_op(op)
    inner.detach()
    return loop.ParallelOp(dims, body=body)


def rename_loops(body: Block) -> None:
    """Name the loops i, j, k, … z, i2, j2, … in the order of the text.

    Names that buffers or values of the kernel have are left out.
    """
    ops = list(body.walk())
    variables = {v for op in ops if isinstance(op, loop.LoopOp) for v in op.induction_variables}
    values = [*body.args, *(result for op in ops for result in op.results)]
    taken = {value.name_hint for value in values if value not in variables}
    letters = "ijklmnopqrstuvwxyz"
    names = (
        letter if number == 1 else f"{letter}{number}" for number in count(1) for letter in letters
    )
    free = (name for name in names if name not in taken)
    for op in ops:
        if isinstance(op, loop.LoopOp):
            chosen = [next(free) for _ in op.induction_variables]
            op.properties["names"] = ArrayAttr([StringAttr(name) for name in chosen])
            for variable, name in zip(op.induction_variables, chosen, strict=True):
                variable.name_hint = name
