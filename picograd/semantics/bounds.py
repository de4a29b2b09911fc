"""Error budgets: how far the results of a device may be from a float64 run of the same module.

Beside every float64 value runs a bound of the error that any order of float32 arithmetic may have
made on this very input (N. Higham, Accuracy and Stability of Numerical Algorithms, chapter 3): a
budget is data, never a tolerance that somebody guessed. Where a bound straddles a decision (a
comparison, a floor, a cast, a tie of an argmax) the element is *undetermined*: counted, and left
out of the comparison; more than 1 % of those fail it.

    report = compare(module, inputs, outputs, ACCURACY["cpu"])
    assert report.ok, str(report)

`module` is of tensor level; `outputs` come from any device, or from the evaluation of any level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, SSAValue

from picograd.dialects.dtypes import AnyTensor, dtype_of
from picograd.dialects.kernel import YieldOp
from picograd.dialects.tensor import (
    ArgReduceOp,
    ArgSortOp,
    BinaryOp,
    BroadcastOp,
    CastOp,
    CompareOp,
    ConcatOp,
    ConstantOp,
    ConvolutionOp,
    GatherOp,
    IotaOp,
    MatmulOp,
    PadOp,
    PermuteOp,
    RandomBitsOp,
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
)
from picograd.errors import ShapeError, VerificationError
from picograd.quick_dataclasses import dataclass
from picograd.semantics import bounds_elementwise as elementwise
from picograd.semantics import bounds_order, bounds_windows
from picograd.semantics import bounds_others as others
from picograd.semantics.accuracy import ACCURACY, CPU, Accuracy
from picograd.semantics.bounded import Array, Bounded, exact, largest_number
from picograd.semantics.bounds_elementwise import BoundRule
from picograd.semantics.evaluate import entry_of

__all__ = [
    "ACCURACY",
    "BOUNDS",
    "CAP",
    "Accuracy",
    "Bounded",
    "Comparison",
    "Excess",
    "analyse",
    "analyse_block",
    "compare",
    "judge",
]

CAP = 0.01
"""The largest share of undetermined elements in a comparison that counts."""

_SLACK = 1.0 + 1e-6
"""Covers the rounding of the bounds themselves."""

BOUNDS: dict[type[TensorOp], BoundRule] = {
    ConstantOp: others.source,
    IotaOp: others.source,
    RandomBitsOp: others.source,
    UnaryOp: elementwise.unary,
    BinaryOp: elementwise.binary,
    CompareOp: elementwise.compare,
    SelectOp: elementwise.select,
    CastOp: elementwise.cast,
    ReduceOp: others.reduce,
    ArgReduceOp: others.argreduce,
    ScanOp: bounds_order.scan,
    ArgSortOp: bounds_order.argsort,
    MatmulOp: others.matmul,
    ConvolutionOp: bounds_windows.convolution,
    ReshapeOp: others.move,
    PermuteOp: others.move,
    BroadcastOp: others.move,
    SliceOp: others.move,
    ReverseOp: others.move,
    WindowsOp: others.move,
    PadOp: others.padded,
    ConcatOp: others.concat,
    GatherOp: others.gather,
    ScatterOp: others.scatter,
}


@dataclass(frozen=True)
class Excess:
    """One element outside its budget."""

    output: int
    index: tuple[int, ...]
    expected: float
    found: float
    budget: float

    def __str__(self) -> str:
        return (
            f"output {self.output} at {list(self.index)}: expected {self.expected!r}"
            f" ± {self.budget:.3g}, found {self.found!r}"
        )


@dataclass(frozen=True)
class Comparison:
    """The outcome of `compare`."""

    elements: int
    undetermined: int
    excesses: int
    worst: Excess | None
    """The element farthest outside its budget."""
    first: Excess | None
    """The first element outside its budget, in row-major order of the first output with one."""
    used: float
    """The largest share of its budget that a determined element uses."""
    cap: float

    @property
    def ok(self) -> bool:
        """Every determined element within budget, and few undetermined."""
        return self.excesses == 0 and self.undetermined <= self.cap * self.elements

    def __str__(self) -> str:
        lines = [
            f"{self.elements} elements, {self.undetermined} undetermined, "
            + f"{self.excesses} outside their budget"
        ]
        if self.worst is not None:
            lines.append(f"  worst: {self.worst}")
        if self.undetermined > self.cap * self.elements:
            lines.append(f"  more than {self.cap:.0%} are undetermined: use other inputs")
        return "\n".join(lines)


def analyse(
    module: ModuleOp | FuncOp, inputs: Sequence[Array], accuracy: Accuracy = CPU
) -> list[Bounded]:
    """The results of a tensor-level module, each element with its error bound.

    `inputs` are exact, of the arguments' dtypes. Raises VerificationError for ops of other levels.
    """
    return analyse_block(entry_of(module).body.block, inputs, accuracy)


def analyse_block(block: Block, inputs: Sequence[Array], accuracy: Accuracy = CPU) -> list[Bounded]:
    """What the block of a function or of a kernel returns or yields, with error bounds.

    `inputs` are exact, of the block's arguments' dtypes. Raises VerificationError for ops that are
    not of tensor level.
    """
    values: dict[SSAValue, Bounded] = {}
    for argument, array in zip(block.args, inputs, strict=True):
        values[argument] = exact(np.asarray(array))
    with np.errstate(all="ignore"):
        for op in block.ops:
            if isinstance(op, ReturnOp | YieldOp):
                return [values[value] for value in op.operands]
            rule = BOUNDS.get(type(op))  # pyright: ignore[reportArgumentType]
            if rule is None:
                raise VerificationError(
                    f"{op.name} has no error bound",
                    code="PG605",
                    expected="ops of tensor level",
                    found=op.name,
                    hint="analyse the module before it is lowered",
                )
            values[op.results[0]] = rule(op, [values[v] for v in op.operands], accuracy)
    raise VerificationError(
        "the function does not return",
        code="PG604",
        expected="func.return",
        found="a body without it",
        hint="end the function with func.return",
    )


def compare(
    module: ModuleOp | FuncOp,
    inputs: Sequence[Array],
    outputs: Sequence[Array],
    accuracy: Accuracy = CPU,
    *,
    cap: float = CAP,
) -> Comparison:
    """Hold results of a device or a level against the float64 run of the tensor-level module.

    Raises ShapeError when the outputs do not have the shapes that the module returns.
    """
    types = [cast(AnyTensor, type) for type in entry_of(module).function_type.outputs]
    return judge(analyse(module, inputs, accuracy), types, outputs, cap=cap)


def judge(
    expected: Sequence[Bounded],
    types: Sequence[AnyTensor],
    outputs: Sequence[Array],
    *,
    cap: float = CAP,
) -> Comparison:
    """Hold arrays, whose types a module declares as `types`, against what they should be.

    Raises ShapeError when the shapes differ.
    """
    if [e.value.shape for e in expected] != [o.shape for o in outputs]:
        raise ShapeError(
            "the outputs do not have the module's shapes",
            code="PG608",
            expected=[list(e.value.shape) for e in expected],
            found=[list(o.shape) for o in outputs],
            hint="pass the outputs of this module, in the order of its results",
        )
    elements = undetermined = excesses = 0
    worst: Excess | None = None
    first: Excess | None = None
    used = 0.0
    for position, (bound, found) in enumerate(zip(expected, outputs, strict=True)):
        largest = largest_number(dtype_of(types[position]))
        unsure = bound.doubtful | bound.lost
        share = np.where(unsure, 0.0, _share_of_budget(bound, found, largest))
        elements += found.size
        undetermined += int(unsure.sum())
        over = share > _SLACK
        excesses += int(over.sum())
        top = float(share.max(initial=0.0))
        if over.any() and (worst is None or top > used):
            worst = _excess(position, int(share.argmax()), bound, found)
        if over.any() and first is None:
            first = _excess(position, int(over.argmax()), bound, found)
        used = max(used, top)
    return Comparison(elements, undetermined, excesses, worst, first, used, cap)


def _excess(output: int, place: int, bound: Bounded, found: Array) -> Excess:
    """The element at a place, counted in row-major order."""
    index = tuple(int(i) for i in np.unravel_index(place, found.shape))
    expected, budget = bound.value[index].item(), float(bound.error[index])
    return Excess(output, index, expected, found[index].item(), budget)


def _share_of_budget(bound: Bounded, found: Array, largest: float) -> Array:
    """Each element's distance over its budget; infinite where a budget of 0 is exceeded."""
    if not bound.is_float:
        return np.where(bound.value == found, 0.0, np.inf)
    with np.errstate(all="ignore"):
        wide = found.astype(np.float64)
        # A run in float64 may pass the range in which a float32 run overflows.
        reached = np.where(np.abs(wide) > largest, np.copysign(np.inf, wide), wide)
        equal = (reached == bound.value) | (np.isnan(wide) & np.isnan(bound.value))
        share = np.abs(wide - bound.value) / bound.error
    return np.where(equal, 0.0, np.where(np.isnan(share), np.inf, share))
