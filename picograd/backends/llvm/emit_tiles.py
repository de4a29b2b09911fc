"""Operations that make, rearrange or combine the lanes of a one-axis tile, as LLVM text."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

from xdsl.ir import Operation, SSAValue

from picograd.backends.llvm import types
from picograd.backends.llvm.emit_address import linear
from picograd.backends.llvm.emit_memory import lane_values, narrowed
from picograd.backends.llvm.function import Function
from picograd.dialects.loop import (
    BroadcastOp,
    FoldOp,
    IndexOp,
    ReduceKind,
    ShuffleOp,
    identity,
    tile_shape,
)


def _index(f: Function, op: Operation) -> None:
    assert isinstance(op, IndexOp)
    type = op.result.type
    scalar, lanes = types.scalar(type), types.lanes(type)
    integer = "i64" if types.is_float(scalar) else scalar
    if lanes:
        text = lane_values(f, op.expression, lanes, integer)
    else:
        text = narrowed(f, linear(f, op.expression), integer)
    if types.is_float(scalar):
        source = types.vector("i64", lanes)
        text = f.assign(op.result.name_hint, f"sitofp {source} {text} to {types.value(type)}")
    f.names[op.result] = text


def _broadcast(f: Function, op: Operation) -> None:
    assert isinstance(op, BroadcastOp)
    scalar, lanes = types.scalar(op.result.type), types.lanes(op.result.type)
    f.names[op.result] = f.splat(f.names[op.value], scalar, lanes, op.result.name_hint)


def _shuffle(f: Function, op: Operation) -> None:
    assert isinstance(op, ShuffleOp)
    left = tile_shape(op.left.type)[0]
    wide = max(types.width(left), types.width(tile_shape(op.right.type)[0]))
    a, b = (_widened(f, value, wide) for value in (op.left, op.right))
    mask = _mask(op.lanes.get_values(), left, wide)
    f.set(op.result, f"shufflevector {a}, {b}, {mask}")
    if _goes_on(f, op):
        vector = types.value(op.result.type)
        scalar, lanes = types.scalar(op.result.type), types.lanes(op.result.type)
        fence = f"llvm.arithmetic.fence.{types.suffix(scalar, lanes)}"
        f.set(op.result, f.call(fence, vector, [(vector, f.names[op.result])]))


@lru_cache(maxsize=1024)
def _mask(lanes: tuple[int, ...], left: int, wide: int) -> str:
    """The lanes of two vectors that a shuffle takes; the right one's start at `left`."""
    picks = [lane if lane < left else lane - left + wide for lane in lanes]
    picks += [-1] * (types.width(len(picks)) - len(picks))
    mask = types.list_text(("poison" if lane < 0 else str(lane) for lane in picks), "i32")
    return f"<{len(picks)} x i32> {mask}"


def _goes_on(f: Function, op: ShuffleOp) -> bool:
    """Whether a shuffle of floats is one of a chain, which nobody shall look through.

    LLVM tries to make one shuffle of several, along all ways through a chain: for the butterflies
    of a transposed square that takes two thirds of its time, and finds nothing. (It does where
    rows or lanes are missing.)
    """
    type = op.result.type
    if types.lanes(type) <= 4 or not types.is_float(types.scalar(type)):
        return False
    if op not in f.chains:
        chain, found = [op], {op}
        for each in chain:
            users = (use.operation for use in each.result.uses)
            for other in (each.left.owner, each.right.owner, *users):
                if isinstance(other, ShuffleOp) and other not in found:
                    found.add(other)
                    chain.append(other)
        whole = len(chain) > 1 and not any(map(_lacks_some, chain))
        f.chains.update(dict.fromkeys(chain, whole))
    return f.chains[op] and any(isinstance(use.operation, ShuffleOp) for use in op.result.uses)


def _lacks_some(op: ShuffleOp) -> bool:
    """Whether a shuffle takes anything but whole vectors' lanes, from two vectors."""
    lanes = op.lanes.get_values()
    return op.left is op.right or op.left.type != op.result.type or min(lanes) < 0


def _widened(f: Function, value: SSAValue, wide: int) -> str:
    """A typed vector with `wide` lanes."""
    have = types.width(tile_shape(value.type)[0])
    if have == wide:
        return f.typed(value)
    picks = [*(str(lane) for lane in range(have)), *(["poison"] * (wide - have))]
    mask = types.list_text(picks, "i32")
    vector = types.value(value.type)
    text = f.assign(
        "wide", f"shufflevector {f.typed(value)}, {vector} poison, <{wide} x i32> {mask}"
    )
    return f"<{wide} x {types.scalar(value.type)}> {text}"


_FLOAT_FOLDS = {"add": "fadd", "mul": "fmul", "max": "fmaximum", "min": "fminimum"}
_INTEGER_FOLDS = {
    "add": "add",
    "mul": "mul",
    "max": "smax",
    "min": "smin",
    "and": "and",
    "or": "or",
}
_BOOL_FOLDS = {"max": "or", "min": "and", "and": "and", "or": "or"}


def _fold(f: Function, op: Operation) -> None:
    assert isinstance(op, FoldOp)
    kind, tile = op.kind.data, op.value.type
    scalar, lanes = types.scalar(tile), types.lanes(tile)
    vector, text = types.value(tile), f.names[op.value]
    if lanes != types.width(lanes):  # the unused lanes must not count
        number = cast(float, cast(Any, identity(ReduceKind(kind), tile).value).value.data)
        neutral = f.constant(number, tile)
        mask_type = types.vector("i1", lanes)
        text = f.assign(
            "used",
            f"select {mask_type} {types.first_lanes(lanes)}, {vector} {text}, {vector} {neutral}",
        )
    arguments = [(vector, text)]
    if not types.is_float(scalar):
        name = (_BOOL_FOLDS if scalar == "i1" else _INTEGER_FOLDS)[kind]
        call = f.call(f"llvm.vector.reduce.{name}.{types.suffix(scalar, lanes)}", scalar, arguments)
        f.set(op.result, call)
        return
    if kind in ("add", "mul"):
        start = types.float_text(-0.0 if kind == "add" else 1.0, scalar)
        arguments.insert(0, (scalar, start))
    name = f"llvm.vector.reduce.{_FLOAT_FOLDS[kind]}.{types.suffix(scalar, lanes)}"
    call = f.call(name, scalar, arguments)
    # any grouping: a tree over the lanes
    f.set(
        op.result,
        call.replace("call ", "call reassoc " if kind in ("add", "mul") else "call nsz ", 1),
    )


RULES: dict[type[Operation], Callable[[Function, Operation], None]] = {
    IndexOp: _index,
    BroadcastOp: _broadcast,
    ShuffleOp: _shuffle,
    FoldOp: _fold,
}
