"""Kernels of one body, to be lowered from buffers to loops and compared with what they were."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.dialects import buffer, new_context
from picograd.dialects import tensor as t
from picograd.dialects.dtypes import memref_type
from picograd.dialects.literals import literal
from picograd.passes.base import Level, stands_at
from picograd.passes.lower_buffers_to_loops import LowerBuffersToLoops
from picograd.semantics.evaluate import evaluate

Array = np.ndarray[Any, Any]
Add = Callable[..., SSAValue]
Body = Callable[..., list[SSAValue]]


def kernel_module(inputs: Sequence[Array], body: Body, *, copies: int = 1) -> ModuleOp:
    """A buffer-level module of one kernel; `copies` of it write outputs of their own."""
    types = [literal(array).type for array in inputs]
    reads = [memref_type(type.get_shape(), type.element_type) for type in types]

    def build(label: str) -> tuple[Block, list[Any]]:
        block = Block(arg_types=reads)
        for number, argument in enumerate(block.args):
            argument.name_hint = "abcdefgh"[number]
        sources = [buffer.ReadOp(argument) for argument in block.args]
        block.add_ops(sources)

        def add(op: Operation, name: str | None = None) -> SSAValue:
            block.add_op(op)
            op.results[0].name_hint = name
            return op.results[0]

        results = body(add, *(source.result for source in sources))
        outputs: list[Any] = []
        for number, result in enumerate(results):
            type: Any = result.type
            outputs.append(memref_type(type.get_shape(), type.element_type))
            target = block.insert_arg(outputs[-1], len(block.args))
            target.name_hint = f"y{number}"
            block.add_op(buffer.WriteOp(result, target))
        return block, outputs

    blocks = [build(f"kernel{n}") for n in range(copies)]
    writes = [output for _, outputs in blocks for output in outputs]
    main = Block(arg_types=[*reads, *writes])
    position = len(reads)
    for number, (block, outputs) in enumerate(blocks):
        targets = main.args[position : position + len(outputs)]
        position += len(outputs)
        main.add_op(
            buffer.KernelOp(f"kernel{number}", main.args[: len(reads)], targets, Region(block))
        )
    main.add_op(ReturnOp())
    marks = [DictionaryAttr({})] * len(reads)
    marks += [DictionaryAttr({buffer.OUTPUT: UnitAttr()})] * len(writes)
    return ModuleOp(
        [FuncOp("main", ([*reads, *writes], []), Region(main), arg_attrs=ArrayAttr(marks))]
    )


def lower(module: ModuleOp) -> ModuleOp:
    """The module at loop level, verified, and equal to what its text parses to."""
    verify_module(module)
    LowerBuffersToLoops().apply(new_context(), module)
    verify_module(module)
    assert stands_at(module, Level.LOOP)
    assert parse_module(str(module)).is_structurally_equivalent(module)
    return module


def check(inputs: Sequence[Array], body: Body, tolerance: float = 1e-5) -> ModuleOp:
    """Lower the kernel and compare its outputs before and after; integers must be equal."""
    module = kernel_module(inputs, body)
    expected = evaluate(module, inputs)
    found = evaluate(lower(module), inputs)
    assert len(expected) == len(found) > 0
    for before, after in zip(expected, found, strict=True):
        assert before.dtype == after.dtype and before.shape == after.shape
        if before.dtype.kind == "f":
            np.testing.assert_allclose(after, before, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(after, before)
    return module


def loops(module: ModuleOp, kind: type[Operation]) -> list[Any]:
    return [op for op in module.walk() if isinstance(op, kind)]


def keepdims(add: Add, x: SSAValue, shape: tuple[int, ...], axis: int) -> SSAValue:
    """A reduction's result, back at the shape of what was reduced."""
    kept = tuple(1 if n == axis else size for n, size in enumerate(shape))
    return add(t.BroadcastOp(add(t.ReshapeOp(x, kept)), shape))


def normal(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def integers(*shape: int, low: int, high: int, seed: int = 0, dtype: Any = np.int32) -> Array:
    return np.asarray(np.random.default_rng(seed).integers(low, high, shape)).astype(dtype)


SPECIAL = np.array(
    [
        "0",
        "-0.0",
        "1",
        "-1",
        "0.5",
        "-0.5",
        "1.5",
        "2.5",
        "-2.5",
        "7",
        "-7",
        "3.25",
        "-3.25",
        "1e10",
        "-1e10",
        "inf",
        "-inf",
        "nan",
    ],
    np.float64,
)


def every_pair(values: Array) -> tuple[Array, Array]:
    a, b = np.meshgrid(values, values)
    return np.ascontiguousarray(a.reshape(-1)), np.ascontiguousarray(b.reshape(-1))
