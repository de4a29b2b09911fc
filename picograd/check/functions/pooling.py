"""Pools, padding and resizing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from math import inf
from typing import Any, TypeAlias, cast

import numpy as np

from picograd.check.functions.cases import distinct, drawn
from picograd.check.functions.table import Case, ErrorCase, Function, Input, View, by_name
from picograd.dialects.literals import Array

Sizes: TypeAlias = int | Sequence[int]
Windows: TypeAlias = list[list[list[int]]]
"""For each spatial axis the windows along it: the positions of each in the input."""


def _each(value: Sizes, axes: int) -> list[int]:
    return [value] * axes if isinstance(value, int) else list(value)


def _places(
    length: int, size: int, stride: int, margin: int, dilation: int, ceil_mode: bool
) -> list[list[int]]:
    """The positions of each window along an axis, padding included."""
    span = (size - 1) * dilation + 1
    windows: list[list[int]] = []
    start = -margin
    while start + span <= length + margin or (
        # One more may begin in the input or the padding before it, and reach out of both.
        ceil_mode and start < length + margin - span + stride and start < length
    ):
        windows.append([start + k * dilation for k in range(size)])
        start += stride
    return windows


def _regular(
    shape: Sequence[int],
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Windows:
    """For each spatial axis, the positions of each window."""
    axes = len(shape)
    sizes = _each(kernel_size, axes)
    steps = sizes if stride is None else _each(stride, axes)
    numbers = zip(shape, sizes, steps, _each(padding, axes), _each(dilation, axes), strict=True)
    return [_places(n, k, s, p, d, ceil_mode) for n, k, s, p, d in numbers]


def _adaptive(shape: Sequence[int], output_size: int | Sequence[int | None]) -> Windows:
    counts = [output_size] * len(shape) if isinstance(output_size, int) else output_size
    return [
        [list(range(i * n // count, -(-(i + 1) * n // count))) for i in range(count)]
        for n, count in ((n, n if c is None else c) for n, c in zip(shape, counts, strict=True))
    ]


def _each_window(
    windows: Windows, sizes: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], list[list[int]], list[tuple[int, ...]]]]:
    """The number of each window, its positions along each axis, and its elements in the input."""
    for at in product(*(range(len(axis)) for axis in windows)):
        window = [axis[i] for axis, i in zip(windows, at, strict=True)]
        inside = [[p for p in along if 0 <= p < n] for along, n in zip(window, sizes, strict=True)]
        yield at, window, list(product(*inside))


def _max(x: Array, windows: Windows, indices: bool) -> Array | tuple[Array, Array]:
    """Window by window: the first of the greatest elements, a NaN before all."""
    sizes = x.shape[x.ndim - len(windows) :]
    rows = x.reshape(-1, *sizes)
    values = np.zeros((len(rows), *map(len, windows)), x.dtype)
    places = np.zeros(values.shape, np.int64)
    flat = np.arange(int(np.prod(sizes))).reshape(sizes)
    for at, _, elements_at in _each_window(windows, sizes):
        picked = np.array([flat[where] for where in elements_at])
        elements = rows.reshape(len(rows), flat.size)[:, picked]
        best = elements.argmax(1)
        values[(slice(None), *at)] = np.take_along_axis(elements, best[:, None], 1)[:, 0]
        places[(slice(None), *at)] = picked[best]
    shape = (*x.shape[: x.ndim - len(windows)], *map(len, windows))
    found = values.reshape(shape)
    return (found, places.reshape(shape)) if indices else found


def _mean(x: Array, windows: Windows, count: Callable[[Sequence[list[int]]], float]) -> Array:
    sizes = x.shape[x.ndim - len(windows) :]
    rows = x.reshape(-1, *sizes)
    values = np.zeros((len(rows), *map(len, windows)), x.dtype)
    for at, window, elements_at in _each_window(windows, sizes):
        total = np.zeros(len(rows))
        for where in elements_at:
            total = total + rows[(slice(None), *where)]
        values[(slice(None), *at)] = total / count(window)
    return values.reshape((*x.shape[: x.ndim - len(windows)], *map(len, windows)))


def _max_pool(axes: int) -> Callable[..., Array | tuple[Array, Array]]:
    def pool(
        x: Array, *, return_indices: bool = False, **options: Any
    ) -> Array | tuple[Array, Array]:
        return _max(x, _regular(x.shape[-axes:], **options), return_indices)

    return pool


def _avg_pool(axes: int) -> Callable[..., Array]:
    def pool(
        x: Array,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Array:
        lengths, margins = x.shape[-axes:], _each(padding, axes)

        def count(window: Sequence[list[int]]) -> float:
            if divisor_override is not None:
                return divisor_override
            counted = 1
            for along, length, margin in zip(window, lengths, margins, strict=True):
                end = length + margin if count_include_pad else length
                counted *= sum(p < end and (count_include_pad or p >= 0) for p in along)
            return counted

        return _mean(x, _regular(lengths, kernel_size, stride, padding, 1, ceil_mode), count)

    return pool


def _adaptive_max(axes: int) -> Callable[..., Array | tuple[Array, Array]]:
    def pool(
        x: Array, output_size: int | Sequence[int | None], return_indices: bool = False
    ) -> Array | tuple[Array, Array]:
        return _max(x, _adaptive(x.shape[-axes:], output_size), return_indices)

    return pool


def _adaptive_avg(axes: int) -> Callable[..., Array]:
    def pool(x: Array, output_size: int | Sequence[int | None]) -> Array:
        windows = _adaptive(x.shape[-axes:], output_size)
        return _mean(x, windows, lambda window: float(np.prod([len(along) for along in window])))

    return pool


Calls: TypeAlias = Mapping[str, tuple[Sequence[int], Mapping[str, object]]]


def _pool_cases(
    rng: np.random.Generator, axes: int, calls: Calls, options: Mapping[str, object], picks: bool
) -> list[Case]:
    """Cases on shapes given without their last axes: those of 1-d pools, repeated for 2-d ones."""

    def widened(shape: Sequence[int]) -> tuple[int, ...]:
        return (*shape, *(max(1, shape[-1] - 1) for _ in range(axes - 1)))

    def values(shape: Sequence[int]) -> Array:
        whole = widened(shape)
        return distinct(rng, whole) if picks and np.prod(whole) else drawn(rng, whole)

    cases = [Case(label, (values(shape),), dict(given)) for label, (shape, given) in calls.items()]
    view = values((2, 2, 5))
    inputs: dict[str, Input] = {
        "permuted view": View(view, "permuted"),
        "sliced view": View(view, "sliced"),
        "expanded view": View(np.broadcast_to(view[:1], view.shape), "expanded"),
    }
    cases += [Case(label, (given,), options) for label, given in inputs.items()]
    special = np.resize(
        np.array([0.5, inf, -inf, 2, -inf, -inf, -1], np.float32), widened((1, 1, 9))
    )
    cases.append(Case("infinity", (special,), options, gradient=False))
    cases.append(Case("double", (values((1, 2, 4)).astype(np.float64),), options))
    if picks:
        ties = rng.integers(0, 2, widened((1, 2, 8))).astype(np.float32)
        nan = special.copy()
        nan.flat[3] = np.nan
        cases += [
            Case("ties", (ties,), options, gradient=False),
            Case("NaN", (nan,), options, gradient=False),
            Case(
                "int32",
                (drawn(rng, widened((1, 2, 7)), (-9, 9), dtype=np.int32),),
                options,
                differs="most of PyTorch's pools take floats only",
            ),
        ]
    return cases


_WINDOWS: Calls = {
    "size 1": ((1, 1, 1), {"kernel_size": 1}),
    "odd sizes": ((2, 3, 7), {"kernel_size": 2}),
    "without batch": ((2, 6), {"kernel_size": 2}),
    "empty batch": ((0, 2, 5), {"kernel_size": 2}),
    "overlapping": ((1, 2, 6), {"kernel_size": 3, "stride": 1}),
    "padding": ((1, 2, 6), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "gaps between windows": ((1, 1, 7), {"kernel_size": 2, "stride": 3}),
    "ceil_mode": ((1, 2, 6), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "ceil_mode and padding": (
        (1, 2, 6),
        {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
    ),
}


def _max_cases(rng: np.random.Generator, axes: int) -> list[Case]:
    given = {"kernel_size": 3, "stride": 2, "padding": 1}
    calls: Calls = {
        **_WINDOWS,
        "dilation": ((1, 1, 7), {"kernel_size": 2, "dilation": 3, "stride": 1}),
        "indices": ((2, 2, 7), {"kernel_size": 2, "return_indices": True}),
        "indices with padding": ((1, 2, 6), {**given, "return_indices": True}),
        "indices, dilated": (
            (1, 1, 7),
            {"kernel_size": 2, "dilation": 2, "stride": 1, "return_indices": True},
        ),
    }
    cases = _pool_cases(rng, axes, calls, given, picks=True)
    least = np.full((1, 1, *(5, 4)[:axes]), -inf, np.float32)
    return [*cases, Case("all least", (least,), {**given, "return_indices": True}, gradient=False)]


def _avg_cases(rng: np.random.Generator, axes: int) -> list[Case]:
    outside = {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}
    calls: Calls = {
        **_WINDOWS,
        "without padding counted": ((1, 2, 6), outside),
        "ceil_mode, padding not counted": ((1, 2, 7), {**outside, "ceil_mode": True}),
    }
    if axes == 2:
        calls = {**calls, "divisor": ((1, 2, 6), {"kernel_size": 2, "divisor_override": 3})}
    return _pool_cases(rng, axes, calls, {"kernel_size": 2}, picks=False)


def _adaptive_cases(rng: np.random.Generator, axes: int, picks: bool) -> list[Case]:
    calls: Calls = {
        "size 1": ((1, 1, 1), {"output_size": 1}),
        "odd sizes": ((2, 3, 7), {"output_size": 3}),
        "divided evenly": ((1, 2, 6), {"output_size": 3 if axes == 1 else (3, 5)}),
        "all": ((2, 2, 5), {"output_size": 1}),
        "more than there are": ((1, 1, 3), {"output_size": 5}),
        "as many": ((1, 2, 4), {"output_size": 4}),
        "without batch": ((2, 5), {"output_size": 2}),
        "empty batch": ((0, 2, 5), {"output_size": 2}),
    }
    if picks:
        more = {"output_size": 3, "return_indices": True}
        calls = {**calls, "indices": ((1, 2, 7), more), "indices, even": ((1, 2, 6), more)}
    if axes == 2:
        calls = {**calls, "a size that stays": ((1, 2, 5), {"output_size": (None, 2)})}
    return _pool_cases(rng, axes, calls, {"output_size": 2}, picks)


def _ones(*shape: int) -> Array:
    return np.ones(shape, np.float32)


def _pool_errors(axes: int) -> tuple[ErrorCase, ...]:
    x = _ones(1, 2, *(3,) * axes)
    return (
        ErrorCase("window too large", (x,), RuntimeError, {"kernel_size": 4}, "larger"),
        ErrorCase(
            "padding", (x,), RuntimeError, {"kernel_size": 2, "padding": 2}, "lies in the padding"
        ),
        ErrorCase(
            "rank",
            (_ones(3),),
            RuntimeError,
            {"kernel_size": 2},
            "spatial axes",
            differs="PyTorch raises an IndexError for some ranks",
        ),
    )


def _pad(x: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Array:
    """Cropped first; then each axis is surrounded by what `np.pad` makes of the mode."""
    if not pad:
        return x
    low, high = [0] * x.ndim, [0] * x.ndim
    for number in range(len(pad) // 2):
        low[-1 - number], high[-1 - number] = pad[2 * number], pad[2 * number + 1]
    keep = [slice(max(-a, 0), n - max(-b, 0)) for a, b, n in zip(low, high, x.shape, strict=True)]
    margins = [(max(a, 0), max(b, 0)) for a, b in zip(low, high, strict=True)]
    if mode == "constant":
        return np.pad(x[tuple(keep)], margins, constant_values=0 if value is None else value)
    names = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return np.pad(x[tuple(keep)], margins, cast(Any, names[mode]))


def _pad_cases(rng: np.random.Generator) -> list[Case]:
    calls: Calls = {
        "one axis": ((3, 5), {"pad": (1, 2)}),
        "two axes": ((2, 3, 4), {"pad": (1, 0, 0, 2), "value": 1.5}),
        "all axes": ((2, 3), {"pad": (1, 1, 2, 0), "value": -1.0}),
        "rank 0": ((), {"pad": ()}),
        "empty": ((0, 3), {"pad": (1, 1), "value": 2.0}),
        "crop": ((3, 5), {"pad": (-1, -2)}),
        "crop and pad": ((3, 5), {"pad": (-1, 2, 1, -1), "value": 0.5}),
        "reflect": ((1, 2, 5), {"pad": (2, 3), "mode": "reflect"}),
        "reflect, two axes": ((1, 1, 3, 4), {"pad": (1, 2, 2, 0), "mode": "reflect"}),
        "replicate": ((1, 2, 3), {"pad": (2, 4), "mode": "replicate"}),
        "replicate, two axes": ((1, 1, 3, 2), {"pad": (0, 2, 1, 1), "mode": "replicate"}),
        "circular": ((1, 2, 4), {"pad": (2, 3), "mode": "circular"}),
        "circular, two axes": ((1, 1, 3, 4), {"pad": (1, 2, 2, 0), "mode": "circular"}),
    }
    cases = [Case(label, (drawn(rng, shape),), given) for label, (shape, given) in calls.items()]
    matrix = drawn(rng, (3, 4))
    cases += [
        Case("permuted view", (View(matrix, "permuted"),), {"pad": (1, 1)}),
        Case("sliced view", (View(matrix, "sliced"),), {"pad": (1, 1)}),
        Case("int64", (drawn(rng, (2, 3), (-9, 9), dtype=np.int64),), {"pad": (1, 1), "value": 3}),
    ]
    return cases


def _interpolate(
    x: Array, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None
) -> Array:
    for axis, length in enumerate(x.shape[2:]):
        if size is not None:
            count = size if isinstance(size, int) else size[axis]
            step = length / count
        else:
            assert scale_factor is not None
            given = scale_factor if isinstance(scale_factor, int | float) else scale_factor[axis]
            count, step = int(length * given), 1 / given
        places = [min(int(np.float32(i) * np.float32(step)), length - 1) for i in range(count)]
        x = x.take(places, axis + 2)
    return x


def _interpolate_cases(rng: np.random.Generator) -> list[Case]:
    calls: Calls = {
        "size 1": ((1, 1, 1), {"size": 1}),
        "twice": ((2, 3, 5), {"scale_factor": 2}),
        "twice, two axes": ((1, 2, 3, 4), {"scale_factor": 2}),
        "three axes": ((1, 1, 2, 3, 2), {"scale_factor": 2}),
        "a size": ((1, 2, 5, 4), {"size": (7, 3)}),
        "smaller": ((1, 2, 7), {"size": 3}),
        "uneven factors": ((1, 1, 5, 4), {"scale_factor": (1.5, 0.75)}),
        "one size for all": ((1, 1, 3, 5), {"size": 4}),
        "the same": ((1, 2, 4), {"size": 4}),
        "empty batch": ((0, 2, 3), {"scale_factor": 2}),
    }
    cases = [Case(label, (drawn(rng, shape),), given) for label, (shape, given) in calls.items()]
    view = View(drawn(rng, (2, 3, 4)), "permuted")
    return [*cases, Case("permuted view", (view,), {"scale_factor": 2})]


FUNCTIONS: tuple[Function, ...] = (
    *(
        Function(
            f"F.max_pool{axes}d",
            by_name(f"F.max_pool{axes}d"),
            _max_pool(axes),
            lambda rng, axes=axes: _max_cases(rng, axes),
            _pool_errors(axes),
            differences="Of several NaN in a window, the index is the first one's.",
        )
        for axes in (1, 2)
    ),
    *(
        Function(
            f"F.avg_pool{axes}d",
            by_name(f"F.avg_pool{axes}d"),
            _avg_pool(axes),
            lambda rng, axes=axes: _avg_cases(rng, axes),
            _pool_errors(axes),
        )
        for axes in (1, 2)
    ),
    *(
        Function(
            f"F.adaptive_avg_pool{axes}d",
            by_name(f"F.adaptive_avg_pool{axes}d"),
            _adaptive_avg(axes),
            lambda rng, axes=axes: _adaptive_cases(rng, axes, picks=False),
            (ErrorCase("rank", (_ones(3),), RuntimeError, {"output_size": 2}, "spatial axes"),),
        )
        for axes in (1, 2)
    ),
    *(
        Function(
            f"F.adaptive_max_pool{axes}d",
            by_name(f"F.adaptive_max_pool{axes}d"),
            _adaptive_max(axes),
            lambda rng, axes=axes: _adaptive_cases(rng, axes, picks=True),
            (ErrorCase("rank", (_ones(3),), RuntimeError, {"output_size": 2}, "spatial axes"),),
        )
        for axes in (1, 2)
    ),
    Function(
        "F.pad",
        by_name("F.pad"),
        _pad,
        _pad_cases,
        (
            ErrorCase("odd count", (_ones(2, 3),), RuntimeError, {"pad": (1, 2, 3)}, "two numbers"),
            ErrorCase(
                "reflects too far",
                (_ones(1, 2, 3),),
                RuntimeError,
                {"pad": (3, 0), "mode": "reflect"},
                "at most 2",
            ),
            ErrorCase(
                "crops too much", (_ones(2, 3),), RuntimeError, {"pad": (-2, -2)}, "takes away"
            ),
        ),
    ),
    Function(
        "F.interpolate",
        by_name("F.interpolate"),
        _interpolate,
        _interpolate_cases,
        (
            ErrorCase(
                "rank",
                (_ones(2, 3),),
                RuntimeError,
                {"size": 2},
                "rank",
                "a rank-2 input is refused with another type of error",
            ),
        ),
        differences="Only mode='nearest' is offered.",
    ),
)
