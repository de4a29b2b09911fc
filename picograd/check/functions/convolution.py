"""Convolutions, and the windows that they slide."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from picograd.check.functions.cases import drawn
from picograd.check.functions.table import Case, ErrorCase, Function, Input, View, by_name
from picograd.dialects.literals import Array

Sizes = int | Sequence[int]


def _each(value: Sizes, axes: int) -> list[int]:
    return [value] * axes if isinstance(value, int) else list(value)


def _convolution(
    x: Array,
    w: Array,
    bias: Array | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """Tap by tap: each element of the kernel times the places of the input that it meets."""
    axes = w.ndim - 2
    if x.ndim == axes + 1:
        return _convolution(x[None], w, bias, stride, padding, dilation, groups)[0]
    steps, gaps, taps = _each(stride, axes), _each(dilation, axes), w.shape[2:]
    reach = [(k - 1) * d for k, d in zip(taps, gaps, strict=True)]
    if padding == "same":
        margins = [(r // 2, r - r // 2) for r in reach]
    else:
        margins = [(p, p) for p in _each(0 if isinstance(padding, str) else padding, axes)]
    x = np.pad(x, [(0, 0), (0, 0), *margins])
    sizes = [(n - r - 1) // s + 1 for n, r, s in zip(x.shape[2:], reach, steps, strict=True)]
    outputs, channels = w.shape[0] // groups, w.shape[1]
    result = np.zeros((x.shape[0], w.shape[0], *sizes), np.result_type(x, w))
    for group in range(groups):
        part = x[:, group * channels : (group + 1) * channels]
        kernel = w[group * outputs : (group + 1) * outputs]
        for tap in product(*map(range, taps)):
            place = tuple(
                slice(k * d, k * d + (n - 1) * s + 1, s)
                for k, d, n, s in zip(tap, gaps, sizes, steps, strict=True)
            )
            met = part[(slice(None), slice(None), *place)]
            share = np.einsum("nc...,oc->no...", met, kernel[(slice(None), slice(None), *tap)])
            result[:, group * outputs : (group + 1) * outputs] += share
    return result if bias is None else result + bias.reshape(-1, *(1,) * axes)


def _transposed(
    x: Array,
    w: Array,
    bias: Array | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Array:
    """Tap by tap: what each element of the input adds, through each element of the kernel."""
    axes = w.ndim - 2
    if x.ndim == axes + 1:
        args = (bias, stride, padding, output_padding, groups, dilation)
        return _transposed(x[None], w, *args)[0]
    steps, gaps, margins = _each(stride, axes), _each(dilation, axes), _each(padding, axes)
    more = _each(output_padding, axes)
    whole = [
        (n - 1) * s + (k - 1) * d + 1 + extra
        for n, s, k, d, extra in zip(x.shape[2:], steps, w.shape[2:], gaps, more, strict=True)
    ]
    channels, outputs = w.shape[0] // groups, w.shape[1]
    result = np.zeros((x.shape[0], outputs * groups, *whole), np.result_type(x, w))
    for group in range(groups):
        part = x[:, group * channels : (group + 1) * channels]
        kernel = w[group * channels : (group + 1) * channels]
        for tap in product(*map(range, w.shape[2:])):
            place = tuple(
                slice(k * d, k * d + (n - 1) * s + 1, s)
                for k, d, n, s in zip(tap, gaps, x.shape[2:], steps, strict=True)
            )
            share = np.einsum("nc...,co->no...", part, kernel[(slice(None), slice(None), *tap)])
            into = (slice(None), slice(group * outputs, (group + 1) * outputs), *place)
            result[into] += share
    inside = tuple(slice(m, n - m) for m, n in zip(margins, whole, strict=True))
    result = result[(slice(None), slice(None), *inside)]
    return result if bias is None else result + bias.reshape(-1, *(1,) * axes)


def _unfold(
    x: Array, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Array:
    if x.ndim == 3:
        return _unfold(x[None], kernel_size, dilation, padding, stride)[0]
    (kh, kw), (dh, dw), (sh, sw) = (_each(v, 2) for v in (kernel_size, dilation, stride))
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in _each(padding, 2))])
    rows = range(0, x.shape[2] - (kh - 1) * dh, sh)
    columns = range(0, x.shape[3] - (kw - 1) * dw, sw)
    windows = [
        x[:, :, r : r + (kh - 1) * dh + 1 : dh, c : c + (kw - 1) * dw + 1 : dw].reshape(
            x.shape[0], x.shape[1] * kh * kw
        )
        for r, c in product(rows, columns)
    ]
    return np.stack(windows, -1)


def _fold(
    x: Array,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Array:
    """The transpose of unfold, found from where unfold takes each element."""
    if x.ndim == 2:
        return _fold(x[None], output_size, kernel_size, dilation, padding, stride)[0]
    height, width = _each(output_size, 2)
    channels = int(x.shape[-2]) // int(np.prod(_each(kernel_size, 2)))
    # 0 stands for the padding.
    numbers: Array = np.asarray(range(1, 1 + channels * height * width))
    image = numbers.reshape((1, channels, height, width))
    places = _unfold(image, kernel_size, dilation, padding, stride)[0]
    result = np.zeros((x.shape[0], 1 + channels * height * width), x.dtype)
    for row, sums in zip(x, result, strict=True):
        np.add.at(sums, places, row)
    return result[:, 1:].reshape(x.shape[0], channels, height, width)


def _cases(rng: np.random.Generator, axes: int) -> list[Case]:
    """Cases of a convolution along so many axes: the sizes of the others are 1."""

    def of(label: str, data: Sequence[int], kernel: Sequence[int], **options: object) -> Case:
        ones = (1,) * (axes - 1)
        inputs: list[Input] = [drawn(rng, (*data, *ones)), drawn(rng, (*kernel, *ones))]
        if options.pop("bias", False):
            inputs.append(drawn(rng, (kernel[0],)))
        for name, value in options.items():
            if isinstance(value, int) and name in ("padding", "dilation"):
                options[name] = (value, *(0 if name == "padding" else 1 for _ in ones))
        return Case(label, tuple(inputs), options)

    wide = (1, 2, *(3, 4, 2)[:axes]), (2, 2, *(2, 3, 1)[:axes])
    flipped = drawn(rng, tuple(reversed(wide[0])))
    return [
        of("size 1", (1, 1, 1), (1, 1, 1)),
        of("odd sizes", (2, 3, 7), (5, 3, 3), bias=True),
        of("without batch", (3, 5), (2, 3, 2), bias=True),
        of("empty batch", (0, 2, 5), (3, 2, 2)),
        of("padding", (1, 2, 4), (2, 2, 3), padding=1, bias=True),
        of("more padding than kernel", (1, 1, 2), (1, 1, 2), padding=3),
        of("stride with a rest", (1, 2, 9), (2, 2, 2), stride=(3, *(1,) * (axes - 1))),
        of("dilation", (1, 2, 8), (2, 2, 3), dilation=2, padding=1),
        of("groups", (2, 4, 5), (6, 2, 3), groups=2, bias=True),
        of("a group for each channel", (1, 3, 5), (6, 1, 2), groups=3),
        of("same padding", (1, 2, 5), (2, 2, 3), padding="same"),
        of("valid padding", (1, 2, 5), (2, 2, 3), padding="valid"),
        Case("all axes", (drawn(rng, wide[0]), drawn(rng, wide[1])), {"padding": 1, "stride": 2}),
        Case("permuted view", (View(flipped.T, "permuted"), drawn(rng, wide[1]))),
        Case(
            "expanded view",
            (
                View(np.broadcast_to(drawn(rng, wide[0]), (2, *wide[0][1:])), "expanded"),
                drawn(rng, wide[1]),
            ),
        ),
        Case("sliced view", (View(drawn(rng, wide[0]), "sliced"), drawn(rng, wide[1]))),
        Case("double", tuple(drawn(rng, s, dtype=np.float64) for s in wide)),
    ]


def _transposed_cases(rng: np.random.Generator, axes: int) -> list[Case]:
    def of(label: str, data: Sequence[int], kernel: Sequence[int], **options: object) -> Case:
        ones = (1,) * (axes - 1)
        inputs: list[Input] = [drawn(rng, (*data, *ones)), drawn(rng, (*kernel, *ones))]
        groups = options.get("groups", 1)
        assert isinstance(groups, int)
        if options.pop("bias", False):
            inputs.append(drawn(rng, (kernel[1] * groups,)))
        for name in ("stride", "padding", "output_padding", "dilation"):
            if name in options:
                plain = 0 if "padding" in name else 1
                options[name] = (options[name], *(plain for _ in ones))
        return Case(label, tuple(inputs), options)

    wide = (2, 3, *(3, 2)[:axes]), (3, 2, *(2, 3)[:axes])
    return [
        of("size 1", (1, 1, 1), (1, 1, 1)),
        of("odd sizes", (2, 3, 5), (3, 2, 3), bias=True),
        of("without batch", (3, 4), (3, 2, 2), bias=True),
        of("empty batch", (0, 2, 3), (2, 3, 2)),
        of("stride", (1, 2, 4), (2, 3, 3), stride=2),
        of("stride beyond the kernel", (1, 2, 3), (2, 1, 1), stride=3),
        of("padding", (1, 2, 4), (2, 2, 3), padding=1, stride=2, bias=True),
        of("more padding than kernel", (1, 1, 6), (1, 1, 2), padding=2),
        of("output padding", (1, 2, 3), (2, 2, 2), stride=3, output_padding=2),
        of("dilation", (1, 2, 3), (2, 2, 3), dilation=2, padding=1),
        of("groups", (2, 4, 3), (4, 3, 2), groups=2, stride=2, bias=True),
        Case("all axes", (drawn(rng, wide[0]), drawn(rng, wide[1])), {"stride": 2, "padding": 1}),
        Case("sliced view", (View(drawn(rng, wide[0]), "sliced"), drawn(rng, wide[1]))),
    ]


def _unfold_cases(rng: np.random.Generator) -> list[Case]:
    calls: dict[str, tuple[Sequence[int], dict[str, object]]] = {
        "size 1": ((1, 1, 1, 1), {"kernel_size": 1}),
        "odd sizes": ((2, 3, 5, 7), {"kernel_size": 3}),
        "two sizes": ((1, 2, 4, 5), {"kernel_size": (2, 3)}),
        "without batch": ((2, 4, 4), {"kernel_size": 2}),
        "empty batch": ((0, 2, 4, 4), {"kernel_size": 2}),
        "padding": ((1, 2, 3, 3), {"kernel_size": 2, "padding": 1}),
        "stride": ((1, 1, 5, 6), {"kernel_size": 2, "stride": (2, 3)}),
        "windows side by side": ((1, 2, 4, 6), {"kernel_size": (2, 3), "stride": (2, 3)}),
        "dilation": ((1, 1, 5, 6), {"kernel_size": 2, "dilation": (2, 3)}),
        "everything": (
            (2, 2, 5, 4),
            {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (1, 0), "stride": (2, 1)},
        ),
    }
    views = drawn(rng, (2, 2, 3, 4))
    return [
        *(Case(label, (drawn(rng, shape),), given) for label, (shape, given) in calls.items()),
        Case("permuted view", (View(views, "permuted"),), {"kernel_size": 2}),
        Case("sliced view", (View(views, "sliced"),), {"kernel_size": 2}),
    ]


def _fold_cases(rng: np.random.Generator) -> list[Case]:
    calls: dict[str, tuple[Sequence[int], dict[str, object]]] = {
        "size 1": ((1, 1, 1), {"output_size": 1, "kernel_size": 1}),
        "odd sizes": ((2, 18, 15), {"output_size": (5, 7), "kernel_size": 3}),
        "two sizes": ((1, 12, 9), {"output_size": (4, 5), "kernel_size": (2, 3)}),
        "without batch": ((8, 9), {"output_size": 4, "kernel_size": 2}),
        "empty batch": ((0, 8, 9), {"output_size": 4, "kernel_size": 2}),
        "padding": ((1, 4, 16), {"output_size": 3, "kernel_size": 2, "padding": 1}),
        "stride": ((1, 4, 4), {"output_size": (5, 6), "kernel_size": 2, "stride": (2, 3)}),
        "windows side by side": (
            (1, 12, 4),
            {"output_size": (4, 6), "kernel_size": (2, 3), "stride": (2, 3)},
        ),
        "dilation": ((1, 4, 9), {"output_size": (5, 6), "kernel_size": 2, "dilation": (2, 3)}),
        "everything": (
            (2, 12, 6),
            {
                "output_size": (5, 4),
                "kernel_size": (3, 2),
                "dilation": (1, 2),
                "padding": (1, 0),
                "stride": (2, 1),
            },
        ),
    }
    return [Case(label, (drawn(rng, shape),), given) for label, (shape, given) in calls.items()]


def _ones(*shape: int, dtype: Any = np.float32) -> Array:
    return np.ones(shape, dtype)


def _errors(axes: int) -> tuple[ErrorCase, ...]:
    size = (4,) * axes
    x, w = _ones(1, 3, *size), _ones(2, 3, *(2,) * axes)
    strided = {"padding": "same", "stride": 2}
    return (
        ErrorCase("channels", (x, w), RuntimeError, {"groups": 2}, match="channels do not go"),
        ErrorCase("kernel too large", (x, _ones(2, 3, *(5,) * axes)), RuntimeError, {}, "larger"),
        ErrorCase("two dtypes", (x, w.astype(np.int64)), RuntimeError, match="one dtype"),
        ErrorCase("rank", (_ones(2), w), RuntimeError, match="spatial axes"),
        ErrorCase("stride 0", (x, w), RuntimeError, {"stride": 0}, match="stride"),
        ErrorCase("negative padding", (x, w), RuntimeError, {"padding": -1}, match="padding"),
        ErrorCase("same with strides", (x, w), RuntimeError, strided, match="keeps the size"),
        ErrorCase("bias", (x, w, _ones(5)), RuntimeError, match="bias has one element"),
    )


def _transposed_errors(axes: int) -> tuple[ErrorCase, ...]:
    x, w = _ones(1, 3, *(2,) * axes), _ones(3, 2, *(2,) * axes)
    return (
        ErrorCase("channels", (_ones(1, 2, *(2,) * axes), w), RuntimeError, match="channels do"),
        ErrorCase("output padding", (x, w), RuntimeError, {"output_padding": 1}, "output_padding"),
        ErrorCase("nothing left", (x, w), RuntimeError, {"padding": 3}, "nothing is left"),
    )


FUNCTIONS: tuple[Function, ...] = (
    *(
        Function(
            f"F.conv{axes}d",
            by_name(f"F.conv{axes}d"),
            _convolution,
            lambda rng, axes=axes: _cases(rng, axes),
            _errors(axes),
        )
        for axes in (1, 2, 3)
    ),
    *(
        Function(
            f"F.conv_transpose{axes}d",
            by_name(f"F.conv_transpose{axes}d"),
            _transposed,
            lambda rng, axes=axes: _transposed_cases(rng, axes),
            _transposed_errors(axes),
        )
        for axes in (1, 2)
    ),
    Function(
        "F.unfold",
        by_name("F.unfold"),
        _unfold,
        _unfold_cases,
        (
            ErrorCase(
                "window too large", (_ones(1, 1, 2, 2),), RuntimeError, {"kernel_size": 3}, "larger"
            ),
        ),
    ),
    Function(
        "F.fold",
        by_name("F.fold"),
        _fold,
        _fold_cases,
        (
            ErrorCase(
                "columns",
                (_ones(1, 4, 8),),
                RuntimeError,
                {"output_size": 4, "kernel_size": 2},
                "no columns",
            ),
        ),
    ),
)
