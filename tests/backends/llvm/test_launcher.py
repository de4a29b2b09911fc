"""The way into machine code: addresses and numbers of Python in, memory on the stack or lent."""

import threading
from typing import Any

import numpy as np
import pytest

from picograd.backends.llvm.launcher import MOST_ON_STACK
from picograd.backends.runtime import device
from picograd.compiler.executable import compile_module
from picograd.dialects.dtypes import DTYPES, float32, int32, int64, tensor_type
from picograd.dialects.tensor import GatherOp, int_attr
from picograd.errors import IndexOutOfRange
from picograd.frontend.modes.eager import BlockOps, single_op_module

CPU: Any = device("cpu")
NUMBERS = {"float": (0.1, -0.0, 1e300, float("nan"), -1.0, 7, True), "int": (1, 5), "bool": (0, 1)}


def repeated(dtype) -> Any:
    """A program that repeats a 0-d tensor: the number that came in."""
    ops = BlockOps([tensor_type((), dtype)])
    return compile_module(ops.module([ops.broadcast(ops.block.args[0], (3,))]), "cpu").program


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
def test_numbers_are_passed_as_tensors_of_their_dtype(dtype):
    launch = repeated(dtype).launch_with([dtype, None])
    if dtype.is_half:
        assert launch is None  # C has no such numbers
        return
    out = CPU.allocate(tensor_type((3,), dtype))
    for number in NUMBERS[dtype.kind]:
        assert launch(number, out.address) == 0
        with np.errstate(over="ignore"):
            expected = np.full(3, number, dtype.numpy)
        np.testing.assert_array_equal(CPU.download(out), expected)


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.kind == "int"], ids=lambda d: d.name)
def test_integers_wrap_around(dtype):
    launch = repeated(dtype).launch_with([dtype, None])
    out = CPU.allocate(tensor_type((3,), dtype))
    assert launch(-1, out.address) == 0
    assert CPU.download(out)[0] == np.array(-1).astype(dtype.numpy)


def test_arguments_that_lie_where_others_do_are_not_given(rng):
    type = tensor_type((5,), float32)
    ops = BlockOps([type, tensor_type((), float32)])
    x, number = ops.block.args
    added = ops.add(x, ops.broadcast(number, (5,)))
    program: Any = compile_module(ops.module([added, ops.mul(added, x)]), "cpu").program
    start = rng.standard_normal(5).astype(np.float32)
    x, product = CPU.upload(start), CPU.allocate(type)
    launch = program.launch_with([None, float32, None, None], {3: 0})
    assert launch(x.address, 2.0, product.address) == 0
    np.testing.assert_array_equal(CPU.download(product), start + np.float32(2))
    np.testing.assert_array_equal(CPU.download(x), (start + np.float32(2)) * start)
    with pytest.raises(TypeError):
        launch(x.address, 2.0, product.address, x.address)
    with pytest.raises(TypeError):
        launch(x.address, 2.0)


def test_what_is_no_such_number_is_refused():
    for dtype, number in ((int64, 2**63), (int32, 2**31), (int32, -(2**31) - 1)):
        launch = repeated(dtype).launch_with([dtype, None])
        with pytest.raises(OverflowError):
            launch(number, 0)
    with pytest.raises(TypeError):
        launch("1", 0)
    with pytest.raises(TypeError):
        launch(1)  # there is no address for the result
    with pytest.raises(TypeError):
        launch(1, None)


def test_an_index_that_is_out_of_range_comes_back():
    types = (tensor_type((5,), float32), tensor_type((2,), int64))
    executable = compile_module(single_op_module(GatherOp, types, {"axis": int_attr(0)}), "cpu")
    buffers = [CPU.upload(np.arange(5, dtype=np.float32)), CPU.upload(np.array([1, -7]))]
    with pytest.raises(IndexOutOfRange, match="-7"):
        executable.run(buffers)
    addresses = [buffer.address for buffer in (*buffers, CPU.allocate(types[0]))]
    launch = executable.program.launch
    assert launch is not None and launch(*addresses) == (-7, 5)


@pytest.mark.parametrize("rows", [4, 64])
def test_memory_of_a_call_is_its_own(rows, rng):
    """Products of products, by two threads at once: intermediates on the stack, and lent ones."""
    shape = (rows, rows)
    ops = BlockOps([tensor_type(shape, float32)])
    value = argument = ops.block.args[0]
    for _ in range(4):
        value = ops.matmul(value, argument)
    executable = compile_module(ops.module([value]), "cpu")
    assert (executable.report.bytes_planned < MOST_ON_STACK) == (rows == 4)
    inputs = [rng.standard_normal(shape).astype(np.float32) / rows for _ in range(2)]
    wrong = []

    def work(x):
        buffer, expected = CPU.upload(x), np.linalg.matrix_power(x.astype(np.float64), 5)
        for _ in range(200):
            (result,) = executable.run([buffer])
            if not np.allclose(CPU.download(result), expected, rtol=1e-3, atol=1e-6):
                wrong.append(x)

    threads = [threading.Thread(target=work, args=(x,)) for x in inputs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
