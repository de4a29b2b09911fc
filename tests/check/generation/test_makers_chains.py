"""Chains of moves hold what wrong rules about axes are wrong on."""

from collections.abc import Iterator

from xdsl.ir import Operation, OpResult

from picograd.check.generation.programs import random_samples
from picograd.dialects.dtypes import type_of
from picograd.dialects.tensor import (
    CompareOp,
    PermuteOp,
    ReduceOp,
    ReshapeOp,
    ReverseOp,
    SelectOp,
    SliceOp,
    TensorOp,
    ints,
)


def ops(*names: str, sizes: tuple[int, ...] = (3,)) -> Iterator[Operation]:
    for sample in random_samples(120, 11, makers=names, sizes=sizes, most_ops=4):
        yield from sample.module.walk()


def operand(op: TensorOp) -> Operation | None:
    """The op that computes the first operand."""
    first = op.operands[0]
    return first.op if isinstance(first, OpResult) else None


def test_permutes_of_permutes_seldom_commute() -> None:
    chains = [
        (ints(inner.permutation), ints(op.permutation))
        for op in ops("permutes")
        if isinstance(op, PermuteOp) and isinstance(inner := operand(op), PermuteOp)
    ]
    differ = [1 for p, q in chains if [p[axis] for axis in q] != [q[axis] for axis in p]]
    assert len(chains) > 100
    assert len(differ) > len(chains) // 3


def test_each_kind_of_move_follows_itself() -> None:
    for kind in (PermuteOp, SliceOp, ReverseOp, ReshapeOp):
        pairs = [op for op in ops("like_moves") if isinstance(op, kind)]
        assert sum(isinstance(operand(op), kind) for op in pairs) > 10, kind


def test_reductions_of_permutes_are_along_axes_that_moved() -> None:
    """… while the shape is what it would be along the unmoved ones."""
    found = [
        (inner, op)
        for op in ops("read_after_moves")
        if isinstance(op, ReduceOp) and isinstance(inner := operand(op), PermuteOp)
    ]
    moved = [
        1
        for inner, op in found
        if {ints(inner.permutation)[axis] for axis in ints(op.axes)} != set(ints(op.axes))
        and type_of(inner.x) == type_of(inner.result)
    ]
    assert len(moved) > 10


def test_values_inside_of_chains_have_other_readers() -> None:
    inner = [
        operand(op)
        for op in ops("like_moves", sizes=(2, 3))
        if isinstance(op, ReverseOp | PermuteOp | SliceOp)
    ]
    several = [op for op in inner if op is not None and len(list(op.results[0].uses)) > 1]
    assert len(several) > 30


def test_values_are_compared_with_themselves_and_chosen_by_that() -> None:
    chosen = [
        test
        for op in ops("unordered")
        if isinstance(op, SelectOp) and isinstance(test := operand(op), CompareOp)
    ]
    assert sum(test.a is test.b for test in chosen) > 20
