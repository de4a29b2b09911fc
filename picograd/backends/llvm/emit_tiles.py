"""Operations that make, rearrange or combine the lanes of a one-axis tile, as LLVM text."""

from __future__ import annotations

from collections.abc import Callable
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
    picks = [lane if lane < left else lane - left + wide for lane in op.lanes.get_values()]
    picks += [-1] * (types.width(len(picks)) - len(picks))
    a, b = (_widened(f, value, wide) for value in (op.left, op.right))
    mask = types.list_text(("poison" if lane < 0 else str(lane) for lane in picks), "i32")
    f.set(op.result, f"shufflevector {a}, {b}, <{len(picks)} x i32> {mask}")


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
