"""Error bounds at the loop level: an evaluator whose floats carry their bounds along.

Every float is a complex number here: its real part is the float64 value, its imaginary part the
bound of its error. So loads, stores, broadcasts and frames serve as they are, and only arithmetic
differs. An operation moves errors by enclosure: it is evaluated at the corners of its operands'
ranges, and what is farthest from the value counts; its own rounding is added.

A decision that a range straddles makes a condition, or an integer, doubtful. A selection by a
doubtful condition may be either value. Where a doubtful integer goes any further (into memory, into
an index), nothing is known of the results: `unsure`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from xdsl.dialects import arith
from xdsl.ir import Attribute, Operation, SSAValue

from picograd.dialects import loop
from picograd.dialects.affine import Atom
from picograd.dialects.dtypes import DType, compute_dtype, float64, from_ir
from picograd.dialects.loop_syntax import element_type
from picograd.semantics.accuracy import Accuracy
from picograd.semantics.bounded import accumulated, settle, unit_roundoff
from picograd.semantics.loop import Combiner, Evaluator
from picograd.semantics.loop_elements import (
    PREDICATES,
    Array,
    convert_elements,
    evaluate_element_op,
)
from picograd.semantics.loop_frames import Frame, Memory, rows_within

_EXACT = frozenset(
    f"{dialect}.{name}"
    for dialect, names in (
        ("arith", ("negf", "maximumf", "minimumf", "maxnumf", "minnumf", "select", "extf")),
        ("math", ("absf", "ceil", "floor", "trunc", "round", "roundeven", "copysign")),
    )
    for name in names
)
"""Operations that do not round."""

_KINDS = {"arith.divf": "div", "math.powf": "pow", "arith.remf": "remainder"}
"""What the tables of accuracy call an operation, where they do not use its own name."""

_SUMS = frozenset({"arith.addf", "arith.subf", "math.fma"})
"""Passes add in any order: an addition rounds as if nothing cancelled."""


def bounded(value: Array, error: Array | float) -> Array:
    """A value with its error bound, as one array."""
    result = np.empty(np.broadcast_shapes(value.shape, np.shape(error)), np.complex128)
    result.real, result.imag = value, error
    return result


def is_bounded(array: Array) -> bool:
    return array.dtype.kind == "c"


class BoundedEvaluator(Evaluator):
    """Runs a kernel on arrays of bounded floats."""

    def __init__(self, accuracy: Accuracy) -> None:
        super().__init__(True, None)
        self.accuracy = accuracy
        self.doubts: dict[SSAValue, tuple[Frame, Array]] = {}
        self.unsure = False
        """Whether a doubtful integer went where it cannot be followed."""

    # Doubt

    def doubt(self, value: SSAValue, frame: Frame) -> Array | None:
        """Which elements of a condition or an integer are doubtful; None when none is."""
        if value not in self.doubts:
            return None
        owner, mask = self.doubts[value]
        if owner is frame or len(mask) == 1:
            return mask
        rows = rows_within(frame, owner)
        return mask if rows is None else mask[rows]

    def set(self, value: SSAValue, frame: Frame, array: Array) -> None:
        self.doubts.pop(value, None)  # of an earlier step of a loop
        super().set(value, frame, array)

    def set_doubt(self, value: SSAValue, frame: Frame, mask: Array) -> None:
        if mask.any():
            self.doubts[value] = (frame, mask)

    def atom(self, atom: Atom, frame: Frame, shape: Sequence[int]) -> Array:
        if isinstance(atom, SSAValue) and atom in self.doubts:
            self.unsure = True
        return super().atom(atom, frame, shape)

    # Arithmetic

    def dtype_of(self, type: Attribute) -> DType:
        dtype = from_ir(element_type(type))
        return float64 if self.accuracy.in_float64 else dtype

    def element_op(self, op: Operation, frame: Frame) -> None:
        arguments = [self.aligned(value, frame) for value in op.operands]
        doubts = [d for d in (self.doubt(value, frame) for value in op.operands) if d is not None]
        if isinstance(op, arith.SelectOp):
            self.choose(op.result, op.cond, frame, arguments)
            return
        result = self.apply(op, arguments)
        array = result[np.newaxis] if not arguments else result
        unsure = np.zeros(array.shape, np.bool_)
        for mask in doubts:
            unsure = unsure | mask
        if is_bounded(array):
            array = bounded(array.real, np.where(unsure, np.inf, array.imag))
        elif any(map(is_bounded, arguments)):
            unsure = unsure | self.straddles(op, arguments, array)
        self.set(op.results[0], frame, array)
        if not is_bounded(array):
            self.set_doubt(op.results[0], frame, unsure)

    def aligned(self, value: SSAValue, frame: Frame) -> Array:
        array = self.get(value, frame)
        return array if array.ndim > loop.tile_rank(value.type) else array[np.newaxis]

    def apply(self, op: Operation, arguments: Sequence[Array]) -> Array:
        """The result of an operation, with its bound where it is a float."""
        return self.enclose(
            lambda *reals: evaluate_element_op(op, list(reals), widen=True),
            op.name,
            op.results[0].type,
            arguments,
        )

    def enclose(
        self, rule: Callable[..., Array], name: str, type: Attribute, arguments: Sequence[Array]
    ) -> Array:
        """A rule at the values of its arguments and at the corners around them."""
        value = np.asarray(rule(*(a.real if is_bounded(a) else a for a in arguments)))
        if value.dtype.kind != "f":
            return value
        error = np.zeros(value.shape)
        for corner in _corners(arguments):
            moved = np.asarray(rule(*corner))
            same = (moved == value) | (np.isnan(moved) & np.isnan(value))
            gap = np.where(same, 0.0, np.abs(moved - value))
            error = np.maximum(error, np.where(np.isnan(gap), np.inf, gap))
        if name == "arith.divf":
            b = arguments[1]
            error = np.where((b.imag > 0) & (np.abs(b.real) <= b.imag), np.inf, error)
        for argument in arguments:
            if is_bounded(argument):
                error = np.where(np.isinf(argument.imag), np.inf, error)
        error = error + self.rounding(name, type, arguments, value)
        # An infinity that the code spells out, to start a maximum with, is there on every device.
        return self.settled(value, error, type, spelled=not arguments)

    def rounding(
        self, name: str, type: Attribute, arguments: Sequence[Array], value: Array
    ) -> Array:
        """The error that an operation adds itself."""
        if name in _EXACT or not arguments:
            return np.zeros(value.shape)
        dtype = self.dtype_of(type)
        kind = _KINDS.get(name, name.partition(".")[2])
        unit = unit_roundoff(dtype) + unit_roundoff(compute_dtype(dtype))
        scale = np.abs(value)
        if name in _SUMS:
            *first, last = (np.abs(a.real) for a in arguments)
            scale = np.prod(np.broadcast_arrays(*first), axis=0) + last
        magnitude = np.abs(arguments[0].real) if is_bounded(arguments[0]) else 0.0
        grown = unit * max(2.0 * self.accuracy.ulps_of(kind), 1.0) * scale
        grown = grown + 2.0 * unit * self.accuracy.slope_of(kind) * magnitude
        grown = grown + self.accuracy.absolute_of(kind)
        return np.where(np.isfinite(value) & np.isfinite(grown), grown, 0.0)

    def settled(
        self, value: Array, error: Array, type: Attribute, *, spelled: bool = False
    ) -> Array:
        """A float in the range of its type."""
        nonfinite = self.accuracy.nonfinite or spelled
        dtype = self.dtype_of(type)
        found = settle(value, error, dtype, lost=np.isinf(error), nonfinite=nonfinite)
        return bounded(found.value, found.error)

    def straddles(self, op: Operation, arguments: Sequence[Array], value: Array) -> Array:
        """Where an integer or a condition is another at a corner of its operands' ranges."""
        doubtful = np.zeros(value.shape, np.bool_)
        for corner in _corners(arguments):
            moved = evaluate_element_op(op, list(corner), widen=True)
            doubtful = doubtful | (moved != value)
        for argument in arguments:
            if is_bounded(argument):
                doubtful = doubtful | np.isinf(argument.imag)
        return doubtful

    def compare(self, op: loop.CompareOp, frame: Frame) -> None:
        left, right = self.get(op.left, frame), self.get(op.right, frame)
        rule = PREDICATES[op.predicate.data]
        found = rule(left.real, right.real)
        self.set(op.result, frame, found)
        mask = np.zeros(found.shape, np.bool_)
        if is_bounded(left):
            reach = left.imag + right.imag
            close = (reach > 0) & ~(np.abs(left.real - right.real) > reach)
            mask = close & ~np.isnan(left.real) & ~np.isnan(right.real)
            if not self.accuracy.nonfinite and op.left is not op.right:
                mask |= ~(np.isfinite(left.real) & np.isfinite(right.real))
        for value in (op.left, op.right):
            doubt = self.doubt(value, frame)
            mask = mask if doubt is None else mask | doubt
        self.set_doubt(op.result, frame, mask)

    def select(self, op: loop.SelectOp, frame: Frame) -> None:
        arrays = [self.get(value, frame) for value in op.operands]
        self.choose(op.result, op.operands[0], frame, arrays)

    def choose(
        self, result: SSAValue, condition: SSAValue, frame: Frame, arrays: Sequence[Array]
    ) -> None:
        """One of two values, or either where the condition is doubtful."""
        chosen, a, b = arrays
        value = np.where(chosen, a, b)
        mask = self.doubt(condition, frame)
        if mask is not None and is_bounded(value):
            gap = np.where(a.real == b.real, 0.0, np.abs(a.real - b.real))
            either = np.maximum(a.imag, b.imag) + np.where(np.isnan(gap), np.inf, gap)
            value = bounded(np.real(value), np.where(mask, either, np.imag(value)))
        self.set(result, frame, value)
        if mask is not None and not is_bounded(value):
            self.set_doubt(result, frame, mask & (a != b))

    def convert(self, op: loop.ConvertOp, frame: Frame) -> None:
        value = self.get(op.value, frame)
        kind = op.kind.data

        def rule(real: Array) -> Array:
            return convert_elements(kind, real, op.result.type, widen=True)

        result = self.enclose(rule, f"arith.{kind}", op.result.type, [value])
        unsure = np.zeros(result.shape, np.bool_)
        mask = self.doubt(op.value, frame)
        if mask is not None:
            unsure = unsure | mask
        if is_bounded(result):
            result = bounded(result.real, np.where(unsure, np.inf, result.imag))
        elif is_bounded(value):
            unsure = unsure | np.isinf(value.imag)
            for (moved,) in _corners([value]):
                unsure = unsure | (rule(moved) != result)
        self.set(op.result, frame, result)
        if not is_bounded(result):
            self.set_doubt(op.result, frame, unsure)

    # Reductions

    def combined(self, kind: str, type: Attribute, left: Array, right: Array) -> Array:
        """Two floats, combined as a reduction does."""
        rule, name = _COMBINE[kind]
        return self.enclose(rule, name, type, [left, right])

    def identities(self, op: loop.ReduceOp, frame: Frame) -> list[Array]:
        found = super().identities(op, frame)
        return [bounded(array, 0.0) if array.dtype.kind == "f" else array for array in found]

    def combiner(self, op: loop.ReduceOp, frame: Frame) -> Combiner:
        type = op.outputs[0].type
        if op.kind is None or not from_ir(element_type(type)).is_float:
            return super().combiner(op, frame)
        kind = op.kind.data
        return lambda left, right, rows: [self.combined(kind, type, left[0], right[0])]

    def reduce_spread(
        self, op: loop.ReduceOp, frame: Frame, counts: Array, totals: list[Array]
    ) -> list[Array]:
        if not is_bounded(totals[0]):
            return super().reduce_spread(op, frame, counts, totals)
        return self.reduce_steps(op, frame, totals)

    def fold(self, op: loop.FoldOp, frame: Frame) -> None:
        value = self.get(op.value, frame)
        if not is_bounded(value):
            super().fold(op, frame)
            return
        if op.kind.data == "add":
            unit = unit_roundoff(self.dtype_of(op.result.type))
            own = accumulated(value.shape[-1]) * unit * np.abs(value.real).sum(-1)
            total = value.sum(-1)
            self.set(op.result, frame, bounded(total.real, total.imag + own))
            return
        result = value[..., 0]
        for lane in range(1, value.shape[-1]):
            result = self.combined(op.kind.data, op.result.type, result, value[..., lane])
        self.set(op.result, frame, result)

    # Memory

    def alloc(self, op: loop.AllocOp, frame: Frame) -> None:
        super().alloc(op, frame)
        memory = self.memories[op.memref]
        if memory.array.dtype.kind == "f":
            self.memories[op.memref] = Memory(memory.frame, bounded(memory.array, 0.0))

    def store(self, op: loop.StoreOp, frame: Frame) -> None:
        if self.doubt(op.value, frame) is not None:
            self.unsure = True
        super().store(op, frame)


_COMBINE: dict[str, tuple[Callable[..., Any], str]] = {
    "add": (np.add, "arith.addf"),
    "mul": (np.multiply, "arith.mulf"),
    "max": (np.maximum, "arith.maximumf"),
    "min": (np.minimum, "arith.minimumf"),
}


def _corners(arguments: Sequence[Array]) -> list[tuple[Array, ...]]:
    """The arguments, moved to the ends of their ranges in every way; none where all are exact."""
    moving = [is_bounded(a) and bool((a.imag > 0).any()) for a in arguments]
    if not any(moving):
        return []
    ends: list[tuple[Array, ...]] = []
    for argument, moves in zip(arguments, moving, strict=True):
        real = argument.real if is_bounded(argument) else argument
        if moves:
            reach = np.where(np.isfinite(argument.imag), argument.imag, 0.0)
            ends.append((real - reach, real + reach))
        else:
            ends.append((real,))
    return list(product(*ends))
