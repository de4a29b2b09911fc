"""Programs run launch by launch: the same results as at one go, and a time for each launch."""

import numpy as np
import pytest

from picograd.backends.runtime import device
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.errors import DeviceError, IndexOutOfRange
from picograd.passes.base import Level
from picograd.passes.plan_buffers import PlanBuffers

TWO_MATMULS = """
func.func @main(%x: tensor<5x7xf32>, %w: tensor<7x6xf32>, %v: tensor<6x3xf32>)
    -> (tensor<5x3xf32>, tensor<5x6xf32>) {
  %t = pico.constant dense<[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]> : tensor<1x6xf32>
  %a = pico.matmul %x, %w : tensor<5x7xf32>, tensor<7x6xf32> -> tensor<5x6xf32>
  %b = pico.broadcast %t to [5, 6] : tensor<1x6xf32> -> tensor<5x6xf32>
  %c = pico.binary add %a, %b : tensor<5x6xf32>
  %h = pico.unary tanh %c : tensor<5x6xf32>
  %y = pico.matmul %h, %v : tensor<5x6xf32>, tensor<6x3xf32> -> tensor<5x3xf32>
  func.return %y, %c : tensor<5x3xf32>, tensor<5x6xf32>
}
"""

GATHER = """
func.func @main(%x: tensor<4x3xf32>, %i: tensor<2x3xi64>) -> tensor<2x3xf32> {
  %y = pico.gather %x at %i axis 0 : tensor<4x3xf32>, tensor<2x3xi64> -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}
"""


@pytest.mark.parametrize("planned", [True, False])
def test_the_results_are_those_of_the_whole_program(
    planned: bool, rng: np.random.Generator
) -> None:
    cpu = device("cpu")
    passes = [step for step in pipeline("cpu") if planned or not isinstance(step, PlanBuffers)]
    executable = compile_module(parse_module(TWO_MATMULS), "cpu", passes=passes)
    arrays = [rng.standard_normal(type.get_shape(), np.float32) for type in executable.inputs]
    inputs = [cpu.upload(array) for array in arrays]
    expected = [cpu.download(output) for output in executable.run(inputs)]
    module = executable.module(Level.LOOP)
    assert module is not None
    stepped = cpu.step_through(module)
    assert len(stepped.kernels) == executable.report.kernels
    outputs = [cpu.allocate(type) for type in executable.outputs]
    for _ in range(2):
        seconds = stepped.run(inputs, outputs)
        assert len(seconds) == len(stepped.kernels)
        assert all(time >= 0 for time in seconds)
    for output, values in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(cpu.download(output), values)


def test_a_wrong_index_is_found_by_the_launch_that_reads_it() -> None:
    cpu = device("cpu")
    executable = compile_module(parse_module(GATHER), "cpu")
    module = executable.module(Level.LOOP)
    assert module is not None
    indices = np.array([[0, 1, 2], [3, 9, 0]])
    inputs = [cpu.upload(np.ones((4, 3), np.float32)), cpu.upload(indices)]
    outputs = [cpu.allocate(type) for type in executable.outputs]
    with pytest.raises(IndexOutOfRange, match="9"):
        cpu.step_through(module).run(inputs, outputs)


def test_a_missing_buffer_is_named() -> None:
    cpu = device("cpu")
    executable = compile_module(parse_module(GATHER), "cpu")
    module = executable.module(Level.LOOP)
    assert module is not None
    with pytest.raises(DeviceError, match="wrong number of buffers") as caught:
        cpu.step_through(module).run([], [])
    assert caught.value.code == "PG309"


@pytest.mark.parametrize("name", ["reference", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_other_devices_say_that_they_do_not_time_launches(name: str) -> None:
    executable = compile_module(parse_module(TWO_MATMULS), name)
    place = device(name)
    inputs = [place.allocate(type) for type in executable.inputs]
    with pytest.raises(DeviceError, match="not timed on the device") as caught:
        executable.profile(inputs)
    assert caught.value.code == "PG312"
