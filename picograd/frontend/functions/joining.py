"""Operations on several tensors: choice, joining, lookup, comparison of whole tensors."""

from __future__ import annotations

from collections.abc import Sequence

from picograd.errors import DTypeError, OperandError, OptionError, ShapeError
from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.methods.arithmetic import plain
from picograd.frontend.methods.numpy_names import takes_numpy_names
from picograd.frontend.methods.reductions import normalize_axis
from picograd.frontend.plans.planned_operands import planned_list, planned_operands
from picograd.frontend.problems import located
from picograd.frontend.promotion import (
    as_var,
    broadcast_shapes,
    common_device,
    promote_types,
    result_type,
)
from picograd.frontend.tensor import Tensor


def checked(x: object, name: str) -> Tensor:
    """The tensor x. Raises OperandError, which names the function, for anything else."""
    if not isinstance(x, Tensor):
        raise located(
            OperandError(
                f"{name} takes a tensor",
                code="PG207",
                expected="a tensor as first argument",
                found=type(x).__name__,
                hint="make a tensor of it: torch.tensor(…)",
            )
        )
    return x


@planned_operands("input", "other")
def where(
    condition: TensorCore, input: Operand | None = None, other: Operand | None = None
) -> Tensor:
    """Elementwise choice: `input` where `condition` holds, else `other`; all three broadcast.

    Where the condition holds alone (`where(condition)`) is refused: the data decides about the
    shape of that.
    """
    chosen = checked(condition, "where")
    if input is None or other is None:
        return chosen.nonzero(as_tuple=True)
    if not chosen.dtype.is_bool:
        raise located(
            DTypeError(
                "where chooses by a bool tensor",
                code="PG206",
                expected="bool",
                found=chosen.dtype.name,
                hint="compare it: x != 0",
            )
        )
    pair = (plain(input), plain(other))
    common_device((chosen, *pair))
    ops, dtype = chosen.builder(), result_type(*pair)
    shapes = [x.shape for x in (chosen, *pair) if isinstance(x, TensorCore)]
    shape = broadcast_shapes(*shapes)
    a, b = (as_var(ops, operand, dtype, shape) for operand in pair)
    return chosen.wrap(ops.select(ops.broadcast(chosen.read(), shape), a, b))


@planned_list
@takes_numpy_names
def cat(tensors: Sequence[TensorCore], dim: int = 0) -> Tensor:
    """Tensors one after another along an existing axis, in their common dtype."""
    first = _first(tensors, "cat")
    common_device(tensors)
    if any(x.ndim == 0 for x in tensors):
        raise located(
            ShapeError(
                "cat joins along an axis, and a 0-d tensor has none",
                code="PG104",
                expected="tensors with at least one axis",
                found=[list(x.shape) for x in tensors],
                hint="use torch.stack, or give the tensor an axis with unsqueeze(0)",
            )
        )
    axis, ops, dtype = normalize_axis(dim, first.ndim), first.builder(), first.dtype
    for other in tensors:
        dtype = promote_types(dtype, other.dtype)
    return first.wrap(ops.concat([as_var(ops, x, dtype) for x in tensors], axis))


@planned_list
@takes_numpy_names
def stack(tensors: Sequence[TensorCore], dim: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    first = _first(tensors, "stack")
    if any(x.shape != first.shape for x in tensors):
        raise located(
            ShapeError(
                "stack needs tensors of one shape",
                code="PG102",
                expected=f"{list(first.shape)} every time",
                found=[list(x.shape) for x in tensors],
                hint="reshape the tensors first, or join them along an existing axis with cat()",
            )
        )
    axis = normalize_axis(dim, first.ndim + 1)
    return cat([Tensor.unsqueeze(checked(x, "stack"), axis) for x in tensors], axis)


def _first(tensors: Sequence[TensorCore], name: str) -> Tensor:
    if not tensors:
        raise located(
            OptionError(
                f"{name} needs at least one tensor",
                code="PG110",
                expected="1 or more",
                found=0,
                hint="pass the tensors to join",
            )
        )
    return checked(tensors[0], name)


def is_tensor(value: object) -> bool:
    """Whether the value is a tensor."""
    return isinstance(value, TensorCore)


def embedding(weight: Tensor, index: Tensor) -> Tensor:
    """Rows of `weight`, one for each element of `index`. Raises IndexOutOfRange when it runs."""
    if weight.ndim != 2 or not index.dtype.is_int:
        raise located(
            ShapeError(
                "embedding looks rows up in a matrix",
                code="PG104",
                expected="a weight of two axes and integer indices",
                found=f"weight {list(weight.shape)}, index {index.dtype.name}",
                hint="pass the indices first and the weight second; convert indices with .long()",
            )
        )
    shape = (*index.shape, weight.shape[1])
    return weight.index_select(0, index.reshape(-1)).reshape(shape)
