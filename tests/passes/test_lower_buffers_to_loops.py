"""Kernels of every tensor op, lowered to loops, compute what they computed at buffer level."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.dialects import buffer, loop, new_context
from picograd.dialects import tensor as t
from picograd.dialects.dtypes import memref_type
from picograd.dialects.literals import literal
from picograd.errors import IndexOutOfRange
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


# Elementwise


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [kind for kind in t.UnaryKind if kind != "not"])
def test_unary_on_floats(kind: t.UnaryKind, dtype: Any) -> None:
    if kind in t.ROUNDED_TO:
        dtype = np.float32  # which they take alone
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


FLOAT_BINARY = ["add", "sub", "mul", "div", "floordiv", "remainder", "pow", "maximum", "minimum"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", FLOAT_BINARY)
def test_binary_on_floats(kind: str, dtype: Any) -> None:
    values = SPECIAL if kind not in ("floordiv", "remainder") else SPECIAL[np.abs(SPECIAL) != 1e10]
    a, b = every_pair(values.astype(dtype))
    with np.errstate(all="ignore"):
        check([a, b], lambda add, x, y: [add(t.BinaryOp(kind, x, y))])
        a, b = normal(50, seed=1, dtype=dtype) * 100, normal(50, seed=2, dtype=dtype)
        check([np.abs(a), b], lambda add, x, y: [add(t.BinaryOp(kind, x, y))])


INTEGER_BINARY = [
    "add",
    "sub",
    "mul",
    "floordiv",
    "remainder",
    "maximum",
    "minimum",
    "and",
    "or",
    "xor",
    "shl",
    "shr",
]


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


CONVOLUTIONS = [
    ((2, 3, 7), (4, 3, 3), (1,), (1,), (1,), (1,), 1),
    ((2, 4, 5, 6), (6, 2, 2, 3), (2, 1), (1, 0), (0, 2), (1, 2), 2),
    ((1, 2, 3), (2, 2, 1), (1,), (4,), (0,), (1,), 1),
    ((1, 1, 1), (1, 1, 1), (1,), (0,), (0,), (1,), 1),
    ((1, 3, 4), (6, 1, 2), (1,), (0,), (0,), (1,), 3),
    ((1, 1, 1), (1, 1, 1), (10,), (5,), (0,), (1,), 1),
    ((2, 0, 4), (3, 0, 2), (1,), (0,), (0,), (1,), 1),
]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=repr)
def test_convolution(case: Any, dtype: Any) -> None:
    data, kernel, *numbers = case
    x, w = (normal(*data) * 4).astype(dtype), (normal(*kernel, seed=1) * 4).astype(dtype)
    check([x, w], lambda add, a, b: [add(t.ConvolutionOp(a, b, *numbers))])


def test_convolution_reads_its_input_through_views() -> None:
    def body(add: Add, x: SSAValue, w: SSAValue) -> list[SSAValue]:
        swapped = add(t.PermuteOp(x, (1, 0, 2)))
        return [add(t.ConvolutionOp(swapped, w, (1,), (1,), (2,), (1,)))]

    check([normal(3, 2, 5), normal(4, 3, 3, seed=1)], body)


def test_a_padded_reshape_needs_no_division() -> None:
    def body(add: Add, x: SSAValue, w: SSAValue) -> list[SSAValue]:
        image = add(t.ReshapeOp(x, (2, 1, 3, 5)))
        return [add(t.ConvolutionOp(image, w, (1, 1), (1, 1), (1, 1), (1, 1)))]

    x, w = normal(2, 15), normal(3, 1, 3, 3, seed=1)
    assert "floordiv" not in str(check([x, w], body))


@pytest.mark.parametrize("shape", [(3, 9), (9,), (2, 9, 3)])
def test_windows(shape: tuple[int, ...]) -> None:
    axis = shape.index(9)

    def body(add: Add, x: SSAValue) -> list[SSAValue]:
        # Elements that cost something are computed once, though several windows hold them.
        wide = add(t.WindowsOp(add(t.UnaryOp("exp", x)), axis, 3, 2, 2))
        return [wide, add(t.ReduceOp("max", wide, (axis + 1,)))]

    check([normal(*shape)], body)


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
    if (old, new) != RESHAPES[-1]:
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


def test_scatter_then_reshape() -> None:
    def body(add: Add, a: SSAValue, i: SSAValue, u: SSAValue) -> list[SSAValue]:
        return [add(t.ReshapeOp(add(t.ScatterOp("add", a, i, u, 0)), (3,)))]

    inputs = [normal(3, 1), integers(4, 1, low=0, high=3), normal(4, 1)]
    check(inputs, body)


def test_scatter_of_no_updates_copies() -> None:
    inputs = [normal(5), np.zeros(0, np.int32), normal(0)]
    check(inputs, lambda add, a, i, u: [add(t.ScatterOp("add", a, i, u, 0))])


# Shapes


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 5), (5, 1), (0,), (3, 0, 2)])
def test_odd_shapes(shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    check([x, x], lambda add, a, b: [add(t.BinaryOp("add", a, b)), add(t.UnaryOp("neg", b))])


def test_a_kernel_without_elements_is_no_launch() -> None:
    module = kernel_module([normal(0, 2)], lambda add, a: [add(t.UnaryOp("neg", a))])
    LowerBuffersToLoops().apply(new_context(), module)
    assert not loops(module, loop.LaunchOp) and not loops(module, loop.KernelOp)
    (result,) = evaluate(module, [normal(0, 2)])
    assert result.shape == (0, 2)


def test_a_long_chain_of_ops() -> None:
    def body(add: Add, a: SSAValue) -> list[SSAValue]:
        for _ in range(600):
            a = add(t.UnaryOp("neg", a))
        return [a]

    check([normal(3)], body)


@pytest.mark.parametrize("steps", [3, 9, 14])
def test_code_does_not_double_with_every_step_of_a_chain(steps: int) -> None:
    """A running sum by doubling, and a chain of rotations: each step reads two places."""
    size = 40

    def running_sum(add: Add, a: SSAValue) -> list[SSAValue]:
        for n in range(steps):
            shift = min(2**n, size)
            kept = add(t.SliceOp(a, (0,), (size - shift,)))
            a = add(t.BinaryOp("add", a, add(t.PadOp(kept, (shift,), (0,)))))
        return [a]

    def rotations(add: Add, a: SSAValue) -> list[SSAValue]:
        for n in range(1, steps):
            front, back = add(t.SliceOp(a, (0,), (n,))), add(t.SliceOp(a, (n,), (size,)))
            a = add(t.BinaryOp("add", a, add(t.ConcatOp([back, front], 0))))
        return [a]

    for body in (running_sum, rotations):
        module = check([normal(size)], body)
        assert len(list(module.walk())) < 3000


# The shape of the result: nests, buffers, names


def keepdims(add: Add, x: SSAValue, shape: tuple[int, ...], axis: int) -> SSAValue:
    """A reduction's result, back at the shape of what was reduced."""
    kept = tuple(1 if n == axis else size for n, size in enumerate(shape))
    return add(t.BroadcastOp(add(t.ReshapeOp(x, kept)), shape))


def softmax(shape: tuple[int, ...], axis: int) -> Body:
    def body(add: Add, x: SSAValue) -> list[SSAValue]:
        largest = keepdims(add, add(t.ReduceOp("max", x, (axis,)), "largest"), shape, axis)
        e = add(t.UnaryOp("exp", add(t.BinaryOp("sub", x, largest))), "e")
        total = keepdims(add, add(t.ReduceOp("add", e, (axis,)), "total"), shape, axis)
        return [add(t.BinaryOp("div", e, total), "y")]

    return body


def layer_norm(shape: tuple[int, int]) -> Body:
    rows, columns = shape

    def body(add: Add, x: SSAValue, gain: SSAValue) -> list[SSAValue]:
        scale = add(t.ConstantOp(literal(np.full(rows, 1 / columns, np.float32))))
        mean = add(t.BinaryOp("mul", add(t.ReduceOp("add", x, (1,))), scale), "mean")
        centred = add(t.BinaryOp("sub", x, keepdims(add, mean, shape, 1)), "centred")
        square = add(t.BinaryOp("mul", centred, centred))
        variance = add(t.BinaryOp("mul", add(t.ReduceOp("add", square, (1,))), scale), "variance")
        root = add(t.UnaryOp("rsqrt", variance), "root")
        scaled = add(t.BinaryOp("mul", centred, keepdims(add, root, shape, 1)))
        return [add(t.BinaryOp("mul", scaled, add(t.BroadcastOp(gain, shape)))), mean, root]

    return body


def linear_relu(add: Add, x: SSAValue, w: SSAValue, b: SSAValue) -> list[SSAValue]:
    hidden = add(t.MatmulOp(x, w), "hidden")
    total = add(t.BinaryOp("add", hidden, add(t.BroadcastOp(b, (4, 5)))))
    zero = add(t.ConstantOp(literal(np.zeros((4, 5), np.float32))))
    return [add(t.BinaryOp("maximum", total, zero))]


def test_linear_relu_is_one_nest() -> None:
    module = check([normal(4, 3), normal(3, 5), normal(5)], linear_relu)
    (parallel,) = loops(module, loop.ParallelOp)
    (reduction,) = loops(module, loop.ReduceOp)
    assert [dim.name for dim in parallel.dims] == ["i", "j"]
    assert [dim.name for dim in reduction.dims] == ["k"]
    assert reduction.results[0].name_hint == "hidden"
    assert len(loops(module, loop.StoreOp)) == 1


@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_is_one_loop_over_rows_and_keeps_its_row_in_the_output(axis: int) -> None:
    module = check([normal(4, 7)], softmax((4, 7), axis))
    (kernel,) = loops(module, loop.KernelOp)
    (rows,) = kernel.body.block.ops
    assert isinstance(rows, loop.ParallelOp)
    assert [dim.extent for dim in rows.dims] == [4 if axis == 1 else 7]
    assert len(loops(module, loop.ReduceOp)) == 2
    assert str(module).count("math.exp") == 1, "each exponential is computed once"
    assert not loops(module, loop.AllocOp), "the row waits in the output's own place"
    names = [name.data for op in loops(module, loop.LoopOp) for name in op.names]
    assert len(set(names)) == len(names)


def test_softmax_over_a_vector_and_over_three_axes() -> None:
    check([normal(7)], softmax((7,), 0))
    for axis in range(3):
        module = check([normal(3, 4, 5)], softmax((3, 4, 5), axis))
        assert str(module).count("math.exp") == 1


def test_layer_norm_shares_its_rows_with_the_statistics_it_returns() -> None:
    module = check([normal(4, 7), normal(7, seed=1)], layer_norm((4, 7)))
    (kernel,) = loops(module, loop.KernelOp)
    assert len(list(kernel.body.block.ops)) == 1
    assert len(loops(module, loop.ReduceOp)) == 2
    assert not loops(module, loop.AllocOp), "cheap values are computed again"
    assert str(module).count("math.rsqrt") == 1, "once a row, not once an element"


def test_a_costly_row_of_another_type_than_the_output_gets_a_buffer() -> None:
    def body(add: Add, x: SSAValue) -> list[SSAValue]:
        e = add(t.UnaryOp("exp", x), "e")
        total = keepdims(add, add(t.ReduceOp("add", e, (1,))), (4, 7), 1)
        return [add(t.CompareOp("gt", add(t.BinaryOp("mul", e, e)), total))]

    module = check([normal(4, 7)], body)
    (alloc,) = loops(module, loop.AllocOp)
    assert alloc.memref.name_hint == "e"
    assert alloc.memref.type.get_shape() == (7,)
    assert str(module).count("math.exp") == 1


def test_row_and_column_statistics_are_computed_once_each() -> None:
    def body(add: Add, x: SSAValue) -> list[SSAValue]:
        rows = keepdims(add, add(t.ReduceOp("add", x, (1,)), "rows"), (4, 7), 1)
        columns = keepdims(add, add(t.ReduceOp("add", x, (0,)), "columns"), (4, 7), 0)
        return [add(t.BinaryOp("sub", x, add(t.BinaryOp("mul", rows, columns))))]

    module = check([normal(4, 7)], body)
    executions = {op.results[0].name_hint: _executions(op) for op in loops(module, loop.ReduceOp)}
    assert executions == {"rows": 4, "columns": 7}


def _executions(op: Operation) -> int:
    """How often an op inside loops with constant bounds runs."""
    count = 1
    around = op.parent_op()
    while isinstance(around, loop.LoopOp):
        for dim in around.dims:
            count *= dim.extent or 0
        around = around.parent_op()
    return count


def test_what_follows_a_reduction_is_loaded_after_it() -> None:
    def body(add: Add, x: SSAValue, w: SSAValue, old: SSAValue) -> list[SSAValue]:
        return [add(t.BinaryOp("sub", old, add(t.MatmulOp(x, w))))]

    module = check([normal(4, 3), normal(3, 5), normal(4, 5)], body)
    (nest,) = loops(module, loop.ParallelOp)
    assert [op.name for op in nest.body.block.ops][:2] == ["loop.reduce", "loop.load"]


def test_scalars_are_computed_before_the_loops() -> None:
    def body(add: Add, x: SSAValue, beta: SSAValue, step: SSAValue) -> list[SSAValue]:
        factor = add(t.BinaryOp("pow", beta, step), "factor")
        return [add(t.BinaryOp("mul", x, add(t.BroadcastOp(factor, (4, 7)))))]

    module = check([normal(4, 7), np.array(0.9, np.float32), np.array(3, np.float32)], body)
    (power,) = [op for op in module.walk() if op.name == "math.powf"]
    assert _executions(power) == 1


def test_outputs_of_one_size_share_a_nest_and_what_they_have_in_common() -> None:
    def body(add: Add, x: SSAValue) -> list[SSAValue]:
        e = add(t.UnaryOp("exp", x))
        return [e, add(t.BinaryOp("add", e, x)), add(t.CompareOp("gt", e, x))]

    module = check([normal(4, 7)], body)
    assert len(loops(module, loop.ParallelOp)) == 1
    assert str(module).count("math.exp") == 1


def test_a_stored_value_is_read_back_rather_than_computed_again() -> None:
    def body(add: Add, x: SSAValue, w: SSAValue) -> list[SSAValue]:
        h = add(t.MatmulOp(x, w), "h")
        return [h, add(t.ReduceOp("max", h, (0,)))]

    module = check([normal(4, 3), normal(3, 5)], body)
    assert [_executions(op) for op in loops(module, loop.ReduceOp)].count(20) == 1
    assert len(loops(module, loop.ReduceOp)) == 2


def test_a_reshape_at_the_end_does_not_repeat_what_is_before_it() -> None:
    """Group statistics: one reduction a group, not one an element of the result."""

    def body(add: Add, x: SSAValue) -> list[SSAValue]:
        groups = add(t.ReshapeOp(x, (2, 3, 4)))
        mean = keepdims(add, add(t.ReduceOp("add", groups, (2,)), "mean"), (2, 3, 4), 2)
        return [add(t.ReshapeOp(add(t.BinaryOp("sub", groups, mean)), (2, 12)))]

    module = check([normal(2, 12)], body)
    (reduction,) = loops(module, loop.ReduceOp)
    assert _executions(reduction) == 6
    assert " mod " not in str(module) and "floordiv" not in str(module)


def test_equal_kernels_share_a_symbol() -> None:
    inputs = [normal(4, 3), normal(3, 5), normal(5)]
    module = kernel_module(inputs, linear_relu, copies=3)
    expected = evaluate(module, inputs)
    lower(module)
    assert len(loops(module, loop.KernelOp)) == 1
    assert [op.kernel.root_reference.data for op in loops(module, loop.LaunchOp)] == ["kernel0"] * 3
    for before, after in zip(expected, evaluate(module, inputs), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-6)


def test_names_that_the_kernel_absorbed_stay_with_it() -> None:
    module = kernel_module([normal(3)], lambda add, a: [add(t.UnaryOp("exp", a))])
    (kernel,) = loops(module, buffer.KernelOp)
    kernel.properties["absorbed"] = ArrayAttr([StringAttr("hidden"), StringAttr("loss")])
    (lowered,) = loops(lower(module), loop.KernelOp)
    assert str(lowered.attributes["absorbs"]) == '["hidden", "loss"]'


def test_the_users_lines_stay_with_the_kernel() -> None:
    def body(add: Add, a: SSAValue) -> list[SSAValue]:
        results: list[SSAValue] = []
        for line in (3, 7, 3):
            op = t.UnaryOp("exp", a)
            op.attributes["at"] = StringAttr(f"model.py:{line}")
            results.append(add(op))
        return results

    (kernel,) = loops(lower(kernel_module([normal(3)], body)), loop.KernelOp)
    assert str(kernel.attributes["at"]) == '["model.py:3", "model.py:7"]'


# Random kernels

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


# Scans and sorts


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", ["add", "mul", "max", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_scan(kind: str, axis: int, dtype: Any) -> None:
    x = (normal(5, 4) * 2).astype(dtype)
    check([x], lambda add, a: [add(t.ScanOp(kind, a, axis))])
    if kind in ("add", "mul"):
        check([x], lambda add, a: [add(t.ScanOp(kind, a, axis, exclusive=True))])


def test_scan_carries_one_total_along_each_row() -> None:
    module = check([normal(3, 7)], lambda add, a: [add(t.ScanOp("add", a, 1))])
    (sequence,) = loops(module, loop.ForOp)
    assert len(sequence.inits) == 1
    assert isinstance(sequence.parent_op(), loop.ParallelOp)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("descending", [False, True])
def test_argsort(descending: bool, axis: int) -> None:
    def body(add: Add, a: SSAValue) -> list[SSAValue]:
        return [add(t.ArgSortOp(a, axis, descending=descending))]

    x = integers(5, 6, low=0, high=3).astype(np.float32)
    check([x], body)
    x[2, 4] = x[2, 5] = x[4, 4] = np.nan
    check([x], body)
    check([integers(4, 3, low=-2, high=2)], body)


def test_scan_and_argsort_amid_other_ops() -> None:
    def body(add: Add, a: SSAValue) -> list[SSAValue]:
        sums = add(t.ScanOp("add", add(t.UnaryOp("neg", a)), 1), "sums")
        order = add(t.ArgSortOp(sums, 0), "order")
        total = add(t.ReduceOp("add", sums, (0,)))
        return [add(t.UnaryOp("tanh", sums)), total, add(t.GatherOp(sums, order, 0)), order]

    check([normal(5, 3)], body)
