# pyright: basic
# The rows are lambdas, whose arguments are arrays, or tensors of either library.
"""Functions of several tensors: joins, choices, matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from picograd.check.functions.cases import case, drawn, elementwise_cases
from picograd.check.functions.table import Case, ErrorCase, Function, View, by_name

_ONES = np.ones((2, 3), np.float32)


def _integers(rng: np.random.Generator, *shapes: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(drawn(rng, shape, (-9, 9), dtype=np.int64) for shape in shapes)


def _cat_cases(rng: np.random.Generator) -> list[Case]:
    def permuted(*shape: int) -> View:
        return View(drawn(rng, shape), "permuted")

    special = np.array([[np.nan, -0.0, np.inf]], np.float32)
    return [
        case(rng, "odd sizes", (3, 5), (2, 5), (1, 5)),
        case(rng, "last axis", (3, 5), (3, 1), dim=-1),
        case(rng, "one tensor", (3, 5)),
        case(rng, "size 1", (1,), (1,)),
        case(rng, "empty", (0, 3), (2, 3), (0, 3)),
        case(rng, "nothing at all", (0, 3), (0, 3)),
        case(rng, "rank 3", (2, 1, 3), (2, 2, 3), dim=1),
        case(rng, "rank 1", (2,), (5,)),
        case(rng, "int64", (2, 3), (1, 3), within=(-9, 9), dtype=np.int64),
        case(rng, "bools", (2, 3), (1, 3), dtype=np.bool_),
        Case("mixed dtypes", (drawn(rng, (2, 3)), *_integers(rng, (1, 3)))),
        Case("permuted view", (permuted(3, 2), permuted(1, 2))),
        Case("expanded view", (View(drawn(rng, (3, 2)), "expanded"), drawn(rng, (1, 2)))),
        Case("sliced view", (View(drawn(rng, (3, 2)), "sliced"), drawn(rng, (1, 2)))),
        Case("NaN and infinity", (special, special), {"dim": 1}, gradient=False),
    ]


def _stack_cases(rng: np.random.Generator) -> list[Case]:
    permuted = tuple(View(drawn(rng, (3, 2)), "permuted") for _ in range(2))
    special = np.array([[np.nan, -0.0, np.inf]], np.float32)
    return [
        case(rng, "rank 0", (), (), ()),
        case(rng, "odd sizes", (3, 5), (3, 5)),
        case(rng, "last axis", (3, 5), (3, 5), dim=-1),
        case(rng, "one tensor", (3, 5), dim=1),
        case(rng, "size 1", (1,), (1,)),
        case(rng, "empty", (0, 3), (0, 3)),
        case(rng, "rank 3", (2, 1, 3), (2, 1, 3), dim=1),
        case(rng, "int64", (2, 3), (2, 3), within=(-9, 9), dtype=np.int64),
        case(rng, "bools", (2, 3), (2, 3), dtype=np.bool_),
        Case("mixed dtypes", (drawn(rng, (2, 3)), *_integers(rng, (2, 3)))),
        Case("permuted view", permuted),
        Case("expanded view", (View(drawn(rng, (3, 2)), "expanded"), drawn(rng, (3, 2)))),
        Case("sliced view", (View(drawn(rng, (3, 2)), "sliced"), drawn(rng, (3, 2)))),
        Case("NaN and infinity", (special, special), {"dim": 1}, gradient=False),
    ]


def _where_cases(rng: np.random.Generator) -> list[Case]:
    def masks(*shape: int) -> Any:
        return rng.integers(0, 2, shape).astype(np.bool_)

    pairs = elementwise_cases(rng, 2, overflow=True, bools=True)
    made: list[Case] = []
    for one in pairs:
        arrays = [given.array if isinstance(given, View) else given for given in one.inputs]
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
        gradient = one.gradient or one.label not in ("NaN and infinity",)
        made.append(Case(one.label, (masks(*shape), *one.inputs), gradient=gradient))
    made.append(Case("one condition for each row", (masks(3, 1), *pairs[3].inputs)))
    made.append(Case("a condition of rank 0", (masks(), *pairs[3].inputs)))
    return made


def _product_cases(rng: np.random.Generator) -> list[Case]:
    def view(kind: Any, *shape: int) -> View:
        return View(drawn(rng, shape), kind)

    special = np.array([[np.nan, 1, 2], [np.inf, 0.5, 1], [-np.inf, -0.0, 0]], np.float32)
    return [
        case(rng, "vectors", (5,), (5,)),
        case(rng, "a matrix and a vector", (3, 5), (5,)),
        case(rng, "a vector and a matrix", (3,), (3, 5)),
        case(rng, "odd sizes", (3, 5), (5, 7)),
        case(rng, "size 1", (1, 1), (1, 1)),
        case(rng, "empty", (0, 3), (3, 2)),
        case(rng, "empty inside", (2, 0), (0, 3)),
        case(rng, "rank 3", (2, 3, 4), (2, 4, 5)),
        case(rng, "rank 3 and a matrix", (2, 3, 4), (4, 5)),
        case(rng, "a matrix and rank 3", (3, 4), (2, 4, 5)),
        case(rng, "broadcast", (2, 1, 3, 4), (3, 4, 2)),
        case(rng, "rank 3 and a vector", (2, 3, 4), (4,)),
        case(rng, "larger than a tile", (33, 65), (65, 17)),
        case(rng, "int64", (3, 4), (4, 2), within=(-9, 9), dtype=np.int64),
        case(rng, "int32", (3, 4), (4, 2), within=(-9, 9), dtype=np.int32),
        case(rng, "double", (3, 4), (4, 2), dtype=np.float64),
        Case("permuted view", (view("permuted", 3, 4), view("permuted", 4, 2))),
        Case("expanded view", (view("expanded", 3, 4), view("expanded", 4, 2))),
        Case("sliced view", (view("sliced", 3, 4), view("sliced", 4, 2))),
        Case("NaN and infinity", (special, special), gradient=False),
    ]


def _inner_cases(rng: np.random.Generator) -> list[Case]:
    def view(kind: Any) -> View:
        return View(drawn(rng, (5,)), kind)

    special = np.array([np.nan, 1, np.inf], np.float32)
    return [
        case(rng, "odd sizes", (5,), (5,)),
        case(rng, "size 1", (1,), (1,)),
        case(rng, "empty", (0,), (0,)),
        case(rng, "long", (67,), (67,)),
        case(rng, "int64", (5,), (5,), within=(-9, 9), dtype=np.int64),
        case(rng, "int32", (5,), (5,), within=(-9, 9), dtype=np.int32),
        case(rng, "double", (5,), (5,), dtype=np.float64),
        Case("permuted view", (view("permuted"), view("permuted"))),
        Case("expanded view", (view("expanded"), view("expanded"))),
        Case("sliced view", (view("sliced"), view("sliced"))),
        Case("NaN and infinity", (special, special), gradient=False),
    ]


def _linear_cases(rng: np.random.Generator) -> list[Case]:
    def view(kind: Any, *shape: int) -> View:
        return View(drawn(rng, shape), kind)

    special = np.array([[np.nan, 1], [np.inf, -1]], np.float32)
    return [
        case(rng, "without bias", (3, 5), (2, 5)),
        case(rng, "odd sizes", (3, 5), (7, 5), (7,)),
        case(rng, "rank 1", (5,), (2, 5), (2,)),
        case(rng, "rank 3", (2, 3, 5), (2, 5), (2,)),
        case(rng, "size 1", (1, 1), (1, 1), (1,)),
        case(rng, "empty", (0, 5), (2, 5), (2,)),
        case(rng, "no features", (3, 0), (2, 0), (2,)),
        case(rng, "double", (3, 5), (2, 5), (2,), dtype=np.float64),
        case(rng, "larger than a tile", (17, 33), (65, 33), (65,)),
        Case("permuted view", (view("permuted", 3, 5), view("permuted", 2, 5), drawn(rng, (2,)))),
        Case("expanded view", (view("expanded", 3, 5), drawn(rng, (2, 5)), view("expanded", 2))),
        Case("sliced view", (view("sliced", 3, 5), drawn(rng, (2, 5)), view("sliced", 2))),
        Case("NaN and infinity", (special, special), gradient=False),
    ]


def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    product = x @ weight.T
    return product if bias is None else product + bias


FUNCTIONS: tuple[Function, ...] = (
    Function(
        "torch.cat",
        lambda torch, *tensors, dim=0: torch.cat(tensors, dim),
        lambda *arrays, dim=0: np.concatenate(arrays, dim),
        _cat_cases,
        (
            ErrorCase("rank 0", (np.float32(1), np.float32(2)), RuntimeError, match="0-d"),
            ErrorCase("other sizes", (_ONES, np.ones((2, 4), np.float32)), RuntimeError),
            ErrorCase("no such axis", (_ONES, _ONES), IndexError, {"dim": 2}, match="axis 2"),
            ErrorCase("no tensors", (), ValueError, match="at least one"),
        ),
    ),
    Function(
        "torch.stack",
        lambda torch, *tensors, dim=0: torch.stack(tensors, dim),
        lambda *arrays, dim=0: np.stack(arrays, dim),
        _stack_cases,
        (
            ErrorCase("other sizes", (_ONES, np.ones((2, 4), np.float32)), RuntimeError),
            ErrorCase("no such axis", (_ONES, _ONES), IndexError, {"dim": 3}, match="axis 3"),
        ),
    ),
    Function(
        "torch.where",
        by_name("torch.where"),
        np.where,
        _where_cases,
        (
            ErrorCase("a float condition", (_ONES, _ONES, _ONES), RuntimeError, match="bool"),
            ErrorCase(
                "sizes that do not broadcast",
                (_ONES > 0, _ONES, np.ones(2, np.float32)),
                RuntimeError,
                match="broadcast",
            ),
        ),
    ),
    Function(
        "torch.matmul",
        by_name("torch.matmul"),
        np.matmul,
        _product_cases,
        (
            ErrorCase("rank 0", (np.float32(1), np.float32(2)), RuntimeError, match="axis"),
            ErrorCase("other sizes inside", (_ONES, _ONES), RuntimeError),
        ),
        also=("Tensor.__matmul__",),
        differences="Operands of different dtypes are promoted; PyTorch wants one dtype.",
    ),
    Function(
        "torch.dot",
        by_name("torch.dot"),
        np.dot,
        _inner_cases,
        (
            ErrorCase("matrices", (_ONES, _ONES), RuntimeError),
            ErrorCase("other sizes", (_ONES[0], _ONES[0, :2]), RuntimeError),
        ),
    ),
    Function(
        "F.linear",
        by_name("F.linear"),
        _linear,
        _linear_cases,
        (ErrorCase("other sizes", (_ONES, np.ones((4, 2), np.float32)), RuntimeError),),
    ),
)
