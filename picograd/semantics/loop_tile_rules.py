"""What ops on elements and register tiles compute, for all iterations of a frame at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.ir import Operation

from picograd.dialects import loop
from picograd.semantics.loop_accesses import Spreads, broadcast
from picograd.semantics.loop_elements import (
    COMBINERS,
    PREDICATES,
    ElementRules,
    convert_elements,
    element_dtype,
    poisoned,
)
from picograd.semantics.loop_frames import Frame
from picograd.semantics.loop_values import LoopValues


class TileRules(LoopValues):
    """A method for each kind of op; what there is to know of an op is looked up once."""

    def __init__(self, widen: bool) -> None:
        super().__init__(widen)
        self.rules = ElementRules(widen=widen)
        self.spreads = Spreads()

    def element_op(self, op: Operation, frame: Frame) -> None:
        rule, operands, result = self.rules[op]
        arguments = [self.get(value, frame) for value in operands]
        array = rule(*arguments)
        self.set(result, frame, array if operands else array[np.newaxis])

    def index(self, op: loop.IndexOp, frame: Frame) -> None:
        shape = loop.tile_shape(op.result.type)
        values = self.linear(op.expression, frame, shape)
        dtype = element_dtype(op.result.type, widen=self.widen)
        self.set(op.result, frame, np.broadcast_to(values, (len(values), *shape)).astype(dtype))

    def compare(self, op: loop.CompareOp, frame: Frame) -> None:
        rule = PREDICATES[op.predicate.data]
        self.set(op.result, frame, rule(self.get(op.left, frame), self.get(op.right, frame)))

    def select(self, op: loop.SelectOp, frame: Frame) -> None:
        arrays = [self.get(value, frame) for value in op.operands]
        self.set(op.result, frame, np.where(*arrays))

    def convert(self, op: loop.ConvertOp, frame: Frame) -> None:
        values = self.get(op.value, frame)
        array = convert_elements(op.kind.data, values, op.result.type, widen=self.widen)
        self.set(op.result, frame, array)

    def broadcast(self, op: loop.BroadcastOp, frame: Frame) -> None:
        source, places, result, shape = self.spreads[op]
        value = self.get(source, frame)
        self.set(result, frame, broadcast(value[places], (len(value), *shape)))

    def fold(self, op: loop.FoldOp, frame: Frame) -> None:
        ufunc: Any = COMBINERS[op.kind.data]
        value = self.get(op.value, frame)
        self.set(op.result, frame, ufunc.reduce(value, axis=-1, dtype=value.dtype))

    def shuffle(self, op: loop.ShuffleOp, frame: Frame) -> None:
        left, right = self.get(op.left, frame), self.get(op.right, frame)
        rows = max(len(left), len(right))
        both = np.concatenate(
            [np.broadcast_to(array, (rows, array.shape[1])) for array in (left, right)], axis=1
        )
        lanes = op.lanes.get_values()
        result = both[:, [max(lane, 0) for lane in lanes]]
        free = [position for position, lane in enumerate(lanes) if lane < 0]
        if free:
            result[:, free] = poisoned((), op.result.type, widen=self.widen)
        self.set(op.result, frame, result)
