"""What a module should compute: values with the two budgets that a pass is held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, SSAValue

from picograd.dialects.dtypes import AnyTensor, float64, from_numpy, is_float_array, tensor_type
from picograd.dialects.kernel import FusedOp, YieldOp
from picograd.dialects.literals import Array
from picograd.dialects.tensor import (
    ConstantOp,
    GatherOp,
    IotaOp,
    ScatterOp,
    TensorOp,
    int_value,
)
from picograd.errors import VerificationError
from picograd.passes.base import Level, level_of
from picograd.semantics.accuracy import CPU, Accuracy
from picograd.semantics.bounded import Bounded, discrete, exact
from picograd.semantics.bounds import BOUNDS
from picograd.semantics.bounds_levels import analyse_memory
from picograd.semantics.evaluate import entry_of


def expect(
    module: ModuleOp | FuncOp,
    inputs: Sequence[Array],
    accuracy: Accuracy,
    *,
    folds: bool = False,
    others: Sequence[Array] | None = None,
) -> list[Bounded]:
    """The results of a function of any level in float64, each element with its error bound.

    With `folds` what depends on constants alone may have been computed before, and rounded to the
    type that is printed: as far as that goes, its bound is one of native arithmetic. That holds as
    well for what is the same on `others`, other inputs: `x != x` is a constant, too.
    """
    function = entry_of(module)
    owner = module if isinstance(module, ModuleOp) else function.parent_op()
    level = level_of(owner) if isinstance(owner, ModuleOp) else Level.TENSOR
    if level in (Level.TENSOR, Level.KERNEL):
        values: dict[SSAValue, Bounded] = {
            argument: exact(np.asarray(array))
            for argument, array in zip(function.args, inputs, strict=True)
        }
        with np.errstate(all="ignore"):
            analysis = _Analysis(values, accuracy, folds=folds)
            if others is not None:
                analysis.fixed = _fixed(function, inputs, others, accuracy)
            return analysis.run(function.body.block)
    return analyse_memory(function, inputs, accuracy)


class _Analysis:
    """Bounds of a function whose ops are of tensor level, some of them in fused kernels."""

    def __init__(self, values: dict[SSAValue, Bounded], accuracy: Accuracy, *, folds: bool) -> None:
        self.values = values
        self.accuracy = accuracy
        self.folds = folds
        self.known: set[SSAValue] = set()
        """Values that depend on constants alone."""
        self.fixed: set[SSAValue] = set()
        """Values that have turned out to depend on no input."""
        self.wraps = False
        """Whether an index is taken modulo the size of its axis, and never out of range."""

    def run(self, block: Block) -> list[Bounded]:
        for op in block.ops:
            if isinstance(op, ReturnOp | YieldOp):
                return [self.values[value] for value in op.operands]
            if isinstance(op, FusedOp):
                for argument, value in zip(op.block.args, op.inputs, strict=True):
                    self.values[argument] = self.values[value]
                self.values.update(zip(op.results, self.run(op.block), strict=True))
            elif isinstance(op, TensorOp) and type(op) in BOUNDS:
                self.values[op.result] = self._bound(op)
            else:
                raise VerificationError(
                    f"{op.name} has no error bound",
                    code="PG605",
                    expected="ops of tensor level, or kernels of them",
                    found=op.name,
                    hint="register a bound for the op (picograd.compiler.extension)",
                )
        return []

    def _bound(self, op: TensorOp) -> Bounded:
        operands = [self.values[value] for value in op.operands]
        if self.wraps and isinstance(op, GatherOp | ScatterOp):
            operands[1] = _wrapped(operands[1], operands[0].value.shape[int_value(op.axis)])
        rule = BOUNDS[type(op)]
        found = rule(op, operands, self.accuracy)
        if not self.folds or isinstance(op, IotaOp):
            return found
        if op.result in self.fixed or all(value in self.known for value in op.operands):
            self.known.add(op.result)
        elif not all(value in self.known for value in _terms(op)):
            return found
        if isinstance(op, ConstantOp) or not found.is_float:
            return found
        return _widened(found, rule(op, operands, CPU))


def _fixed(
    function: FuncOp, inputs: Sequence[Array], others: Sequence[Array], accuracy: Accuracy
) -> set[SSAValue]:
    """The values of a function that are the same, bit by bit, for two sets of inputs.

    On the others an index may be out of range; on inputs for which the function has a meaning none
    is, so it is brought inside. Along an axis of size 1 there is but one place for it: what is
    found there does not depend on the index.
    """
    runs: list[dict[SSAValue, Bounded]] = []
    for arrays in (inputs, others):
        exactly = [exact(np.asarray(array)) for array in arrays]
        analysis = _Analysis(dict(zip(function.args, exactly, strict=True)), accuracy, folds=False)
        analysis.wraps = arrays is others
        analysis.run(function.body.block)
        runs.append(analysis.values)
    first, second = runs
    return {
        value
        for value, bound in first.items()
        if bound.value.tobytes() == second[value].value.tobytes() and value not in function.args
    }


def _terms(op: TensorOp) -> Sequence[SSAValue]:
    """The operands that an op does arithmetic with: an index says where a sum goes, not what it is.

    The sums may be constants where their places are not. (A gather and a select round nothing.)
    """
    return (op.x, op.updates) if isinstance(op, ScatterOp) else op.operands


def _wrapped(index: Bounded, size: int) -> Bounded:
    """An index modulo the size of its axis."""
    return discrete(index.value % max(1, size), index.doubtful)


def _widened(wide: Bounded, native: Bounded) -> Bounded:
    """A value whose bound also holds for what native arithmetic makes of it."""
    overflows = np.isfinite(wide.value) & ~np.isfinite(native.value)
    error = np.where(overflows, np.inf, np.maximum(wide.error, native.error))
    doubtful = wide.doubtful | native.doubtful | overflows
    return replace(wide, error=error, doubtful=doubtful)


def types_in_float64(arrays: Sequence[Array]) -> list[AnyTensor]:
    """The tensor types of arrays that a float64 run gave."""
    return [
        tensor_type(a.shape, float64 if is_float_array(a) else from_numpy(a.dtype)) for a in arrays
    ]
