"""Padding and resizing, as in `torch.nn.functional`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from picograd.errors import ShapeError
from picograd.frontend.autodiff.tape import Tape, Var
from picograd.frontend.functions.joining import checked
from picograd.frontend.methods import compositions
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.nn.functions.spatial import Sizes, one_of, per_axis

_MODES = ("constant", "reflect", "replicate", "circular")


@planned_operands()
def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """The input with elements around it: `pad` holds how many before and after, for the last axis
    first. Negative numbers crop.

    `mode` is "constant" (the number `value`, 0 by default), "reflect" (mirrored, without the edge
    itself), "replicate" (the edge, repeated) or "circular" (from the other end).
    """
    checked(input, "pad")
    one_of("pad", "mode", mode, _MODES)
    axes = len(pad) // 2
    if len(pad) % 2 or axes > input.ndim:
        raise located(
            ShapeError(
                "pad takes two numbers for each axis, the last axis first",
                code="PG109",
                expected=f"an even count of at most {2 * input.ndim} numbers",
                found=tuple(pad),
                hint="pass (left, right) or (left, right, top, bottom)",
            )
        )
    low, high = [0] * input.ndim, [0] * input.ndim
    for number in range(axes):
        low[-1 - number], high[-1 - number] = pad[2 * number], pad[2 * number + 1]
    _check_crop(input, low, high)
    if mode != "constant":
        return _padded_from_inside(input, low, high, mode)
    ops, x = input.builder(), _cropped(input, low, high)
    more_low, more_high = ([max(n, 0) for n in numbers] for numbers in (low, high))
    number = 0 if value is None else value
    fill = bool(number) if input.dtype.is_bool else number
    if input.dtype.is_int:
        fill = int(number)
    return input.wrap(ops.pad(x, more_low, more_high, [0] * input.ndim, fill))


def _check_crop(input: Tensor, low: Sequence[int], high: Sequence[int]) -> None:
    sizes = [a + size + b for a, size, b in zip(low, input.shape, high, strict=True)]
    if any(size < 0 for size in sizes):
        raise located(
            ShapeError(
                "pad: a negative padding takes away more than there is",
                code="PG111",
                expected="sizes of 0 or more",
                found=f"{sizes} of {list(input.shape)}",
                hint="crop less",
            )
        )


def _cropped(input: Tensor, low: Sequence[int], high: Sequence[int]) -> Var:
    """The input without what a negative padding takes away, within its own bounds."""
    starts = [min(max(-n, 0), size) for n, size in zip(low, input.shape, strict=True)]
    limits = [
        max(start, size + min(n, 0))
        for start, n, size in zip(starts, high, input.shape, strict=True)
    ]
    return input.builder().slice(input.read(), starts, limits, [1] * input.ndim)


def _padded_from_inside(input: Tensor, low: list[int], high: list[int], mode: str) -> Tensor:
    padded = [axis for axis in range(input.ndim) if low[axis] or high[axis]]
    if not padded:
        return input.clone()
    ops, value = input.builder(), _cropped(input, low, high)
    for axis in padded:
        before, after, size = max(low[axis], 0), max(high[axis], 0), ops.shape_of(value)[axis]
        most = {"reflect": size - 1, "circular": size}.get(mode, before + after if size else 0)
        if max(before, after) > most:
            raise located(
                ShapeError(
                    f"pad: mode {mode!r} takes its elements from the axis itself",
                    code="PG111",
                    expected=f"at most {max(most, 0)} on either side of axis {axis}",
                    found=f"{before} and {after}, for {size} elements",
                    hint="pad less, or with mode='constant'",
                )
            )
        value = ops.concat([*_around(ops, value, axis, before, after, mode)], axis)
    return input.wrap(value)


def _around(ops: Tape, x: Var, axis: int, before: int, after: int, mode: str) -> list[Var]:
    """What stands before x along an axis, x itself, and what stands after it."""
    shape = ops.shape_of(x)
    size = shape[axis]

    def part(start: int, limit: int) -> Var:
        starts = [start if a == axis else 0 for a in range(len(shape))]
        limits = [limit if a == axis else n for a, n in enumerate(shape)]
        return ops.slice(x, starts, limits, [1] * len(shape))

    def repeated(place: int, count: int) -> Var:
        wide = [count if a == axis else n for a, n in enumerate(shape)]
        return ops.broadcast(part(place, place + 1), wide)

    made: dict[str, tuple[Callable[[], Var], Callable[[], Var]]] = {
        "reflect": (
            lambda: ops.reverse(part(1, before + 1), (axis,)),
            lambda: ops.reverse(part(size - 1 - after, size - 1), (axis,)),
        ),
        "replicate": (lambda: repeated(0, before), lambda: repeated(size - 1, after)),
        "circular": (lambda: part(size - before, size), lambda: part(0, after)),
    }
    first, last = made[mode]
    return [*([first()] if before else []), x, *([last()] if after else [])]


def interpolate(
    input: Tensor,
    size: Sizes | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
) -> Tensor:
    """Input [N, C, *S] in other spatial sizes: `size`, or the old ones times `scale_factor`.

    Each element is the nearest one before its place in the input; other modes are not offered.
    """
    x = checked(input, "interpolate")
    axes = x.ndim - 2
    if axes not in (1, 2, 3):
        raise located(
            ShapeError(
                "interpolate takes a batch of images",
                code="PG104",
                expected="a tensor [N, C, *S] of rank 3, 4 or 5",
                found=f"rank {x.ndim}, {list(x.shape)}",
                hint="add what is missing with unsqueeze()",
            )
        )
    one_of("interpolate", "mode", mode, ("nearest",))
    if (size is None) == (scale_factor is None):
        raise located(
            ShapeError(
                "interpolate takes a size or a scale_factor",
                code="PG803",
                expected="one of the two",
                found=f"size={size}, scale_factor={scale_factor}",
                hint="pass size=(…) or scale_factor=2",
            )
        )
    lengths = x.shape[2:]
    if size is not None:
        sizes = per_axis("interpolate", "size", size, axes, 1)
        steps = [old / new for old, new in zip(lengths, sizes, strict=True)]
    else:
        factors = _factors(scale_factor, axes)
        sizes = tuple(int(old * factor) for old, factor in zip(lengths, factors, strict=True))
        steps = [1 / factor for factor in factors]
    ops, value = x.builder(), x.read()
    for axis, (old, new, step) in enumerate(zip(lengths, sizes, steps, strict=True), start=2):
        # In float32, as PyTorch computes the places.
        places = np.floor(np.arange(new, dtype=np.float32) * np.float32(step)).astype(np.int64)
        value = compositions.taken(ops, value, ops.constant(np.minimum(places, old - 1)), axis)
    return x.wrap(value)


def _factors(scale_factor: float | Sequence[float] | None, axes: int) -> list[float]:
    if isinstance(scale_factor, int | float):
        return [float(scale_factor)] * axes
    factors = [float(factor) for factor in scale_factor or ()]
    if len(factors) != axes or any(factor <= 0 for factor in factors):
        raise located(
            ShapeError(
                "interpolate: scale_factor is one number, or one for each spatial axis",
                code="PG109",
                expected=f"1 or {axes} positive numbers",
                found=scale_factor,
                hint="pass scale_factor=2",
            )
        )
    return factors


__all__ = ["interpolate", "pad"]
