"""What a rule tells of the axes of a result, and what rules share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from xdsl.ir import Attribute

from picograd.compiler.validation.axes import Axes, Axis, SizeOf, title
from picograd.dialects.tensor import TensorOp
from picograd.quick_dataclasses import dataclass

Changes: TypeAlias = dict[str, Attribute]


@dataclass(frozen=True)
class Placed:
    """The axes of a result, and the properties that change with their sizes."""

    axes: tuple[Axis, ...]
    changes: Callable[[SizeOf], Changes] = lambda size: {}


Rule: TypeAlias = Callable[[Axes, Any], Placed]
"""Of an op class: it is given the axes so far, and the op."""


def join_all(axes: Axes, some: tuple[Axis, ...], others: tuple[Axis, ...], op: TensorOp) -> None:
    """Let axes that stand in one place have one size, as an op asks."""
    for one, other in zip(some, others, strict=True):
        axes.join(one, other, title(op))


def without(axes: tuple[Axis, ...], axis: int) -> tuple[Axis, ...]:
    """All axes but one."""
    return axes[:axis] + axes[axis + 1 :]
