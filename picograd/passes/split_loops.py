"""Split a loop where a comparison of its index changes, so that each part knows how it ends.

Before:

```mlir
builtin.module {
  loop.kernel @join(%a: memref<4x24xf32>, %b: memref<4x40xf32>, %y: memref<4x64xf32>) {
    loop.parallel (%i, %j) = (0, 0) to (4, 64) {
      %zero = arith.constant 0.000000e+00 : f32
      %place = loop.index %j : i32
      %border = arith.constant 24 : i32
      %first = loop.compare lt %place, %border : i32
      %v = loop.load %a[%i, %j mod 24] : memref<4x24xf32>
      %w = loop.load %b[%i, (%j + 16) mod 40] : memref<4x40xf32>
      %r = loop.select %first, %v, %w : f32
      loop.store %r, %y[%i, %j] : f32, memref<4x64xf32>
    }
  }
}
```

After:

```mlir
builtin.module {
  loop.kernel @join(%a: memref<4x24xf32>, %b: memref<4x40xf32>, %y: memref<4x64xf32>) {
    loop.parallel (%i, %j) = (0, 0) to (4, 24) {
      %v = loop.load %a[%i, %j] : memref<4x24xf32>
      loop.store %v, %y[%i, %j] : f32, memref<4x64xf32>
    }
    loop.parallel (%i_1 as i, %j_1 as j) = (0, 0) to (4, 40) {
      %w = loop.load %b[%i_1, %j_1] : memref<4x40xf32>
      loop.store %w, %y[%i_1, %j_1 + 24] : f32, memref<4x64xf32>
    }
  }
}
```

Gradients of slices are padded with zeros and added up; a concatenation takes each element from one
of its operands. Element by element that reads all operands and throws all but one away. A part of
the loop reads one.

Requires: nothing.

Does not: split where a part would be shorter than `least` or an eighth of the loop, as at the edges
of a padded image: that would be more code for the same work; look at comparisons with data, of two
loops' indices, or for equality; touch loops that are mapped or that have bounds which depend on
others.

Source: index-set splitting (Wolfe, "High Performance Compilers for Parallel Computing", 1996).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i1
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from picograd.dialects.affine import FloorDiv, Linear, Mod, floordiv, mod
from picograd.dialects.loop import (
    CompareOp,
    LoadOp,
    ParallelOp,
    SelectOp,
    StoreOp,
)
from picograd.dialects.quick import clone
from picograd.errors import OptionError
from picograd.passes.base import Level, Pass
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.loops.index_borders import border, comparisons, holds
from picograd.passes.rewriting.applications import applies
from picograd.passes.rewriting.loops import (
    inner_first,
    is_pure,
    kernels,
    replace_op,
    set_dims,
    set_expressions,
    substitute_indices,
)
from picograd.quick_dataclasses import dataclass

_MOST_PARTS = 4
_SHARE = 8
"""No part is shorter than this share of its loop."""


@dataclass(frozen=True)
class SplitLoops(Pass):
    """Parallel loops become parts of at least `least` iterations."""

    name: ClassVar[str] = "split_loops"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    least: int = 16

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.least < 1:
            raise OptionError(
                "split_loops needs a length",
                code="PG703",
                expected="one iteration at least",
                found=self.least,
                hint="leave `least` out for 16",
            )
        for kernel in kernels(op):
            waiting = inner_first(kernel, ParallelOp)
            while waiting:
                loop = waiting.pop()
                found = self._borders(loop)
                if found is not None and applies(split, loop):
                    waiting += split(loop, *found)

    def _borders(self, loop: ParallelOp) -> tuple[int, list[int]] | None:
        """A dimension that is worth splitting, and where."""
        if loop.mapping is not None:
            return None
        for number, dim in enumerate(loop.dims):
            extent = dim.extent or 0
            if dim.step != 1 or dim.lower != Linear.of(0) or not dim.is_constant:
                continue
            borders = {
                at
                for compare, difference in comparisons(loop, dim.variable)
                if _leads_to_select(compare)
                and (at := border(compare, difference, dim.variable, extent))
            }
            ends = [0, *sorted(borders), extent]
            shortest = min(end - start for start, end in pairwise(ends))
            least = max(self.least, -(-extent // _SHARE))
            if borders and len(borders) < _MOST_PARTS and shortest >= least:
                return number, ends
        return None


def split(loop: ParallelOp, number: int, ends: list[int]) -> list[ParallelOp]:
    """Put parts in the place of a loop, each from 0 again."""
    parts: list[ParallelOp] = []
    for start, end in pairwise(ends):
        part = clone(loop)
        dims = part.dims
        variable = dims[number].variable
        dims[number] = replace(dims[number], uppers=(Linear.of(end - start),))
        set_dims(part, dims)
        substitute_indices(part.body.block, {variable: Linear.of(variable) + start})
        _decide(part, variable, end - start)
        facts = LoopFacts()
        for op in part.body.walk():
            if isinstance(op, LoadOp | StoreOp):
                set_expressions(op, [_shorter(index, facts) for index in op.indices])
        parts.append(part)
    replace_op(loop, parts, [])
    return parts


def _leads_to_select(compare: CompareOp) -> bool:
    """Whether a comparison chooses between values, by itself or together with others."""
    users = [use.operation for use in compare.result.uses]
    while users:
        user = users.pop()
        if isinstance(user, SelectOp):
            return True
        if isinstance(user, arith.AndIOp | arith.OrIOp):
            users += [use.operation for use in user.result.uses]
    return False


def _decide(part: ParallelOp, variable: SSAValue, extent: int) -> None:
    """Replace what all iterations of a part decide alike, and drop what nobody needs then."""
    for compare, difference in list(comparisons(part, variable)):
        if border(compare, difference, variable, extent) == 0:
            truth = holds(compare, difference, variable, 0)
            Rewriter.replace_op(compare, arith.ConstantOp(IntegerAttr(int(truth), i1)))
    for op in list(part.body.walk()):
        if isinstance(op, arith.AndIOp | arith.OrIOp):
            _simplify(op)
        elif isinstance(op, SelectOp) and (known := _truth(op.condition)) is not None:
            Rewriter.replace_op(op, [], [op.on_true if known else op.on_false])
    for op in reversed(list(part.body.walk())):
        unused = not any(result.uses.get_length() for result in op.results)
        if op.results and unused and (isinstance(op, LoadOp) or (is_pure(op) and not op.regions)):
            op.detach()
            op.erase()


def _shorter(expression: Linear, facts: LoopFacts) -> Linear:
    """An index without the quotients and remainders that the part's bounds make needless."""
    if expression.lanes():
        return expression
    result = Linear.of(expression.constant)
    for atom, factor in expression.terms.items():
        term = Linear.of(atom)
        if isinstance(atom, FloorDiv | Mod):
            inner = _shorter(atom.expression, facts)
            low, high = facts.bounds(inner)
            if low is not None and high is not None and low >= 0 and high < atom.by:
                term = inner if isinstance(atom, Mod) else Linear.of(0)
            else:
                term = (mod if isinstance(atom, Mod) else floordiv)(inner, atom.by)
        result = result + term * factor
    return result


def _truth(value: SSAValue) -> bool | None:
    owner = value.owner
    if isinstance(owner, arith.ConstantOp) and isinstance(owner.value, IntegerAttr):
        return owner.value.value.data != 0
    return None


def _simplify(op: arith.AndIOp | arith.OrIOp) -> None:
    for known, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        truth = _truth(known)
        if truth is not None and op.result.type == i1:
            decides = truth != isinstance(op, arith.AndIOp)
            Rewriter.replace_op(op, [], [known if decides else other])
            return
