"""Error bounds of functions below the tensors: of buffers, kernels on them, and loops.

Memory holds bounded floats as complex numbers (see `bounds_loop`). An arena is bytes, as for the
evaluators, only wider: so buffers that share bytes overwrite one another here as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue
from xdsl.traits import IsTerminator

from picograd.dialects import buffer, loop
from picograd.dialects.buffer import inputs_of, outputs_of, stored_in
from picograd.dialects.dtypes import AnyMemRef, from_ir, is_float_array
from picograd.dialects.literals import Array, array_of
from picograd.dialects.tensor import TensorOp
from picograd.errors import VerificationError
from picograd.semantics.accuracy import Accuracy
from picograd.semantics.bounded import Bounded
from picograd.semantics.bounds import BOUNDS
from picograd.semantics.bounds_loop import BoundedEvaluator, bounded, is_bounded
from picograd.semantics.loop_frames import Frame, Memory, seen_as

_STRETCH = 8
"""A float of two bytes takes sixteen here: a value and its bound, in double precision."""

_POISON_BYTE = 0xFF
"""NaN in any float, -1 in any integer."""


def analyse_memory(function: FuncOp, inputs: Sequence[Array], accuracy: Accuracy) -> list[Bounded]:
    """The results of a function of buffer or loop level in float64, with error bounds.

    Raises what `evaluate` raises.
    """
    run = _Run(function, accuracy)
    outputs = outputs_of(function)
    arguments = inputs_of(function)
    for argument, array in zip(arguments, inputs, strict=True):
        run.memory[argument] = _held(array)
    for argument in outputs:
        run.memory[argument] = _poisoned(_memref(argument))
    for result, place in stored_in(function).items():
        run.memory[function.args[result]] = run.memory[function.args[place]]
    with np.errstate(all="ignore"):
        run.run()
    end = function.body.block.last_op
    returned = end.operands if isinstance(end, ReturnOp) else ()
    found = [_as_bounded(run.memory[value]) for value in (*returned, *outputs)]
    if run.unsure:
        return [_unknown(result) for result in found]
    return found


class _Run:
    """One run of a function: what is in its memory, and what its tensors are."""

    def __init__(self, function: FuncOp, accuracy: Accuracy) -> None:
        self.function = function
        self.accuracy = accuracy
        self.memory: dict[SSAValue, Array] = {}
        self.tensors: dict[SSAValue, Bounded] = {}
        self.unsure = False
        module = function.parent_op()
        kernels = module.regions[0].block.ops if module is not None else ()
        self.kernels = {op.sym_name.data: op for op in kernels if isinstance(op, loop.KernelOp)}

    def run(self) -> None:
        for op in self.function.body.block.ops:
            if isinstance(op, buffer.AllocOp):
                self.memory[op.result] = _poisoned(_memref(op.result))
            elif isinstance(op, buffer.ArenaOp):
                self.memory[op.result] = np.full(op.nbytes * _STRETCH, _POISON_BYTE, np.uint8)
            elif isinstance(op, buffer.PlaceOp):
                self.place(op)
            elif isinstance(op, buffer.ConstantOp):
                self.memory[op.result] = _held(array_of(op.value))
            elif isinstance(op, buffer.KernelOp):
                self.kernel(op)
            elif isinstance(op, loop.LaunchOp):
                self.launch(op)
            elif not op.has_trait(IsTerminator):
                raise VerificationError(
                    f"{op.name} has no error bound",
                    code="PG605",
                    expected="an op of buffer or loop level",
                    found=op.name,
                    hint="lower it before",
                )

    def place(self, op: buffer.PlaceOp) -> None:
        type = _memref(op.result)
        dtype = _dtype(type)
        start = op.span[0] * _STRETCH
        count = int(np.prod(type.get_shape(), dtype=np.int64))
        part = self.memory[op.arena][start : start + count * dtype.itemsize]
        self.memory[op.result] = part.view(dtype).reshape(type.get_shape())

    def kernel(self, op: buffer.KernelOp) -> None:
        for argument, value in zip(op.block.args, op.operands, strict=True):
            self.memory[argument] = self.memory[value]
        for inner in op.block.ops:
            if isinstance(inner, buffer.ReadOp):
                self.tensors[inner.result] = _as_bounded(self.memory[inner.source])
            elif isinstance(inner, buffer.WriteOp):
                self.write(inner)
            elif isinstance(inner, TensorOp) and type(inner) in BOUNDS:
                operands = [self.tensors[value] for value in inner.operands]
                self.tensors[inner.result] = BOUNDS[type(inner)](inner, operands, self.accuracy)

    def write(self, op: buffer.WriteOp) -> None:
        found = self.tensors[op.value]
        target = self.memory[op.target]
        if is_bounded(target):
            target[...] = bounded(found.value, np.where(found.lost, np.inf, found.error))
            return
        target[...] = found.value
        self.unsure |= bool(found.doubtful.any())

    def launch(self, op: loop.LaunchOp) -> None:
        kernel = self.kernels[op.kernel.root_reference.data]
        evaluator, frame = BoundedEvaluator(self.accuracy), Frame(1)
        for argument, value in zip(kernel.body.block.args, op.operands, strict=True):
            evaluator.memories[argument] = Memory(
                frame, seen_as(self.memory[value], argument)[np.newaxis]
            )
        evaluator.run(kernel.body.block, frame)
        self.unsure |= evaluator.unsure


def _memref(value: SSAValue) -> AnyMemRef:
    return cast(AnyMemRef, value.type)


def _dtype(type: AnyMemRef) -> np.dtype[np.generic]:
    dtype = from_ir(type.element_type)
    return np.dtype(np.complex128) if dtype.is_float else dtype.numpy


def _poisoned(type: AnyMemRef) -> Array:
    dtype = _dtype(type)
    if dtype.kind == "c":
        return np.full(type.get_shape(), np.nan, dtype)
    top = True if dtype.kind == "b" else np.iinfo(dtype.name).max - 90
    return np.full(type.get_shape(), top, dtype)


def _held(array: Array) -> Array:
    """A copy of exact numbers, as memory holds them."""
    return bounded(array.astype(np.float64), 0.0) if is_float_array(array) else array.copy()


def _as_bounded(array: Array) -> Bounded:
    if is_bounded(array):
        error = np.nan_to_num(np.imag(array), nan=np.inf, posinf=np.inf)
        return Bounded(np.real(array).copy(), error, np.isinf(error))
    none = np.broadcast_to(np.float64(0.0), array.shape)
    return Bounded(array.copy(), none, np.broadcast_to(np.False_, array.shape))


def _unknown(result: Bounded) -> Bounded:
    """A result of which nothing is known."""
    everywhere = np.broadcast_to(np.True_, result.value.shape)
    error = np.broadcast_to(np.float64(np.inf), result.value.shape)
    return Bounded(result.value, error if result.is_float else result.error, everywhere)
