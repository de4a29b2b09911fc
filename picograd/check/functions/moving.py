"""Elements in other places: rolled, turned, repeated, cut to triangles."""

# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from picograd.check.functions.cases import drawn, shape_cases
from picograd.check.functions.elementwise import NO_TENSOR
from picograd.check.functions.table import (
    Case,
    ErrorCase,
    Formula,
    Function,
    View,
    by_name,
    in_place,
    resolve,
)

_MATRIX = (np.ones((2, 3), np.float32),)
_VECTOR = (np.ones(3, np.float32),)
_CUBE = (np.ones((2, 2, 2), np.float32),)

Calls = Mapping[str, tuple[Sequence[int], Mapping[str, object]]]


def moving(
    name: str,
    numpy: Formula,
    calls: Calls,
    *,
    call: Formula | None = None,
    errors: tuple[ErrorCase, ...] = (NO_TENSOR,),
    also: tuple[str, ...] = (),
    **given: Any,
) -> Function:
    """A row of a function that moves elements; `given` goes to `shape_cases`."""
    return Function(
        name,
        by_name(name) if call is None else call,
        numpy,
        lambda rng: shape_cases(rng, calls, **given),
        errors,
        also=also,
    )


def method(name: str) -> Formula:
    """The `call` of a method whose arguments go by position."""

    def call(torch: Any, x: Any, args: Any = (), **options: Any) -> Any:
        return getattr(resolve(torch, "Tensor"), name)(x, *args, **options)

    return call


def _roll(x: Any, shifts: Any, dims: Any = None) -> Any:
    return np.roll(x, shifts, dims)


def _trace(x: Any) -> Any:
    return np.trace(x, dtype=np.int64 if x.dtype.kind in "bi" else x.dtype)


def _diagonal_embedded(x: Any, offset: int = 0) -> Any:
    size = x.shape[-1] + abs(offset)
    result = np.zeros((*x.shape[:-1], size, size), x.dtype)
    place = np.arange(x.shape[-1])
    result[..., place + max(-offset, 0), place + max(offset, 0)] = x
    return result


def _pixels(x: Any, upscale_factor: int) -> Any:
    r, shape = upscale_factor, x.shape
    result = np.zeros((*shape[:-3], shape[-3] // r**2, shape[-2] * r, shape[-1] * r), x.dtype)
    for down in range(r):
        for right in range(r):
            result[..., down::r, right::r] = x[..., down * r + right :: r * r, :, :]
    return result


def _squares(x: Any, downscale_factor: int) -> Any:
    r, shape = downscale_factor, x.shape
    result = np.zeros((*shape[:-3], shape[-3] * r**2, shape[-2] // r, shape[-1] // r), x.dtype)
    for down in range(r):
        for right in range(r):
            result[..., down * r + right :: r * r, :, :] = x[..., down::r, right::r]
    return result


_TRIANGLES: Calls = {
    "square": ((3, 3), {}),
    "wide": ((3, 5), {"diagonal": 1}),
    "tall": ((5, 3), {"diagonal": -2}),
    "far away": ((2, 3), {"diagonal": 9}),
    "batch": ((2, 3, 3), {"diagonal": -1}),
    "empty": ((0, 3), {}),
    "size 1": ((1, 1), {}),
}

FUNCTIONS: tuple[Function, ...] = (
    moving(
        "torch.roll",
        _roll,
        {
            "flat": ((3, 5), {"shifts": 4}),
            "one axis": ((3, 5), {"shifts": 2, "dims": 1}),
            "backwards": ((3, 5), {"shifts": -1, "dims": 0}),
            "two axes": ((3, 5), {"shifts": (1, -7), "dims": (0, 1)}),
            "one axis twice": ((5,), {"shifts": (1, 1), "dims": (0, 0)}),
            "empty": ((0, 3), {"shifts": 1, "dims": 0}),
            "rank 0": ((), {"shifts": 1}),
        },
        options={"shifts": 1, "dims": 0},
        errors=(
            ErrorCase("shifts", _MATRIX, RuntimeError, {"shifts": (1, 2), "dims": 0}, "one shift"),
        ),
    ),
    moving(
        "torch.flipud",
        np.flipud,
        {"vector": ((5,), {}), "rank 3": ((2, 3, 2), {}), "size 1": ((1, 1), {})},
        errors=(ErrorCase("rank 0", (np.float32(1),), RuntimeError, match="rank 1"),),
    ),
    moving(
        "torch.fliplr",
        np.fliplr,
        {"matrix": ((2, 5), {}), "rank 3": ((2, 3, 2), {}), "empty": ((0, 2), {})},
        errors=(ErrorCase("a vector", _VECTOR, RuntimeError, match="rank 2"),),
    ),
    moving(
        "torch.rot90",
        lambda x, k=1, dims=(0, 1): np.rot90(x, k, dims),
        {
            **{f"{k} times": ((2, 3), {"k": k}) for k in (-1, 0, 1, 2, 3, 6)},
            "other axes": ((2, 3, 4), {"k": 1, "dims": (2, 0)}),
            "empty": ((0, 3), {}),
        },
        errors=(ErrorCase("one axis", _MATRIX, RuntimeError, {"dims": (0, 0)}, "two"),),
    ),
    moving(
        "Tensor.repeat",
        lambda x, args: np.tile(x, args),
        {
            "vector": ((3,), {"args": (2,)}),
            "new axes": ((3,), {"args": (2, 1, 2)}),
            "matrix": ((2, 3), {"args": (3, 2)}),
            "none": ((2, 3), {"args": (0, 1)}),
            "rank 0": ((), {"args": (3,)}),
            "empty": ((0, 2), {"args": (2, 2)}),
        },
        call=method("repeat"),
        options={"args": (1, 2)},
        errors=(ErrorCase("fewer", _MATRIX, RuntimeError, {"args": (2,)}, "repeat says"),),
    ),
    moving(
        "torch.tile",
        lambda x, dims: np.tile(x, dims),
        {
            "vector": ((3,), {"dims": (2,)}),
            "fewer": ((2, 3), {"dims": (2,)}),
            "more": ((3,), {"dims": (2, 2)}),
            "rank 0": ((), {"dims": (2,)}),
        },
        options={"dims": (2, 1)},
    ),
    moving(
        "torch.repeat_interleave",
        lambda x, repeats, dim=None: np.repeat(x, repeats, dim),
        {
            "flat": ((2, 3), {"repeats": 2}),
            "rows": ((2, 3), {"repeats": 3, "dim": 0}),
            "columns": ((2, 3), {"repeats": 2, "dim": -1}),
            "none": ((2, 3), {"repeats": 0, "dim": 0}),
            "rank 0": ((), {"repeats": 2}),
            "empty": ((0, 2), {"repeats": 2, "dim": 0}),
        },
        options={"repeats": 2, "dim": 1},
        errors=(ErrorCase("negative", _MATRIX, RuntimeError, {"repeats": -1}, "negative"),),
    ),
    moving(
        "torch.movedim",
        lambda x, source, destination: np.moveaxis(x, source, destination),
        {
            "one": ((2, 3, 4), {"source": 0, "destination": -1}),
            "two": ((2, 3, 4), {"source": (0, 1), "destination": (1, 2)}),
            "none": ((2, 3), {"source": 1, "destination": 1}),
        },
        options={"source": 0, "destination": 1},
        errors=(
            ErrorCase("twice", _CUBE, RuntimeError, {"source": (0, 0), "destination": (0, 1)}),
        ),
        also=("torch.moveaxis",),
    ),
    *(
        moving(
            f"Tensor.{name}",
            lambda x, args: np.swapaxes(x, *args),
            {"rank 3": ((2, 3, 4), {"args": (0, 2)}), "itself": ((2, 3), {"args": (1, 1)})},
            call=method(name),
            options={"args": (0, 1)},
            errors=(ErrorCase("no axis", _MATRIX, IndexError, {"args": (0, 2)}),),
        )
        for name in ("swapaxes", "swapdims")
    ),
    moving(
        "torch.unflatten",
        lambda x, dim, sizes: x.reshape((*x.shape[:dim], *sizes, *x.shape[dim + 1 :])),
        {
            "first": ((6, 2), {"dim": 0, "sizes": (2, 3)}),
            "rest": ((6, 2), {"dim": 0, "sizes": (2, -1)}),
            "one": ((3, 2), {"dim": 1, "sizes": (1, 2, 1)}),
        },
        options={"dim": 0, "sizes": (3, 1)},
        errors=(ErrorCase("sizes", _MATRIX, RuntimeError, {"dim": 1, "sizes": (2, 2)}, "fill"),),
    ),
    moving(
        "torch.tril",
        lambda x, diagonal=0: np.tril(x, diagonal),
        _TRIANGLES,
        errors=(ErrorCase("a vector", _VECTOR, RuntimeError, match="matrices"),),
    ),
    moving(
        "torch.triu",
        lambda x, diagonal=0: np.triu(x, diagonal),
        _TRIANGLES,
        errors=(ErrorCase("a vector", _VECTOR, RuntimeError, match="matrices"),),
    ),
    moving(
        "Tensor.tril_",
        lambda x, diagonal=0: np.tril(x, diagonal),
        _TRIANGLES,
        call=in_place("tril_"),
        errors=(),
    ),
    moving(
        "torch.diagonal",
        lambda x, offset=0, dim1=0, dim2=1: np.diagonal(x, offset, dim1, dim2),
        {
            "square": ((3, 3), {}),
            "above": ((3, 5), {"offset": 2}),
            "below": ((5, 3), {"offset": -1}),
            "outside": ((2, 3), {"offset": 4}),
            "batch": ((2, 3, 4), {"dim1": -2, "dim2": -1}),
            "turned": ((2, 3, 4), {"dim1": 2, "dim2": 0}),
            "empty": ((0, 3), {}),
        },
        errors=(ErrorCase("one axis", _MATRIX, RuntimeError, {"dim2": 0}, "two"),),
    ),
    moving(
        "torch.diag",
        lambda x, diagonal=0: np.diag(x, diagonal),
        {
            "vector": ((3,), {}),
            "vector above": ((3,), {"diagonal": 1}),
            "vector below": ((2,), {"diagonal": -2}),
            "matrix": ((3, 4), {"diagonal": 1}),
            "size 1": ((1,), {}),
        },
        errors=(ErrorCase("rank 3", _CUBE, RuntimeError, match="vector or a matrix"),),
    ),
    moving(
        "torch.diag_embed",
        _diagonal_embedded,
        {
            "vector": ((3,), {}),
            "batch": ((2, 3), {"offset": 1}),
            "below": ((2, 3), {"offset": -2}),
            "empty": ((0,), {}),
        },
    ),
    moving(
        "torch.trace",
        _trace,
        {"square": ((3, 3), {}), "wide": ((2, 5), {}), "empty": ((0, 3), {}), "one": ((1, 1), {})},
        errors=(ErrorCase("a vector", _VECTOR, RuntimeError, match="matrix"),),
        dtypes=False,
    ),
    *(
        Function(
            f"torch.{name}",
            lambda torch, *tensors, name=name: getattr(torch, name)(tensors),
            lambda *arrays, stack=stack: stack(arrays),
            lambda rng: [
                Case("vectors", (drawn(rng, (3,)), drawn(rng, (3,)))),
                Case("matrices", (drawn(rng, (2, 3)), drawn(rng, (2, 3)))),
                Case("rank 3", (drawn(rng, (2, 1, 3)), drawn(rng, (2, 1, 3)))),
                Case("rank 0", (drawn(rng, ()), drawn(rng, ()))),
                Case("one", (drawn(rng, (2, 2)),)),
                Case("three", tuple(drawn(rng, (2, 2)) for _ in range(3))),
                Case("empty", (drawn(rng, (0, 0)), drawn(rng, (0, 0)))),
                Case("permuted view", (View(drawn(rng, (2, 2)), "permuted"), drawn(rng, (2, 2)))),
                Case("expanded view", (View(drawn(rng, (2, 2)), "expanded"), drawn(rng, (2, 2)))),
                Case("mixed dtypes", (drawn(rng, (2, 2)), drawn(rng, (2, 2), dtype=np.int64))),
                Case("bools", tuple(drawn(rng, (3,), dtype=np.bool_) for _ in range(2))),
            ],
            (
                ErrorCase(
                    "sizes",
                    (np.ones((2, 2), np.float32), np.ones((3, 3), np.float32)),
                    RuntimeError,
                    match="other",
                ),
            ),
        )
        for name, stack in (("hstack", np.hstack), ("vstack", np.vstack))
    ),
    Function(
        "torch.meshgrid",
        by_name("torch.meshgrid"),
        lambda *arrays, indexing="ij": tuple(np.meshgrid(*arrays, indexing=indexing)),
        lambda rng: [
            Case(
                f"{list(sizes)} {indexing}",
                tuple(drawn(rng, (size,)) for size in sizes),
                {"indexing": indexing},
            )
            for sizes in ((3,), (2, 3), (3, 1, 2), (0, 2), (1,))
            for indexing in ("ij", "xy")
        ],
        (
            ErrorCase(
                "matrices",
                (np.ones((2, 2), np.float32),),
                RuntimeError,
                {"indexing": "ij"},
                "vectors",
            ),
        ),
    ),
    moving(
        "torch.select",
        lambda x, dim, index: np.take(x, index, dim),
        {
            "first axis": ((3, 5), {"dim": 0, "index": 1}),
            "from the end": ((3, 5, 2), {"dim": -2, "index": -1}),
            "size 1": ((1,), {"dim": 0, "index": 0}),
            "empty": ((2, 0), {"dim": 0, "index": 1}),
        },
        options={"dim": 1, "index": 1},
        errors=(
            ErrorCase("no such index", _MATRIX, IndexError, {"dim": 0, "index": 2}, "index 2"),
        ),
    ),
    moving(
        "torch.diff",
        lambda x, n=1, dim=-1: np.diff(x, n, dim),
        {
            "vector": ((5,), {}),
            "first axis": ((3, 4), {"dim": 0}),
            "twice": ((2, 5), {"n": 2}),
            "more often than there are elements": ((2, 3), {"n": 4}),
            "never": ((3,), {"n": 0}),
            "size 1": ((1,), {}),
            "empty": ((2, 0), {}),
        },
        errors=(NO_TENSOR, ErrorCase("times", _VECTOR, RuntimeError, {"n": -1}, "n")),
    ),
    moving(
        "F.pixel_shuffle",
        _pixels,
        {
            "one channel": ((4, 2, 3), {"upscale_factor": 2}),
            "more channels": ((2, 18, 2, 1), {"upscale_factor": 3}),
            "factor 1": ((1, 3, 2, 2), {"upscale_factor": 1}),
        },
        views=(2, 4, 3, 2),
        options={"upscale_factor": 2},
        errors=(ErrorCase("channels", _CUBE, RuntimeError, {"upscale_factor": 2}, "channels"),),
    ),
    moving(
        "F.pixel_unshuffle",
        _squares,
        {
            "one channel": ((1, 4, 6), {"downscale_factor": 2}),
            "more channels": ((2, 2, 3, 6), {"downscale_factor": 3}),
            "factor 1": ((1, 3, 2, 2), {"downscale_factor": 1}),
        },
        views=(2, 3, 4, 2),
        options={"downscale_factor": 2},
        errors=(ErrorCase("size", _CUBE, RuntimeError, {"downscale_factor": 3}, "downscale|3"),),
    ),
)
