"""What a profile tells of each launch: what it is, what it costs, how long it took."""

import numpy as np
import pytest

import picograd
from picograd import nn, optim
from picograd.backends.runtime import device
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module
from picograd.compiler.profile import profile_of
from picograd.errors import OptionError, ShapeError

TWO_LAYERS = """
func.func @main(%x: tensor<5x7xf32>, %w: tensor<7x7xf32>) -> tensor<5x7xf32> {
  %a = pico.matmul %x, %w {at = "model.py:3"} : tensor<5x7xf32>, tensor<7x7xf32> -> tensor<5x7xf32>
  %b = pico.unary tanh %a {at = "model.py:4"} : tensor<5x7xf32>
  %c = pico.matmul %b, %w {at = "model.py:5"} : tensor<5x7xf32>, tensor<7x7xf32> -> tensor<5x7xf32>
  %d = pico.unary tanh %c {at = "model.py:6"} : tensor<5x7xf32>
  func.return %d : tensor<5x7xf32>
}
"""
OPERATIONS, BYTES = 2 * 35 * 7 + 35, 4 * (35 + 49 + 35)


def test_equal_kernels_are_told_apart_in_order_and_joined_by_kernel() -> None:
    cpu = device("cpu")
    executable = compile_module(parse_module(TWO_LAYERS), "cpu")
    inputs = [cpu.allocate(type) for type in executable.inputs]
    profile = executable.profile(inputs, runs=5)
    assert profile.device == "cpu"
    assert profile.runs == 5
    assert [launch.kernel for launch in profile.launches] == ["matmul_tanh"] * 2
    for launch, lines in zip(profile.launches, (("3", "4"), ("5", "6")), strict=True):
        assert (launch.operations, launch.bytes_moved) == (OPERATIONS, BYTES)
        assert launch.ops == "matmul, tanh"
        assert launch.lines == tuple(f"model.py:{line}" for line in lines)
        assert 0 <= launch.low <= launch.seconds <= launch.high
    (kernel,) = profile.by_kernel()
    assert (kernel.launches, kernel.operations, kernel.bytes_moved) == (
        2,
        2 * OPERATIONS,
        2 * BYTES,
    )
    assert kernel.share == pytest.approx(1)
    assert kernel.seconds == pytest.approx(profile.seconds)
    assert len(kernel.lines) == 4
    data = profile.as_data()
    assert [entry["kernel"] for entry in data["launches"]] == ["matmul_tanh"] * 2
    assert data["kernels"][0]["launches"] == 2


def test_medians_quartiles_and_rates() -> None:
    module = parse_module(TWO_LAYERS)
    profile = profile_of("cpu", ["a", "b", "a"], [[1, 5, 2], [2, 5, 2], [9, 5, 2]], None)
    a, b, again = profile.launches
    assert [launch.seconds for launch in profile.launches] == [2, 5, 2]
    assert (a.low, a.high, a.share) == (1, 9, 2 / 9)
    assert (b.operations, b.bytes_moved, b.gigaops_a_second, again.gigabytes_a_second) == (
        (None,) * 4
    )
    assert [entry.kernel for entry in profile.by_kernel()] == ["b", "a"]
    # The launches are not those of the module: of their costs nothing is told.
    assert profile_of("cpu", ["a"], [[1.0]], module).launches[0].operations is None


def test_a_training_step_is_profiled_and_changes_nothing(rng: np.random.Generator) -> None:
    net = nn.Linear(6, 3)
    optimizer = optim.Adam(net.parameters(), lr=0.1)

    @picograd.compile
    def step(x: picograd.Tensor) -> picograd.Tensor:
        optimizer.zero_grad()
        loss = (net(x) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    x = picograd.tensor(rng.standard_normal((4, 6), np.float32))
    before = [parameter.detach().numpy().copy() for parameter in net.parameters()]
    profile = step.profile(x)
    assert len(profile.launches) > 0
    assert all(launch.operations is not None for launch in profile.launches)
    for parameter, values in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.detach().numpy(), values)
    step(x)
    assert not np.array_equal(net.weight.detach().numpy(), before[0])


def test_what_cannot_be_profiled_is_named() -> None:
    cpu = device("cpu")
    executable = compile_module(parse_module(TWO_LAYERS), "cpu")
    inputs = [cpu.allocate(type) for type in executable.inputs]
    with pytest.raises(OptionError, match="0 runs"):
        executable.profile(inputs, runs=0)
    with pytest.raises(ShapeError, match="not those that the program was compiled for"):
        executable.profile(inputs[:1])
