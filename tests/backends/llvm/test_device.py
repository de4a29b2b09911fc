import threading

import numpy as np
import pytest
from xdsl.parser import Parser

import picograd
from picograd.backends.llvm.device import CpuDevice
from picograd.backends.llvm.memory import ALIGNMENT, BlockPool, rounded
from picograd.backends.llvm.thread_pool import ThreadPool
from picograd.backends.runtime import Buffer, device
from picograd.dialects import new_context
from picograd.dialects.dtypes import DTYPES, float32, tensor_type
from picograd.errors import DeviceError

# Each iteration of the shared loop uses a local buffer, so threads must not share it.
ROTATE = """
  loop.kernel @rotate(%x: memref<64x32xf32>, %y: memref<64x32xf32>) {
    %all = loop.alloc : memref<64x32xf32, "packed">
    loop.parallel %i = 0 to 64 mapping threads {
      %b = loop.alloc : memref<32xf32, "stack">
      loop.parallel %j = 0 to 32 {
        %v = loop.load %x[%i, %j] : memref<64x32xf32>
        loop.store %v, %b[(%j + 1) mod 32] : f32, memref<32xf32, "stack">
      }
      loop.parallel %j = 0 to 32 {
        %v = loop.load %b[%j] : memref<32xf32, "stack">
        loop.store %v, %all[%i, %j] : f32, memref<64x32xf32, "packed">
      }
    }
    loop.for %k = 0 to 2 {
      loop.parallel (%i, %c) = (%k * 32, 0) to (%k * 32 + 32, 2) step (8, 1) mapping threads {
        loop.parallel (%r, %j) = (%i, %c * 16) to (%i + 8, %c * 16 + 16) {
          %v = loop.load %all[%r, %j] : memref<64x32xf32, "packed">
          loop.store %v, %y[63 - %r, %j] : f32, memref<64x32xf32>
        }
      }
    }
  }
  func.func @main(%x: memref<64x32xf32>, %y: memref<64x32xf32> {buffer.output}) {
    loop.launch @rotate(%x, %y) : memref<64x32xf32>, memref<64x32xf32>
    func.return
  }"""


def load(cpu):
    return cpu.load(Parser(new_context(), ROTATE).parse_module())


def call(cpu, program, x):
    output = cpu.allocate(tensor_type(x.shape, float32))
    program.run([cpu.upload(x)], [output])
    return cpu.download(output)


def rotated(x):
    return np.roll(x, 1, axis=1)[::-1]


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype.name != "uint8"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 0, 4)])
def test_arrays_go_in_and_come_out(dtype, shape, rng):
    cpu = CpuDevice()
    array = (rng.standard_normal(shape) * 50).astype(dtype.numpy)
    buffer = cpu.upload(array)
    assert isinstance(buffer, Buffer)
    assert buffer.device is cpu
    assert buffer.nbytes == array.nbytes
    assert buffer.address % ALIGNMENT == 0
    found = cpu.download(buffer)
    assert found.dtype == array.dtype and found.shape == array.shape
    assert found.tobytes() == array.tobytes()
    found[...] = 0
    assert cpu.download(buffer).tobytes() == array.tobytes()


def test_strided_arrays_are_made_dense(rng):
    array = rng.standard_normal((6, 8)).astype(np.float32)[::-2, 1::3].T
    cpu = CpuDevice()
    assert (cpu.download(cpu.upload(array)) == array).all()


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_threads_have_local_buffers_of_their_own(threads, rng):
    cpu = CpuDevice(ThreadPool(threads))
    program = load(cpu)
    for _ in range(20):
        x = rng.standard_normal((64, 32)).astype(np.float32)
        assert (call(cpu, program, x) == rotated(x)).all()
    assert program.scratch_bytes >= 64 * 32 * 4 + threads * 32 * 4
    cpu.pool.stop()


def test_one_program_serves_many_callers(rng):
    cpu = CpuDevice(ThreadPool(2))
    program = load(cpu)
    inputs = [rng.standard_normal((64, 32)).astype(np.float32) for _ in range(4)]
    wrong = []

    def run(x):
        for _ in range(100):
            if not (call(cpu, program, x) == rotated(x)).all():
                wrong.append(x)

    callers = [threading.Thread(target=run, args=(x,)) for x in inputs]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong
    cpu.pool.stop()


def test_buffers_that_do_not_fit_are_refused(rng):
    cpu = CpuDevice()
    program = load(cpu)
    x = cpu.upload(rng.standard_normal((64, 32)).astype(np.float32))
    with pytest.raises(DeviceError, match="number of buffers"):
        program.run([x], [])
    with pytest.raises(DeviceError, match="does not fit argument 1"):
        program.run([x], [cpu.upload(np.zeros(3, np.float32))])
    reference = device("reference").upload(np.zeros((64, 32), np.float32))
    with pytest.raises(DeviceError, match="on reference"):
        program.run([reference], [x])


def test_the_device_is_found_by_name_and_says_what_it_is():
    cpu = device("cpu")
    assert isinstance(cpu, CpuDevice)
    assert cpu is device("cpu")
    assert cpu.name == "cpu" and cpu.adapter


def test_blocks_are_reused_and_aligned():
    pool = BlockPool()
    for nbytes in (0, 1, 63, 64, 65, 1000, 4097, 3 << 20):
        shelf = pool.shelf(nbytes)
        block = shelf.take()
        assert block.nbytes == rounded(nbytes) >= nbytes
        assert rounded(nbytes) <= max(128, nbytes * 1.13 + 64)
        assert block.address % ALIGNMENT == 0
        block.bytes[:] = 7
        shelf.give(block)
        assert pool.shelf(nbytes).take() is block
        assert pool.shelf(nbytes).take() is not block


def test_memory_that_waits_is_given_back_when_asked(rng):
    own = CpuDevice()
    array = rng.standard_normal((700, 800)).astype(np.float32)
    buffer = own.upload(array)
    del buffer
    kept = own._memory.kept
    assert kept == rounded(array.nbytes)
    buffer = own.upload(array)
    assert own._memory.kept == 0
    other = own.upload(array)
    del other
    own.empty_cache()
    assert own._memory.kept == 0
    np.testing.assert_array_equal(own.download(buffer), array)  # what is used stays


def test_all_devices_are_asked():
    shared = device("cpu")
    assert isinstance(shared, CpuDevice)
    buffer = shared.upload(np.zeros(1 << 20))
    del buffer
    assert shared._memory.kept > 0
    picograd.empty_cache()
    assert shared._memory.kept == 0
