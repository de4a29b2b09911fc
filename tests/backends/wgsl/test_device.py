"""The GPU device: moving tensors, running programs over and over, and its errors."""

import gc
from collections.abc import Sequence

import numpy as np
import pytest

from picograd.backends.runtime import Buffer
from picograd.backends.wgsl.device import GpuDevice, kernel_number
from picograd.backends.wgsl.runtime import Binding
from picograd.compiler.diagnostics import parse_module
from picograd.dialects import dtypes
from picograd.errors import CompileError, DeviceError, DTypeError, IndexOutOfRange, ShapeError
from picograd.targets import lookup

pytestmark = pytest.mark.gpu

ADD = """
func.func @main(%x: memref<5x7xf32>, %y: memref<5x7xf32>, %out: memref<5x7xf32> {buffer.output}) {
  %arena = buffer.arena : memref<512xi8>
  %h = buffer.place %arena at 256 : memref<512xi8> to memref<5x7xf32>
  %c = buffer.constant dense<3.0> : memref<5x7xf32>
  loop.launch @add(%x, %y, %h) : memref<5x7xf32>, memref<5x7xf32>, memref<5x7xf32>
  loop.launch @add(%h, %c, %out) : memref<5x7xf32>, memref<5x7xf32>, memref<5x7xf32>
  func.return
}

loop.kernel @add(%a: memref<5x7xf32>, %b: memref<5x7xf32>, %c: memref<5x7xf32>) {
  loop.parallel (%i, %j) = (0, 0) to (5, 7) mapping grid {
    loop.parallel %once = 0 to 1 mapping workgroup {
      %v = loop.load %a[%i, %j] : memref<5x7xf32>
      %w = loop.load %b[%i, %j] : memref<5x7xf32>
      %s = arith.addf %v, %w : f32
      loop.store %s, %c[%i, %j] : f32, memref<5x7xf32>
    }
  }
}
"""

PICK = """
func.func @main(%n: memref<4xi32>, %x: memref<9xf32>, %y: memref<4xf32> {buffer.output}) {
  loop.launch @pick(%n, %x, %y) : memref<4xi32>, memref<9xf32>, memref<4xf32>
  func.return
}

loop.kernel @pick(%n: memref<4xi32>, %x: memref<9xf32>, %y: memref<4xf32>) {
  loop.parallel %g = 0 to 1 mapping grid {
    loop.parallel %i = 0 to 4 mapping workgroup {
      %v = loop.load %n[%i] : memref<4xi32>
      %at = loop.checked_index %v : i32 below 9
      %e = loop.load %x[%at] : memref<9xf32>
      loop.store %e, %y[%i] : f32, memref<4xf32>
    }
  }
}
"""


def random(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


@pytest.fixture
def device() -> GpuDevice:
    return GpuDevice()


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (7, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64, np.bool_])
def test_an_array_comes_back_as_it_went(
    device: GpuDevice, shape: tuple[int, ...], dtype: type, rng: np.random.Generator
) -> None:
    array = np.asarray(rng.integers(-3, 4, shape)).astype(dtype)
    buffer = device.upload(array)
    assert isinstance(buffer, Buffer)
    assert buffer.device is device
    assert buffer.nbytes == 4 * array.size
    assert str(buffer.type) == str(dtypes.tensor_type(shape, dtypes.from_numpy(array.dtype)))
    back = device.download(buffer)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)


def test_float64_is_refused_by_name(device: GpuDevice) -> None:
    for make in (
        lambda: device.upload(np.zeros(3)),
        lambda: device.allocate(dtypes.tensor_type((3,), dtypes.float64)),
    ):
        with pytest.raises(DTypeError, match="float64") as caught:
            make()
        assert ".float()" in caught.value.hint


def test_a_program_runs_over_and_over(device: GpuDevice, rng: np.random.Generator) -> None:
    program = device.load(parse_module(ADD))
    assert program.launches == 2
    for _ in range(5):
        x, y = random(rng, 5, 7), random(rng, 5, 7)
        output = device.allocate(dtypes.tensor_type((5, 7), dtypes.float32))
        program.run([device.upload(x), device.upload(y)], [output])
        np.testing.assert_array_equal(device.download(output), x + y + np.float32(3))


def test_devices_can_be_made_again_and_again(rng: np.random.Generator) -> None:
    x = random(rng, 5, 7)
    for _ in range(5):
        device = GpuDevice()
        program = device.load(parse_module(ADD))
        output = device.allocate(dtypes.tensor_type((5, 7), dtypes.float32))
        program.run([device.upload(x), device.upload(x)], [output])
        np.testing.assert_array_equal(device.download(output), x + x + np.float32(3))
        del device, program, output
        gc.collect()


def test_memory_is_used_again(device: GpuDevice, rng: np.random.Generator) -> None:
    program = device.load(parse_module(ADD))
    buffer = device.upload(random(rng, 5, 7))
    for _ in range(20):
        output = device.allocate(dtypes.tensor_type((5, 7), dtypes.float32))
        program.run([buffer, buffer], [output])
        buffer = output
    del output
    assert device.pool.created <= 6
    assert device.download(buffer).shape == (5, 7)


def test_an_input_may_be_the_output_too(device: GpuDevice, rng: np.random.Generator) -> None:
    x = random(rng, 5, 7)
    buffer = device.upload(x)
    device.load(parse_module(ADD)).run([buffer, buffer], [buffer])
    np.testing.assert_array_equal(device.download(buffer), x + x + np.float32(3))


def test_buffers_that_do_not_fit_are_refused(device: GpuDevice) -> None:
    program = device.load(parse_module(ADD))
    good = device.upload(np.zeros((5, 7), np.float32))
    with pytest.raises(ShapeError, match="wrong shape"):
        program.run([good, device.upload(np.zeros((7, 5), np.float32))], [good])
    with pytest.raises(DTypeError, match="wrong dtype"):
        program.run([good, device.upload(np.zeros((5, 7), np.int32))], [good])
    with pytest.raises(ShapeError, match="wrong number"):
        program.run([good], [good])


def test_an_index_out_of_range_is_reported_once(
    device: GpuDevice, rng: np.random.Generator
) -> None:
    program = device.load(parse_module(PICK))
    x = random(rng, 9)
    output = device.upload(np.zeros(4, np.float32))
    for bad in (9, -1, 2**31 - 1):
        index = np.array([1, bad, 3, 0], np.int32)
        program.run([device.upload(index), device.upload(x)], [output])
        with pytest.raises(IndexOutOfRange, match=rf"index {bad} .* size 9") as caught:
            device.download(output)
        assert "@pick" in caught.value.where
        found = device.download(output)
        np.testing.assert_array_equal(found[[0, 2, 3]], x[[1, 3, 0]])
    program.run([device.upload(np.arange(4, dtype=np.int32)), device.upload(x)], [output])
    device.synchronize()
    np.testing.assert_array_equal(device.download(output), x[:4])


def test_a_failure_beside_another_threads_download_is_not_forgotten(
    device: GpuDevice, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = device.load(parse_module(PICK))
    x, output = random(rng, 9), device.upload(np.zeros(4, np.float32))
    read = device.gpu.read

    def run(*index: int) -> None:
        given = device.upload(np.array(index, np.int32))
        program.run([given, device.upload(x)], [output])

    def read_beside(parts: Sequence[Binding]) -> list[bytes]:
        monkeypatch.undo()
        found = read(parts)
        run(1, 9, 3, 0)  # what another thread may do at this moment
        return found

    run(0, 1, 2, 3)
    monkeypatch.setattr(device.gpu, "read", read_beside)
    device.download(output)
    with pytest.raises(IndexOutOfRange, match=r"index 9 .* size 9"):
        device.download(output)


def test_kernels_sign_the_status_word_with_a_number_of_their_own() -> None:
    assert kernel_number("pick") != kernel_number("put")
    assert 0 <= kernel_number("pick") < 2**32


def test_a_buffer_of_another_device_is_refused(device: GpuDevice) -> None:
    class Elsewhere:
        name = "cpu"

    class Foreign:
        type = dtypes.tensor_type((3,), dtypes.float32)
        device = Elsewhere()
        nbytes = 12

    with pytest.raises(DeviceError, match="another device"):
        device.download(Foreign())  # type: ignore[arg-type]


def test_the_target_gets_the_limits_of_the_adapter(device: GpuDevice) -> None:
    target = lookup("gpu")
    assert target.workgroup_bytes == device.gpu.limits.max_workgroup_bytes
    assert target.storage_buffers == device.gpu.limits.max_storage_buffers - 1


def test_a_module_of_another_level_is_refused(device: GpuDevice) -> None:
    with pytest.raises(CompileError, match="no meaning on the GPU"):
        device.load(
            parse_module("""
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %y = pico.unary exp %x : tensor<3xf32>
  func.return %y : tensor<3xf32>
}""")
        )


def test_a_place_that_is_not_aligned_is_refused(device: GpuDevice) -> None:
    with pytest.raises(CompileError, match="alignment"):
        device.load(parse_module(ADD.replace("at 256", "at 64")))


def test_checked_devices_give_the_same_results(rng: np.random.Generator) -> None:
    x = random(rng, 5, 7)
    results: list[bytes] = []
    for device in (GpuDevice(), GpuDevice(checked=True)):
        output = device.allocate(dtypes.tensor_type((5, 7), dtypes.float32))
        device.load(parse_module(ADD)).run([device.upload(x), device.upload(x)], [output])
        results.append(device.download(output).tobytes())
    assert results[0] == results[1]
