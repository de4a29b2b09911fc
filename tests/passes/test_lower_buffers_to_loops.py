"""What kernels look like as loops: their nests, buffers and names, at ordinary and odd shapes."""

import numpy as np
import pytest
from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.ir import Operation, SSAValue

from picograd.dialects import buffer, loop, new_context
from picograd.dialects import tensor as t
from picograd.dialects.literals import literal
from picograd.passes.lower_buffers_to_loops import LowerBuffersToLoops
from picograd.semantics.evaluate import evaluate
from tests.passes.lowering.kernels import (
    Add,
    Body,
    check,
    keepdims,
    kernel_module,
    loops,
    lower,
    normal,
)


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
