"""Whether one loop over rows can compute a body, and how its values lie in those rows.

A kernel runs a loop over *rows*. Where it reduces, a row is what one element of the reduction's
result stands for: in a softmax over the last axis of [128, 10] there are 128 rows, and maximum, sum
and quotient of one row need nothing of another. Without a reduction each element is its own row.

Each axis of a value either steps through the rows, by a *stride* in the number of the row, or lies
within one (None). A result [B, S] of a reduction has strides (S, 1); broadcast to [B, S, C] it has
(S, 1, None); flattened to [B*S], (1,). Values for which two readers disagree cannot live in one
loop, and reductions and outputs must step through all of the rows, exactly once each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import field
from math import prod
from typing import TypeAlias

from xdsl.ir import SSAValue

from picograd.dialects.tensor import TensorOp
from picograd.passes.fusion.body import Body, Shapes
from picograd.passes.fusion.strides import (
    OPERAND_STRIDES,
    RESULT_STRIDES,
    Misaligned,
    Strides,
    row_major,
)
from picograd.quick_dataclasses import dataclass

RowAxes: TypeAlias = tuple[tuple[int, int], ...]


@dataclass
class Alignment:
    """How the values of a body lie in its rows."""

    rows: int
    shapes: Shapes
    strides: dict[SSAValue, Strides] = field(default_factory=dict[SSAValue, Strides])
    _covering: dict[SSAValue, bool] = field(default_factory=dict[SSAValue, bool])

    def covers_rows(self, value: SSAValue) -> bool:
        """Whether a value has an element, or several, for each row: then it is computed once."""
        if value not in self.strides:
            return False
        if value not in self._covering:  # strides, once known, stay
            self._covering[value] = self._covers_rows(value)
        return self._covering[value]

    def _covers_rows(self, value: SSAValue) -> bool:
        axes = self.row_axes(value) or ()
        step = 1
        for stride, size in reversed(axes):
            if stride != step:
                return False
            step *= size
        return step == self.rows

    def row_axes(self, value: SSAValue) -> RowAxes | None:
        """Strides and sizes of the axes that step through the rows, the slowest first."""
        strides = self.strides.get(value)
        if strides is None:
            return None
        shape = self.shapes[value]
        return tuple(
            sorted(
                (
                    (stride, size)
                    for stride, size in zip(strides, shape, strict=True)
                    if stride is not None
                ),
                reverse=True,
            )
        )


def align(body: Body) -> Alignment | None:
    """How a body lies in its rows, or None when no one loop over rows computes it."""
    try:
        return _align(body)
    except Misaligned:
        return None


def _align(body: Body) -> Alignment:
    reductions = body.reductions
    results = body.results
    anchors = [op.result for op in reductions] if reductions else list(results)
    shapes = body.shapes
    alignment = Alignment(prod(shapes[anchors[0]]), shapes)
    solver = _Solver(body, alignment)
    for anchor in anchors:
        if prod(shapes[anchor]) != alignment.rows:
            raise Misaligned
        solver.state(anchor, row_major(shapes[anchor]))
    solver.solve()
    for value in results:
        if value not in alignment.strides:
            solver.state(value, _leading_rows(shapes[value], alignment.rows))
            solver.solve()
    _check(body, alignment, results)
    return alignment


def _check(body: Body, alignment: Alignment, results: Sequence[SSAValue]) -> None:
    """Outputs and reductions have a part in each row, and agree on what a row is."""
    needed = [*results, *(op.result for op in body.reductions)]
    if not all(alignment.covers_rows(value) for value in needed):
        raise Misaligned
    if len({alignment.row_axes(value) for value in results}) > 1:
        raise Misaligned
    if body.products and any(prod(body.shapes[value]) != alignment.rows for value in results):
        raise Misaligned


def _leading_rows(shape: tuple[int, ...], rows: int) -> Strides:
    """Strides of a value that nothing ties to the others: its leading axes are the rows."""
    for rank in range(len(shape) + 1):
        if prod(shape[:rank]) == rows:
            return (*row_major(shape[:rank]), *((None,) * (len(shape) - rank)))
    raise Misaligned


class _Solver:
    """Spreads what is known of some values to all they are computed from, or that need them."""

    def __init__(self, body: Body, alignment: Alignment) -> None:
        self._body = body
        self._alignment = alignment
        self._pending: list[SSAValue] = []
        self._readers: dict[SSAValue, list[tuple[TensorOp, int]]] = {}
        for op in body.ops:
            for index, operand in enumerate(body.operands(op)):
                self._readers.setdefault(operand, []).append((op, index))

    def state(self, value: SSAValue, strides: Strides) -> None:
        """Note how a value lies in the rows. Raises Misaligned when that contradicts."""
        shape = self._alignment.shapes[value]
        exact = tuple(
            [None if size == 1 else stride for size, stride in zip(shape, strides, strict=True)]
        )
        known = self._alignment.strides.setdefault(value, exact)
        if known != exact:
            raise Misaligned
        self._pending.append(value)

    def solve(self) -> None:
        """Spread until nothing new is known."""
        seen: set[SSAValue] = set()
        while self._pending:
            value = self._pending.pop()
            if value in seen:
                continue
            seen.add(value)
            for neighbour, strides in self._implied(value):
                if not self._body.is_load(neighbour):
                    self.state(neighbour, strides)

    def _implied(self, value: SSAValue) -> Iterator[tuple[SSAValue, Strides]]:
        strides = self._alignment.strides[value]
        op = self._body.defining(value)
        if op is not None:
            rule = OPERAND_STRIDES.get(type(op))
            if rule is None:
                raise Misaligned
            yield from zip(self._body.operands(op), rule(op, strides), strict=True)
        if self._body.is_load(value) or not self._alignment.covers_rows(value):
            return
        for reader, index in self._readers.get(value, ()):
            onward = RESULT_STRIDES.get(type(reader))
            if onward is not None:
                yield reader.result, onward(reader, index, strides)
