# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.
"""Functions that rearrange elements: views, joins, splits, conversions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from picograd.check.functions.cases import drawn, shape_cases
from picograd.check.functions.table import Case, ErrorCase, Formula, Function, View, by_name

Calls = Mapping[str, tuple[Sequence[int], Mapping[str, object]]]

_ONES = np.ones((2, 3), np.float32)


_TOO_MANY = ErrorCase("an argument too many", (_ONES, 1.0), TypeError, match="argument")


def _does_not_fit(label: str, match: str = "", **options: object) -> ErrorCase:
    return ErrorCase(label, (_ONES,), RuntimeError, options, match)


def _no_axis(match: str = "axis", **options: object) -> ErrorCase:
    return ErrorCase("no such axis", (_ONES,), IndexError, options, match)


def moving(
    name: str,
    numpy: Formula,
    call: Formula | None,
    calls: Calls,
    errors: Sequence[ErrorCase],
    *,
    also: Sequence[str] = (),
    views: Sequence[int] = (3, 2),
    options: Mapping[str, object] | None = None,
    differentiable: bool = True,
) -> Function:
    """A row of a function that moves elements; `calls` as in `shape_cases`."""
    return Function(
        name,
        call or by_name(name),
        numpy,
        lambda rng: shape_cases(rng, calls, views=views, options=options),
        tuple(errors),
        differentiable,
        also=tuple(also),
    )


def _flattened(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    if np.ndim(x) == 0:
        return np.reshape(x, 1)
    first, last = start_dim % x.ndim, end_dim % x.ndim
    merged = int(np.prod(x.shape[first : last + 1]))
    return x.reshape(*x.shape[:first], merged, *x.shape[last + 1 :])


def _squeezed(x: Any, dim: Any = None) -> Any:
    axes = range(x.ndim) if dim is None else np.atleast_1d(dim)
    chosen = tuple(int(a) % x.ndim for a in axes if x.ndim and x.shape[int(a)] == 1)
    return np.squeeze(x, chosen)


def _narrowed(x: Any, dim: int, start: int, length: int) -> Any:
    return np.take(
        x, range(start % max(x.shape[dim], 1), start % max(x.shape[dim], 1) + length), dim
    )


def _parts(x: Any, split_size: int, dim: int = 0) -> list[Any]:
    limits = range(split_size, max(x.shape[dim], 1), split_size)
    return np.split(x, limits, dim)


def _chunks(x: Any, chunks: int, dim: int = 0) -> list[Any]:
    return _parts(x, max(-(-x.shape[dim] // chunks), 1), dim)


def _unbound(x: Any, dim: int = 0) -> list[Any]:
    return [np.take(x, i, dim) for i in range(x.shape[dim])]


def _flipped(x: Any, dims: Sequence[int]) -> Any:
    return np.flip(x, tuple(dims)) if np.ndim(x) else x


FUNCTIONS: tuple[Function, ...] = (
    moving(
        "torch.reshape",
        lambda x, shape: x.reshape(shape),
        lambda torch, x, shape: torch.reshape(x, shape),
        {
            "rank 0": ((), {"shape": (1, 1)}),
            "to rank 0": ((1, 1), {"shape": ()}),
            "empty": ((0, 3), {"shape": (3, 0, 2)}),
            "size 1": ((1,), {"shape": (1, 1, 1)}),
            "odd sizes": ((3, 5), {"shape": (5, 3)}),
            "a size left open": ((2, 3, 4), {"shape": (4, -1)}),
        },
        (
            _does_not_fit("another number", "do not fill", shape=(4, 2)),
            _does_not_fit("two open", shape=(-1, -1)),
        ),
        options={"shape": (2, 3)},
    ),
    Function(
        "Tensor.view",
        lambda torch, x, shape: x.view(shape),
        lambda x, shape: x.reshape(shape),
        lambda rng: (
            [
                Case(label, (drawn(rng, shape),), {"shape": to})
                for label, shape, to in (
                    ("rank 0", (), (1, 1)),
                    ("to rank 0", (1, 1), ()),
                    ("empty", (0, 3), (3, 0, 2)),
                    ("size 1", (1,), (1, 1, 1)),
                    ("odd sizes", (3, 5), (5, 3)),
                    ("a size left open", (2, 3, 4), (4, -1)),
                    ("axes split", (6, 4), (2, 3, 2, 2)),
                    ("axes merged", (2, 3, 4), (2, 12)),
                )
            ]
            + [
                Case(
                    "permuted view", (View(drawn(rng, (3, 4)), "permuted"),), {"shape": (3, 2, 2)}
                ),
                Case(
                    "expanded view", (View(drawn(rng, (2, 4)), "expanded"),), {"shape": (2, 2, 2)}
                ),
                Case("sliced view", (View(drawn(rng, (3, 4)), "sliced"),), {"shape": (3, 2, 2)}),
                Case("int64", (drawn(rng, (2, 3), (-9, 9), dtype=np.int64),), {"shape": (6,)}),
            ]
        ),
        (
            _does_not_fit("another number", "do not fill", shape=(4, 2)),
            ErrorCase(
                "a view that must copy",
                (View(np.ones((3, 4), np.float32), "permuted"),),
                RuntimeError,
                {"shape": (12,)},
                match="without copying",
            ),
        ),
    ),
    moving(
        "torch.flatten",
        _flattened,
        None,
        {
            "rank 0": ((), {}),
            "empty": ((0, 3), {}),
            "size 1": ((1, 1), {}),
            "odd sizes": ((3, 5), {}),
            "rank 3, from 1": ((2, 3, 2), {"start_dim": 1}),
            "rank 3, to -2": ((2, 3, 2), {"end_dim": -2}),
        },
        (_does_not_fit("backwards", "after", start_dim=1, end_dim=0), _no_axis(start_dim=2)),
    ),
    moving(
        "torch.permute",
        lambda x, dims: np.transpose(x, dims),
        None,
        {
            "rank 0": ((), {"dims": ()}),
            "empty": ((0, 3), {"dims": (1, 0)}),
            "size 1": ((1, 1), {"dims": (1, 0)}),
            "odd sizes": ((3, 5), {"dims": (1, 0)}),
            "rank 3": ((2, 3, 4), {"dims": (2, 0, 1)}),
            "negative axes": ((2, 3, 4), {"dims": (-1, 0, -2)}),
        },
        (_does_not_fit("an axis twice", "once", dims=(0, 0)), _no_axis(dims=(0, 2))),
        options={"dims": (1, 0)},
    ),
    moving(
        "torch.transpose",
        lambda x, dim0, dim1: np.swapaxes(x, dim0, dim1) if np.ndim(x) else x,
        None,
        {
            "rank 0": ((), {"dim0": 0, "dim1": -1}),
            "empty": ((0, 3), {"dim0": 0, "dim1": 1}),
            "size 1": ((1, 1), {"dim0": 0, "dim1": 1}),
            "odd sizes": ((3, 5), {"dim0": 0, "dim1": 1}),
            "rank 3": ((2, 3, 4), {"dim0": 0, "dim1": -1}),
        },
        (_no_axis(dim0=0, dim1=2),),
        options={"dim0": 1, "dim1": 0},
    ),
    moving(
        "torch.t",
        np.transpose,
        None,
        {
            "rank 0": ((), {}),
            "rank 1": ((3,), {}),
            "empty": ((0, 3), {}),
            "size 1": ((1, 1), {}),
            "odd sizes": ((3, 5), {}),
        },
        (ErrorCase("rank 3", (np.ones((2, 2, 2), np.float32),), RuntimeError, match="matrices"),),
    ),
    moving(
        "Tensor.T",
        np.transpose,
        lambda torch, x: x.T,
        {"empty": ((0, 3), {}), "size 1": ((1, 1), {}), "odd sizes": ((3, 5), {})},
        (),
    ),
    moving(
        "Tensor.mT",
        lambda x: np.swapaxes(x, -1, -2),
        lambda torch, x: x.mT,
        {
            "empty": ((0, 3), {}),
            "size 1": ((1, 1), {}),
            "odd sizes": ((3, 5), {}),
            "rank 3": ((2, 3, 4), {}),
        },
        (ErrorCase("rank 1", (np.ones(3, np.float32),), RuntimeError),),
    ),
    moving(
        "torch.broadcast_to",
        lambda x, size: np.broadcast_to(x, size),
        lambda torch, x, size: torch.broadcast_to(x, size),
        {
            "rank 0": ((), {"size": (2, 3)}),
            "empty": ((0, 1), {"size": (0, 3)}),
            "to empty": ((1, 3), {"size": (0, 3)}),
            "size 1": ((1,), {"size": (4,)}),
            "odd sizes": ((3, 1), {"size": (2, 3, 5)}),
            "rank 3": ((2, 1, 3), {"size": (2, 4, 3)}),
        },
        (
            _does_not_fit("another size", "expand", size=(2, 4)),
            _does_not_fit("less axes", size=(3,)),
        ),
        options={"size": (2, 3, 2)},
    ),
    moving(
        "Tensor.expand",
        lambda x, size: np.broadcast_to(
            x, [o if s == -1 else s for s, o in zip(size, (1, *x.shape), strict=True)]
        ),
        lambda torch, x, size: x.expand(size),
        {
            "size 1": ((1,), {"size": (4, -1)}),
            "odd sizes": ((3, 1), {"size": (2, 3, 5)}),
            "a size kept": ((3, 1), {"size": (2, -1, 5)}),
            "empty": ((0, 1), {"size": (2, 0, 3)}),
            "rank 3": ((2, 1, 3), {"size": (1, 2, 4, 3)}),
        },
        (
            _does_not_fit("another size", "expand", size=(2, 4)),
            _does_not_fit("less axes", size=(3,)),
        ),
        options={"size": (2, 3, 2)},
    ),
    moving(
        "torch.squeeze",
        _squeezed,
        None,
        {
            "rank 0": ((), {}),
            "empty": ((0, 1), {}),
            "size 1": ((1, 1), {}),
            "odd sizes": ((3, 1, 5), {}),
            "an axis": ((1, 3, 1), {"dim": 0}),
            "a longer axis": ((2, 3, 1), {"dim": 1}),
            "several axes": ((1, 3, 1), {"dim": (0, -1)}),
        },
        (_no_axis(dim=2),),
        views=(3, 1),
    ),
    moving(
        "torch.unsqueeze",
        lambda x, dim: np.expand_dims(x, dim),
        None,
        {
            "rank 0": ((), {"dim": 0}),
            "empty": ((0, 3), {"dim": 1}),
            "size 1": ((1,), {"dim": -1}),
            "odd sizes": ((3, 5), {"dim": -3}),
            "rank 3": ((2, 1, 3), {"dim": 2}),
        },
        (_no_axis(dim=3),),
        options={"dim": 1},
    ),
    moving(
        "torch.narrow",
        _narrowed,
        None,
        {
            "size 1": ((1,), {"dim": 0, "start": 0, "length": 1}),
            "empty": ((2, 0), {"dim": 1, "start": 0, "length": 0}),
            "empty result": ((3,), {"dim": 0, "start": 1, "length": 0}),
            "odd sizes": ((3, 5), {"dim": 1, "start": 1, "length": 3}),
            "from the end": ((3, 5), {"dim": -1, "start": -2, "length": 2}),
            "rank 3": ((2, 3, 4), {"dim": 1, "start": 1, "length": 2}),
        },
        (
            _does_not_fit("too long", "narrow", dim=1, start=2, length=2),
            _no_axis(dim=2, start=0, length=1),
        ),
        options={"dim": 0, "start": 1, "length": 2},
    ),
    moving(
        "torch.split",
        _parts,
        lambda torch, x, split_size, dim=0: torch.split(x, split_size, dim),
        {
            "size 1": ((1,), {"split_size": 1}),
            "empty": ((0, 3), {"split_size": 2}),
            "odd sizes": ((3, 5), {"split_size": 2, "dim": 1}),
            "larger than the axis": ((3, 5), {"split_size": 9}),
            "rank 3": ((2, 3, 4), {"split_size": 1, "dim": -2}),
        },
        (
            _does_not_fit("a negative size", "positive", split_size=-1),
            _no_axis(split_size=1, dim=2),
        ),
        options={"split_size": 2},
    ),
    moving(
        "torch.chunk",
        _chunks,
        None,
        {
            "size 1": ((1,), {"chunks": 1}),
            "empty": ((0, 3), {"chunks": 1}),
            "odd sizes": ((3, 5), {"chunks": 3, "dim": 1}),
            "more than elements": ((3, 5), {"chunks": 9}),
            "rank 3": ((2, 3, 4), {"chunks": 2, "dim": -1}),
        },
        (_does_not_fit("no chunks", chunks=0), _no_axis(chunks=1, dim=2)),
        options={"chunks": 2},
    ),
    moving(
        "torch.unbind",
        _unbound,
        None,
        {
            "size 1": ((1,), {}),
            "empty elements": ((2, 0), {}),
            "odd sizes": ((3, 5), {}),
            "last axis": ((3, 5), {"dim": -1}),
            "rank 3": ((2, 3, 4), {"dim": 1}),
        },
        (_no_axis(dim=2),),
    ),
    moving(
        "torch.flip",
        _flipped,
        None,
        {
            "rank 0": ((), {"dims": ()}),
            "empty": ((0, 3), {"dims": (0,)}),
            "size 1": ((1,), {"dims": (0,)}),
            "odd sizes": ((3, 5), {"dims": (1,)}),
            "several axes": ((2, 3, 4), {"dims": (0, -1)}),
            "no axes": ((2, 3), {"dims": ()}),
        },
        (_no_axis(dims=(2,)), _does_not_fit("an axis twice", dims=(0, 0))),
        options={"dims": (0,)},
    ),
    moving(
        "torch.clone",
        np.copy,
        None,
        {
            "rank 0": ((), {}),
            "empty": ((0, 3), {}),
            "size 1": ((1,), {}),
            "odd sizes": ((3, 5), {}),
            "rank 3": ((2, 1, 3), {}),
        },
        (ErrorCase("a list is no tensor", ([1.0],), TypeError, match="tensor"),),
    ),
    moving(
        "Tensor.contiguous",
        np.copy,
        None,
        {
            "rank 0": ((), {}),
            "empty": ((0, 3), {}),
            "size 1": ((1,), {}),
            "odd sizes": ((3, 5), {}),
            "rank 3": ((2, 1, 3), {}),
        },
        (_TOO_MANY,),
    ),
    moving(
        "Tensor.detach",
        np.copy,
        None,
        {
            "rank 0": ((), {}),
            "empty": ((0, 3), {}),
            "size 1": ((1,), {}),
            "odd sizes": ((3, 5), {}),
            "rank 3": ((2, 1, 3), {}),
        },
        (_TOO_MANY,),
        differentiable=False,
    ),
)
