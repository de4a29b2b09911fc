"""Kernels of every tensor op, lowered to loops, compute what they computed at buffer level."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.dialects import buffer, loop, new_context
from picograd.dialects import tensor as t
from picograd.dialects.dtypes import memref_type
from picograd.dialects.literals import literal
from picograd.errors import IndexOutOfRange
from picograd.passes.base import Level, level_of
from picograd.passes.lower_buffers_to_loops import LowerBuffersToLoops
from picograd.semantics.evaluate import evaluate

Array = np.ndarray[Any, Any]
Add = Callable[..., SSAValue]
Body = Callable[..., list[SSAValue]]


def kernel_module(inputs: Sequence[Array], body: Body, *, copies: int = 1) -> ModuleOp:
    """A buffer-level module of one kernel; `copies` of it write outputs of their own."""
    types = [literal(array).type for array in inputs]
    reads = [memref_type(type.get_shape(), type.element_type) for type in types]
    kernels: list[Callable[[Sequence[SSAValue]], buffer.KernelOp]] = []
    writes: list[Any] = []

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
    del kernels
    return ModuleOp(
        [FuncOp("main", ([*reads, *writes], []), Region(main), arg_attrs=ArrayAttr(marks))]
    )


def lower(module: ModuleOp) -> ModuleOp:
    """The module at loop level, verified, and equal to what its text parses to."""
    verify_module(module)
    LowerBuffersToLoops().apply(new_context(), module)
    verify_module(module)
    assert level_of(module) == Level.LOOP
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


def normal(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def integers(*shape: int, low: int, high: int, seed: int = 0, dtype: Any = np.int32) -> Array:
    return np.asarray(np.random.default_rng(seed).integers(low, high, shape)).astype(dtype)


SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 7.0, -7.0, 3.25, -3.25, 1e10, -1e10]
    + [np.inf, -np.inf, np.nan],
)


def every_pair(values: Array) -> tuple[Array, Array]:
    a, b = np.meshgrid(values, values)
    return np.ascontiguousarray(a.reshape(-1)), np.ascontiguousarray(b.reshape(-1))


# Elementwise


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [kind for kind in t.UnaryKind if kind != "not"])
def test_unary_on_floats(kind: t.UnaryKind, dtype: Any) -> None:
    with np.errstate(all="ignore"):
        x = np.concatenate([SPECIAL.astype(dtype), normal(30, dtype=dtype) * 3])
        if kind in ("sin", "cos", "exp"):
            x = x[np.abs(np.nan_to_num(x, posinf=1)) < 1e3]
        check([x], lambda add, a: [add(t.UnaryOp(kind, a))])


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("kind", ["neg", "abs", "sign", "not"])
def test_unary_on_integers(kind: str, dtype: Any) -> None:
    limits = np.iinfo(dtype)
    x = np.array([0, 1, -1, 5, -5, limits.max, limits.min], dtype)
    check([x], lambda add, a: [add(t.UnaryOp(kind, a))])


def test_not_on_bools() -> None:
    check([normal(9) > 0], lambda add, a: [add(t.UnaryOp("not", a))])


FLOAT_BINARY = "add sub mul div floordiv remainder pow maximum minimum".split()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", FLOAT_BINARY)
def test_binary_on_floats(kind: str, dtype: Any) -> None:
    values = SPECIAL if kind not in ("floordiv", "remainder") else SPECIAL[np.abs(SPECIAL) != 1e10]
    a, b = every_pair(values.astype(dtype))
    with np.errstate(all="ignore"):
        check([a, b], lambda add, x, y: [add(t.BinaryOp(kind, x, y))])
        a, b = normal(50, seed=1, dtype=dtype) * 100, normal(50, seed=2, dtype=dtype)
        check([np.abs(a), b], lambda add, x, y: [add(t.BinaryOp(kind, x, y))])


INTEGER_BINARY = "add sub mul floordiv remainder maximum minimum and or xor shl shr".split()


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("kind", INTEGER_BINARY)
def test_binary_on_integers(kind: str, dtype: Any) -> None:
    limits = np.iinfo(dtype)
    values = np.array([0, 1, -1, 2, 3, -3, 7, -8, 31, 32, 63, 64, limits.max, limits.min], dtype)
    a, b = every_pair(values)
    with np.errstate(all="ignore"):
        check([a, b], lambda add, x, y: [add(t.BinaryOp(kind, x, y))])


@pytest.mark.parametrize("divisor", [3, -3, 0, -1, 1])
@pytest.mark.parametrize("kind", ["floordiv", "remainder", "shl", "shr"])
def test_integer_division_and_shift_by_a_constant(kind: str, divisor: int) -> None:
    x = integers(20, low=-50, high=50)

    def body(add: Add, a: SSAValue) -> list[SSAValue]:
        constant = add(t.ConstantOp(literal(np.full(20, divisor, np.int32))))
        return [add(t.BinaryOp(kind, a, constant))]

    check([x], body)


@pytest.mark.parametrize("kind", ["and", "or", "xor"])
def test_binary_on_bools(kind: str) -> None:
    a, b = every_pair(np.array([True, False]))
    check([a, b], lambda add, x, y: [add(t.BinaryOp(kind, x, y))])


@pytest.mark.parametrize("kind", list(t.CompareKind))
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_compare(kind: str, dtype: Any) -> None:
    values = SPECIAL[:9] if dtype == np.int64 else SPECIAL
    a, b = every_pair(values.astype(dtype))
    check([a, b], lambda add, x, y: [add(t.CompareOp(kind, x, y))])


@pytest.mark.parametrize("kind", ["eq", "ne"])
def test_compare_bools_and_select_by_them(kind: str) -> None:
    def body(add: Add, x: SSAValue, y: SSAValue, u: SSAValue) -> list[SSAValue]:
        condition = add(t.CompareOp(kind, x, y))
        return [add(t.SelectOp(condition, u, add(t.UnaryOp("neg", u))))]

    check([normal(9) > 0, normal(9, seed=1) > 0, normal(9, seed=2)], body)


CASTS = [np.float32, np.float64, np.int32, np.int64, np.bool_]


@pytest.mark.parametrize("target", CASTS)
@pytest.mark.parametrize("source", CASTS)
def test_cast(source: Any, target: Any) -> None:
    with np.errstate(all="ignore"):
        if np.dtype(source).kind == "f":
            x = np.concatenate([SPECIAL, [2.0**31, -(2.0**31) - 1, 2.0**63, 2147483520.0]])
            x = x.astype(source)
        elif np.dtype(source).kind == "i":
            limits = np.iinfo(source)
            x = np.array([0, 1, -1, 300, limits.max, limits.min], source)
        else:
            x = np.array([True, False, True])
        dtype = literal(np.zeros(1, target)).type.element_type
        check([x], lambda add, a: [add(t.CastOp(a, dtype))])


# Reductions


@pytest.mark.parametrize("axes", [(), (0,), (1,), (2,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("kind", ["add", "mul", "max", "min"])
def test_reduce_floats(kind: str, axes: tuple[int, ...]) -> None:
    x = normal(3, 5, 4)
    check([x], lambda add, a: [add(t.ReduceOp(kind, a, axes))])
    x[1, 2, 3] = np.nan
    check([x], lambda add, a: [add(t.ReduceOp(kind, a, axes))])


@pytest.mark.parametrize("kind", ["add", "mul", "max", "min", "and", "or"])
def test_reduce_integers(kind: str) -> None:
    x = integers(4, 5, low=-9, high=9, dtype=np.int64)
    check([x], lambda add, a: [add(t.ReduceOp(kind, a, (0,)))])


@pytest.mark.parametrize("kind", ["and", "or"])
def test_reduce_bools(kind: str) -> None:
    check([normal(4, 2) > 0], lambda add, a: [add(t.ReduceOp(kind, a, (1,)))])


@pytest.mark.parametrize("kind", ["add", "mul"])
def test_reduce_of_an_empty_axis_is_the_identity(kind: str) -> None:
    check([normal(3, 0)], lambda add, a: [add(t.ReduceOp(kind, a, (1,)))])


def test_reduce_of_an_axis_of_size_one_needs_no_loop() -> None:
    module = check([normal(3, 1)], lambda add, a: [add(t.ReduceOp("add", a, (1,)))])
    assert not loops(module, loop.ReduceOp)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", ["max", "min"])
def test_argreduce(kind: str, axis: int) -> None:
    x = integers(5, 6, low=0, high=3).astype(np.float32)
    check([x], lambda add, a: [add(t.ArgReduceOp(kind, a, axis))])
    x[2, 4] = x[2, 5] = x[4, 4] = np.nan
    check([x], lambda add, a: [add(t.ArgReduceOp(kind, a, axis))])
    worst = np.full((2, 3), -np.inf if kind == "max" else np.inf, np.float32)
    check([worst], lambda add, a: [add(t.ArgReduceOp(kind, a, axis))])
    check([integers(4, 3, low=-2, high=2)], lambda add, a: [add(t.ArgReduceOp(kind, a, axis))])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
@pytest.mark.parametrize("shape", [(4, 3, 5), (1, 1, 1), (3, 0, 2), (1, 7, 1)])
def test_matmul(shape: tuple[int, int, int], dtype: Any) -> None:
    m, k, n = shape
    a, b = (normal(m, k) * 4).astype(dtype), (normal(k, n, seed=1) * 4).astype(dtype)
    check([a, b], lambda add, x, y: [add(t.MatmulOp(x, y))])


def test_batched_matmul_of_transposed_operands() -> None:
    def body(add: Add, x: SSAValue, y: SSAValue) -> list[SSAValue]:
        return [add(t.MatmulOp(x, add(t.PermuteOp(y, (0, 2, 1)))))]

    check([normal(2, 3, 4), normal(2, 5, 4, seed=1)], body)


# Sources and data movement


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64])
def test_iota(dtype: Any) -> None:
    element = literal(np.zeros(1, dtype)).type.element_type
    check(
        [normal(1)],
        lambda add, _: [add(t.BroadcastOp(add(t.IotaOp(5, element)), (3, 5)))],
    )


@pytest.mark.parametrize("shape", [(), (1,), (13,), (3, 5), (2, 3, 4)])
def test_random_bits(shape: tuple[int, ...]) -> None:
    state = np.array([123, -456, -1, 7], np.int32)
    check([state], lambda add, s: [add(t.RandomBitsOp(s, shape))])


def test_random_bits_carry_into_the_upper_counter_word() -> None:
    state = np.array([1, 2, -2, 0], np.int32)
    check([state], lambda add, s: [add(t.RandomBitsOp(s, (40,)))])


def test_constants_with_different_elements_become_buffers() -> None:
    table = normal(3, 4, seed=5)

    def body(add: Add, x: SSAValue) -> list[SSAValue]:
        return [add(t.BinaryOp("mul", x, add(t.ConstantOp(literal(table)), "table")))]

    module = check([normal(3, 4)], body)
    assert len(loops(module, buffer.ConstantOp)) == 1
    assert "%table = buffer.constant" in str(module)


RESHAPES = [
    ((4, 6), (24,)),
    ((24,), (2, 3, 4)),
    ((4, 6), (6, 4)),
    ((4, 6), (8, 3)),
    ((5, 7), (7, 5)),
    ((1, 6, 1), (6,)),
    ((6,), (1, 6)),
    ((1,), ()),
    ((), (1, 1)),
    ((2, 3, 4), (4, 3, 2)),
]


@pytest.mark.parametrize(("old", "new"), RESHAPES)
def test_reshape(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    check([normal(*old)], lambda add, a: [add(t.ReshapeOp(a, new))])
    check([normal(*old)], lambda add, a: [add(t.UnaryOp("exp", add(t.ReshapeOp(a, new))))])
    check([normal(*old)], lambda add, a: [add(t.ReshapeOp(add(t.UnaryOp("exp", a)), new))])

    def there_and_back(add: Add, a: SSAValue) -> list[SSAValue]:
        return [add(t.ReshapeOp(add(t.ReshapeOp(a, new)), old))]

    module = check([normal(*old)], there_and_back)
    assert " mod " not in str(module) and "floordiv" not in str(module)


def test_views_of_views() -> None:
    def body(add: Add, a: SSAValue) -> list[SSAValue]:
        x = add(t.PermuteOp(a, (2, 0, 1)))
        x = add(t.SliceOp(x, (1, 0, 2), (5, 3, 7), (2, 1, 3)))
        x = add(t.ReverseOp(x, (0, 2)))
        x = add(t.ReshapeOp(x, (12,)))
        return [add(t.BroadcastOp(x, (2, 12)))]

    check([normal(3, 8, 6)], body)


PADS = [
    ((2, 0), (1, 3), (0, 0)),
    ((0, 1), (0, 0), (2, 1)),
    ((1, 1), (2, 2), (1, 3)),
    ((0, 0), (0, 0), (0, 0)),
]


@pytest.mark.parametrize(("low", "high", "interior"), PADS)
@pytest.mark.parametrize("value", [0.0, -1.5])
def test_pad(low: Any, high: Any, interior: Any, value: float) -> None:
    x = normal(3, 4)
    check([x], lambda add, a: [add(t.PadOp(a, low, high, interior, value))])

    def of_a_computed_value(add: Add, a: SSAValue) -> list[SSAValue]:
        y = add(t.BinaryOp("div", a, add(t.UnaryOp("exp", a))))
        return [add(t.UnaryOp("neg", add(t.PadOp(y, low, high, interior, value))))]

    check([x], of_a_computed_value)
    check([x > 0], lambda add, a: [add(t.PadOp(a, low, high, interior, True))])


def test_pad_of_an_empty_tensor_is_all_padding() -> None:
    check([normal(0, 3)], lambda add, a: [add(t.PadOp(a, (2, 0), (1, 1), None, 4.0))])


def test_slice_of_a_pad_and_sum_of_a_pad() -> None:
    def body(add: Add, a: SSAValue) -> list[SSAValue]:
        padded = add(t.PadOp(a, (2, 1), (1, 1)))
        piece = add(t.SliceOp(padded, (1, 0), (5, 6)))
        return [piece, add(t.ReduceOp("add", padded, (0,)))]

    check([normal(3, 4)], body)


def test_reduction_of_a_matmul_under_a_pad() -> None:
    def body(add: Add, a: SSAValue, b: SSAValue) -> list[SSAValue]:
        return [add(t.PadOp(add(t.MatmulOp(a, b)), (1, 0), (0, 2)))]

    check([normal(3, 4), normal(4, 5)], body)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("sizes", [(3, 4), (1, 1, 1), (2,), (0, 3, 0), (0,)])
def test_concat(axis: int, sizes: tuple[int, ...]) -> None:
    shapes = [(n, 3) if axis == 0 else (2, n) for n in sizes]
    inputs = [normal(*shape, seed=n) for n, shape in enumerate(shapes)]

    def body(add: Add, *xs: SSAValue) -> list[SSAValue]:
        exps = [add(t.UnaryOp("exp", x)) for x in xs]
        return [add(t.ConcatOp(exps, axis)), add(t.ConcatOp(list(xs), axis))]

    check(inputs, body)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_gather(axis: int, dtype: Any) -> None:
    x = normal(5, 4)
    shape = (7, 4) if axis == 0 else (5, 3)
    index = integers(*shape, low=0, high=x.shape[axis], dtype=dtype)
    check([x, index], lambda add, a, i: [add(t.GatherOp(a, i, axis))])


def test_gather_of_a_reduction() -> None:
    def body(add: Add, a: SSAValue, i: SSAValue) -> list[SSAValue]:
        return [add(t.GatherOp(add(t.ReduceOp("add", a, (1,))), i, 0))]

    check([normal(5, 4), integers(20, low=0, high=5)], body)


@pytest.mark.parametrize("wrong", [-1, 5, 2**31 - 1])
def test_an_index_out_of_range_is_reported(wrong: int) -> None:
    index = integers(6, low=0, high=5)
    index[3] = wrong
    module = lower(kernel_module([normal(5), index], lambda add, a, i: [add(t.GatherOp(a, i, 0))]))
    with pytest.raises(IndexOutOfRange):
        evaluate(module, [normal(5), index])


def test_any_index_into_nothing_is_out_of_range() -> None:
    inputs = [normal(0), np.array([0], np.int32)]
    module = lower(kernel_module(inputs, lambda add, a, i: [add(t.GatherOp(a, i, 0))]))
    with pytest.raises(IndexOutOfRange):
        evaluate(module, inputs)


def test_what_padding_reads_is_not_taken_for_an_index() -> None:
    """Below, the padded index tensor is lowered by one: the 0 read outside must not count as -1."""

    def body(add: Add, a: SSAValue, i: SSAValue) -> list[SSAValue]:
        one = add(t.ConstantOp(literal(np.ones(6, np.int32))))
        return [add(t.PadOp(add(t.GatherOp(a, add(t.BinaryOp("sub", i, one)), 0)), (2,), (2,)))]

    check([normal(5), integers(6, low=1, high=5)], body)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", ["add", "set"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_scatter(kind: str, axis: int, dtype: Any) -> None:
    x = (normal(5, 4) * 9).astype(dtype)
    shape = (7, 4) if axis == 0 else (5, 6)
    index = integers(*shape, low=0, high=x.shape[axis], seed=3)
    updates = (normal(*shape, seed=4) * 9).astype(dtype)
    check([x, index, updates], lambda add, a, i, u: [add(t.ScatterOp(kind, a, i, u, axis))])


def test_scatter_amid_other_ops() -> None:
    def body(add: Add, a: SSAValue, i: SSAValue, u: SSAValue) -> list[SSAValue]:
        updates = add(t.UnaryOp("exp", u))
        result = add(t.ScatterOp("add", add(t.UnaryOp("neg", a)), i, updates, 0), "sums")
        total = add(t.ReduceOp("add", result, (0,)))
        return [add(t.UnaryOp("tanh", result)), total, result]

    check([normal(5), integers(9, low=0, high=5), normal(9, seed=1)], body)


def test_scatter_of_no_updates_copies() -> None:
    inputs = [normal(5), np.zeros(0, np.int32), normal(0)]
    check(inputs, lambda add, a, i, u: [add(t.ScatterOp("add", a, i, u, 0))])


# Shapes


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 5), (5, 1), (0,), (3, 0, 2)])
def test_odd_shapes(shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    check([x, x], lambda add, a, b: [add(t.BinaryOp("add", a, b)), add(t.UnaryOp("neg", b))])


def test_a_kernel_without_elements_is_no_launch() -> None:
    module = check([normal(0, 2)], lambda add, a: [add(t.UnaryOp("neg", a))]) if False else None
    assert module is None
