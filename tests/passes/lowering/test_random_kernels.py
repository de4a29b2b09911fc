"""Random kernels, lowered to loops, compute what they computed at buffer level."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from xdsl.ir import SSAValue

from picograd.dialects import tensor as t
from picograd.dialects.literals import literal
from tests.passes.lowering.kernels import (
    Add,
    check,
    keepdims,
    normal,
)

SHAPES = [(), (5,), (3, 5), (2, 3, 5), (3, 1), (1, 5)]


class RandomKernel:
    """Grows a kernel from random ops; every op is drawn until it fits the values at hand."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.seed = seed

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def body(self, add: Add, *inputs: SSAValue) -> list[SSAValue]:
        self.rng = np.random.default_rng(self.seed)
        values = list(inputs)
        for _ in range(int(self.rng.integers(4, 14))):
            new = self.grow(add, values)
            if new is not None:
                values.append(new)
        count = int(self.rng.integers(1, 4))
        outputs = list(dict.fromkeys([values[-1], *(self.pick(values) for _ in range(count))]))
        return [value for value in outputs if value not in inputs] or [
            add(t.UnaryOp("neg", values[-1]))
        ]

    def grow(self, add: Add, values: list[SSAValue]) -> SSAValue | None:
        x = self.pick(values)
        shape = x.type.get_shape()
        rank = len(shape)
        axis = int(self.rng.integers(rank)) if rank else 0
        choice = self.pick(
            [
                "unary",
                "binary",
                "binary",
                "reduce",
                "keep",
                "keep",
                "reshape",
                "permute",
                "slice",
                "pad",
                "reverse",
                "concat",
                "matmul",
                "broadcast",
                "gather",
                "scatter",
            ]
        )
        if choice == "unary":
            return add(t.UnaryOp(self.pick(["tanh", "neg", "sin", "abs", "erf"]), x))
        if choice == "binary":
            y = self.pick([v for v in values if v.type == x.type])
            return add(t.BinaryOp(self.pick(["add", "sub", "mul", "maximum"]), x, y))
        if choice == "broadcast":
            return add(t.BroadcastOp(x, (2, *shape))) if rank < 3 else None
        if choice == "reshape":
            return add(t.ReshapeOp(x, self.pick([(int(np.prod(shape)),), (*shape, 1)])))
        if rank == 0:
            return None
        if choice == "reduce":
            return add(t.ReduceOp(self.pick(["add", "max"]), x, (axis,)))
        if choice == "keep":
            reduced = add(t.ReduceOp(self.pick(["add", "max", "min"]), x, (axis,)))
            wide = keepdims(add, reduced, shape, axis)
            return add(t.BinaryOp("sub", x, wide))
        if choice == "permute":
            return add(t.PermuteOp(x, tuple(int(n) for n in self.rng.permutation(rank))))
        if choice == "slice":
            start = int(self.rng.integers(shape[axis]))
            starts = tuple(start if n == axis else 0 for n in range(rank))
            return add(t.SliceOp(x, starts, shape))
        if choice == "pad":
            low, high, gap = (tuple(int(n) for n in self.rng.integers(0, 2, rank)) for _ in "lhi")
            return add(t.PadOp(x, low, high, gap, 0.5)) if int(np.prod(shape)) < 200 else None
        if choice == "reverse":
            return add(t.ReverseOp(x, (axis,)))
        if choice == "concat":
            return add(t.ConcatOp([x, x], axis)) if int(np.prod(shape)) < 200 else None
        if choice == "matmul" and rank >= 2:
            order = (*range(rank - 2), rank - 1, rank - 2)
            return add(t.MatmulOp(x, add(t.PermuteOp(x, order))))
        if choice in ("gather", "scatter"):
            positions = self.rng.integers(0, shape[axis], shape).astype(np.int32)
            index = add(t.ConstantOp(literal(positions)))
            if choice == "gather":
                return add(t.GatherOp(x, index, axis))
            return add(t.ScatterOp("add", add(t.UnaryOp("neg", x)), index, x, axis))
        return None


@pytest.mark.parametrize("seed", range(60))
def test_random_kernels(seed: int) -> None:
    random = RandomKernel(seed)
    shapes = [random.pick(SHAPES) for _ in range(3)]
    inputs = [(normal(*shape, seed=seed + n) * 0.5) for n, shape in enumerate(shapes)]
    check(inputs, random.body, tolerance=2e-4)
