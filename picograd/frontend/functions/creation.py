"""Making tensors: from data, filled with a number, or counting up."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from picograd.dialects.dtypes import DType, from_numpy, int64, is_float_array
from picograd.dialects.limits import finfo, iinfo
from picograd.errors import (
    DTypeError,
    GradientError,
    OptionError,
    PicogradError,
    TraceError,
)
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.core import Number, TensorCore
from picograd.frontend.methods.shape_ops import checked_size, shape_argument
from picograd.frontend.modes.devices import default_device
from picograd.frontend.modes.eager import current
from picograd.frontend.plans.planned_values import planned_constant, planned_like
from picograd.frontend.problems import located
from picograd.frontend.promotion import DEFAULT_FLOAT, number_dtype, require_dtype, require_tensor
from picograd.frontend.tensor import Tensor


def builder_for(device: str | None) -> Tape:
    """The builder for new tensors on a device.

    Raises TraceError for another one than the trace's.
    """
    name = default_device() if device is None else str(device)
    mode = current(name)
    if mode.device != name:
        raise located(
            TraceError(
                "a compiled function runs on one device",
                code="PG302",
                expected=f"tensors on {mode.device!r}",
                found=f"a new tensor on {name!r}",
                hint="leave out `device`, or create the tensor outside of the function",
            )
        )
    return Tape(mode)


def finish(ops: Tape, var: Var, requires_grad: bool = False) -> Tensor:
    """A new tensor that holds the value."""
    tensor = Tensor(ops.mode.new_cell(var.value))
    return tensor.requires_grad_() if requires_grad else tensor


def tensor(
    data: object,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A copy of nested lists, a number, or an array as a tensor.

    Python floats become float32, integers int64; arrays keep their dtype. Raises OptionError for
    data that is not rectangular, DTypeError for data that is not numeric.
    """
    if isinstance(data, TensorCore):
        copy = Tensor(data.cell, data.views).detach().clone()
        copy = copy.to(dtype=dtype, device=device)
        return copy.requires_grad_() if requires_grad else copy
    ops = builder_for(device)
    return finish(ops, ops.constant(_array(data, dtype)), requires_grad)


def _array(data: object, dtype: DType | None) -> NDArray[Any]:
    require_dtype(dtype)
    try:
        array = _read(data)
    except ValueError as error:
        raise located(
            OptionError(
                "the data is not rectangular",
                code="PG127",
                expected="nested lists of equal lengths",
                found=type(data).__name__,
                hint="pad or cut the inner lists to one length",
            )
        ) from error
    if array.dtype.kind not in "biuf" and not is_float_array(array):
        raise located(
            DTypeError(
                "the data is not numeric",
                code="PG208",
                expected="bools, integers or floats",
                found=f"NumPy dtype {array.dtype}",
                hint="tensors of tensors are made with torch.stack",
            )
        )
    if dtype is None and not isinstance(data, np.ndarray | np.generic):
        dtype = number_dtype(array.dtype.type(0).item()) if array.size else DEFAULT_FLOAT
    elif dtype is not None and dtype.is_int and array.dtype.kind in "iu":
        _check_range(array, dtype)
    try:
        with np.errstate(over="ignore"):  # float16 ends at 65504; beyond lies infinity
            return array.astype((dtype or from_numpy(array.dtype)).numpy, copy=False)
    except PicogradError as error:
        located(error)
        raise


def _read(data: object) -> NDArray[Any]:
    try:
        return np.asarray(data)
    except GradientError:
        return np.asarray(_numbers(data))


def _numbers(data: object) -> object:
    """The data, with the numbers of tensors in lists whether they require a gradient or not."""
    if isinstance(data, list | tuple):
        return [_numbers(part) for part in cast("Sequence[object]", data)]
    return data.detach().numpy() if isinstance(data, Tensor) else data


def _check_range(array: NDArray[Any], dtype: DType) -> None:
    """Raise DTypeError for integers that the dtype cannot hold; uint8 takes -1 for 255."""
    limits = iinfo(dtype)
    least = limits.min if dtype.is_signed else -limits.max
    for number in (array.min(initial=0).item(), array.max(initial=0).item()):
        if not least <= number <= limits.max:
            raise located(
                DTypeError(
                    f"the number {number} does not fit into {dtype.name}",
                    code="PG203",
                    expected=f"numbers from {limits.min} to {limits.max}",
                    found=number,
                    hint="use a wider dtype, and convert with .to(dtype) if it shall wrap around",
                )
            )


def _checked_number(number: Number, dtype: DType) -> Number:
    """The number, or DTypeError where it lies beyond the dtype's range."""
    require_dtype(dtype)
    if dtype.is_int:
        _check_range(np.asarray(int(number)), dtype)
    elif dtype.is_half and finfo(dtype).max < abs(number) < float("inf"):
        raise located(
            DTypeError(
                f"the number {number} does not fit into {dtype.name}",
                code="PG203",
                expected=f"a number up to {finfo(dtype).max}",
                found=number,
                hint="use a wider dtype",
            )
        )
    return number


@planned_constant
def full(
    size: Sequence[int] | int,
    fill_value: Number,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of one number; without `dtype` it has the number's."""
    ops = builder_for(device)
    shape = checked_size((size,) if isinstance(size, int) else tuple(size))
    dtype = dtype or number_dtype(fill_value)
    var = ops.full(shape, _checked_number(fill_value, dtype), dtype)
    return finish(ops, var, requires_grad)


@planned_constant
def zeros(
    *size: int | Sequence[int],
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of zeros, float32 unless told otherwise."""
    return full(
        shape_argument(size),
        0,
        dtype=dtype or DEFAULT_FLOAT,
        device=device,
        requires_grad=requires_grad,
    )


@planned_constant
def ones(
    *size: int | Sequence[int],
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of ones, float32 unless told otherwise."""
    return full(
        shape_argument(size),
        1,
        dtype=dtype or DEFAULT_FLOAT,
        device=device,
        requires_grad=requires_grad,
    )


@planned_like
def full_like(
    like: TensorCore,
    fill_value: Number,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of one number with another tensor's shape, dtype and device."""
    like = require_tensor(like, "full_like", "make a tensor of it, or pass a shape to full()")
    return full(
        like.shape,
        fill_value,
        dtype=dtype or like.dtype,
        device=device or like.device,
        requires_grad=requires_grad,
    )


@planned_like
def zeros_like(
    like: TensorCore,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros with another tensor's shape, dtype and device."""
    return full_like(like, 0, dtype=dtype, device=device, requires_grad=requires_grad)


@planned_like
def ones_like(
    like: TensorCore,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones with another tensor's shape, dtype and device."""
    return full_like(like, 1, dtype=dtype, device=device, requires_grad=requires_grad)


@planned_constant
def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: DType | None = None,
    device: str | None = None,
) -> Tensor:
    """start, start + step, … below `end`; `arange(end)` counts from 0.

    The dtype is int64 when all numbers are integers.
    """
    first, last = (0, start) if end is None else (start, end)
    if step == 0 or (last - first) / step < 0:
        raise located(
            OptionError(
                "arange never reaches its end",
                code="PG802",
                expected="a step other than 0 that leads from start to end",
                found=f"start {first}, end {last}, step {step}",
                hint="change the sign of the step, or swap start and end",
            )
        )
    whole = all(isinstance(number, int) for number in (first, last, step))
    dtype = dtype or (int64 if whole else DEFAULT_FLOAT)
    ops = builder_for(device)
    numbers = ops.iota(ceil((last - first) / step), dtype)
    if step != 1:
        numbers = ops.scale(numbers, step)
    return finish(ops, ops.add(numbers, ops.full_like(numbers, first)) if first else numbers)


@planned_constant
def empty(
    *size: int | Sequence[int],
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor to be filled later; until then it holds zeros."""
    return zeros(*size, dtype=dtype, device=device, requires_grad=requires_grad)


@planned_like
def empty_like(
    like: TensorCore,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor like another one, to be filled later; until then it holds zeros."""
    return zeros_like(like, dtype=dtype, device=device, requires_grad=requires_grad)


@planned_constant
def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from `start` to `end`, both included, at equal distances."""
    ops = builder_for(device)
    var = ops.cast(_line(ops, start, end, steps, dtype), dtype or DEFAULT_FLOAT)
    return finish(ops, var, requires_grad)


@planned_constant
def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`base` to the power of each number of `linspace`."""
    ops = builder_for(device)
    exponents = _line(ops, start, end, steps, dtype)
    powers = ops.binary("pow", ops.full_like(exponents, base), exponents)
    return finish(ops, ops.cast(powers, dtype or DEFAULT_FLOAT), requires_grad)


def _line(ops: Tape, start: float, end: float, steps: int, dtype: DType | None) -> Var:
    """Counted from the start in the first half and from the end in the second: both are exact."""
    if steps < 0:
        raise located(
            OptionError(
                "a negative number of steps",
                code="PG107",
                expected="0 steps or more",
                found=steps,
                hint="pass the number of elements that you want",
            )
        )
    wide = dtype if dtype is not None and dtype.is_float else DEFAULT_FLOAT
    step = (end - start) / max(steps - 1, 1)
    numbers = ops.iota(steps, wide)
    first = ops.add(ops.scale(numbers, step), ops.full_like(numbers, start))
    back = ops.sub(ops.full_like(numbers, steps - 1), numbers)
    second = ops.sub(ops.full_like(numbers, end), ops.scale(back, step))
    return ops.select(
        ops.compare("lt", numbers, ops.full_like(numbers, max(steps // 2, 1))), first, second
    )


@planned_constant
def eye(
    n: int, m: int | None = None, *, dtype: DType | None = None, device: str | None = None
) -> Tensor:
    """The identity matrix, or the part of it with m columns."""
    ops, columns = builder_for(device), n if m is None else m
    shape = checked_size((n, columns))
    row = ops.broadcast(ops.reshape(ops.iota(n, int64), (n, 1)), shape)
    column = ops.broadcast(ops.iota(columns, int64), shape)
    return finish(ops, ops.cast(ops.compare("eq", row, column), dtype or DEFAULT_FLOAT))
