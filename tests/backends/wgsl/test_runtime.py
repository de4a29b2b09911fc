"""The wrapper of wgpu: memory, pipelines, submission; adapters are chosen without a GPU."""

import itertools
import multiprocessing
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from picograd.backends.wgsl.pool import MemoryPool
from picograd.backends.wgsl.runtime import (
    Binding,
    Dispatch,
    Gpu,
    Memory,
    choose_adapter,
    open_gpu,
)
from picograd.errors import CompileError, DeviceError, LimitError

DOUBLE = """
@group(0) @binding(0) var<storage, read_write> x: array<f32, 64>;
@group(0) @binding(1) var<storage, read_write> y: array<f32, 64>;
@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) lid: u32) {
  y[lid] = 2.0f * x[lid];
}
"""


def adapter(backend: str, kind: str, name: str) -> Any:
    return SimpleNamespace(info={"backend_type": backend, "adapter_type": kind, "device": name})


def test_a_discrete_vulkan_adapter_is_preferred() -> None:
    found = [
        adapter("OpenGL", "DiscreteGPU", "gl"),
        adapter("Vulkan", "CPU", "software"),
        adapter("Vulkan", "DiscreteGPU", "fast"),
        adapter("Metal", "IntegratedGPU", "small"),
    ]
    assert choose_adapter(found).info["device"] == "fast"
    assert choose_adapter(found[:2]).info["device"] == "software"


def test_without_a_usable_adapter_the_error_tells_the_remedy() -> None:
    with pytest.raises(DeviceError) as caught:
        choose_adapter([adapter("OpenGL", "CPU", "gl")])
    assert "apt-get install mesa-vulkan-drivers libvulkan1" in str(caught.value)
    assert "gl (OpenGL)" in caught.value.found
    with pytest.raises(DeviceError, match="no GPU adapter") as caught:
        choose_adapter([])
    assert caught.value.found == "no adapter at all"
    assert caught.value.code == "PG304"


@pytest.fixture
def gpu() -> Gpu:
    return open_gpu()


def whole(memory: Memory) -> Binding:
    return Binding(memory, 0, memory.nbytes)


def filled(gpu: Gpu, array: np.ndarray) -> Memory:
    memory = gpu.create_memory(array.nbytes)
    gpu.write(memory, array)
    return memory


def run_double(gpu: Gpu, array: np.ndarray, times: int = 1) -> np.ndarray:
    pipeline = gpu.create_pipeline(DOUBLE, 2, "double")
    memories = [filled(gpu, array), *(gpu.create_memory(array.nbytes) for _ in range(times))]
    gpu.submit(
        [
            Dispatch(pipeline, gpu.create_bind_group(pipeline, [whole(a), whole(b)]), (1, 1, 1))
            for a, b in itertools.pairwise(memories)
        ]
    )
    (data,) = gpu.read([whole(memories[-1])])
    return np.frombuffer(data, np.float32)


@pytest.mark.gpu
def test_the_process_has_one_gpu(gpu: Gpu) -> None:
    assert open_gpu() is gpu
    assert gpu.limits.max_invocations >= 256
    assert gpu.limits.max_storage_buffers >= 8


@pytest.mark.gpu
def test_what_is_written_is_read_back_in_parts(gpu: Gpu, rng: np.random.Generator) -> None:
    array = rng.standard_normal(1000).astype(np.float32)
    memory = filled(gpu, array)
    empty, middle, first = gpu.read(
        [Binding(memory, 0, 0), Binding(memory, 256, 400), Binding(memory, 0, 4)]
    )
    assert empty == b""
    assert middle == array[64:164].tobytes()
    assert first == array[:1].tobytes()
    large = rng.standard_normal(300_000).astype(np.float32)
    assert gpu.read([Binding(filled(gpu, large), 0, large.nbytes)]) == [large.tobytes()]


@pytest.mark.gpu
def test_dispatches_of_one_submission_see_each_other(gpu: Gpu, rng: np.random.Generator) -> None:
    array = rng.standard_normal(64).astype(np.float32)
    np.testing.assert_array_equal(run_double(gpu, array, times=5), array * 32)


@pytest.mark.gpu
def test_equal_texts_share_a_pipeline(gpu: Gpu) -> None:
    assert gpu.create_pipeline(DOUBLE, 2, "a") is gpu.create_pipeline(DOUBLE, 2, "b")


@pytest.mark.gpu
def test_bad_wgsl_is_a_compile_error_that_names_the_kernel(gpu: Gpu) -> None:
    with pytest.raises(CompileError, match="kernel broken") as caught:
        gpu.create_pipeline("fn main() { let x: i32 = 1.0f; }", 0, "broken")
    assert caught.value.code == "PG903"
    assert run_double(gpu, np.ones(64, np.float32))[0] == 2


@pytest.mark.gpu
def test_a_buffer_beyond_the_device_is_a_limit_error(gpu: Gpu) -> None:
    with pytest.raises(LimitError, match="larger than the GPU can hold") as caught:
        gpu.create_memory(gpu.limits.max_buffer_bytes + 16, "weights")
    assert caught.value.where == "weights"
    assert caught.value.code == "PG307"


@pytest.mark.gpu
def test_a_driver_without_room_is_a_device_error(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = gpu._wgpu.GPUError("Not enough memory left.\nMore of the driver's words")

    def full(**_: object) -> None:
        raise failure

    monkeypatch.setattr(gpu._device, "create_buffer", full)
    with pytest.raises(DeviceError, match="no room for 4096 bytes") as caught:
        gpu.create_memory(4096, "weights")
    assert caught.value.code == "PG306"
    assert caught.value.found == "Not enough memory left."


@pytest.mark.gpu
def test_the_pool_hands_memory_out_again(gpu: Gpu) -> None:
    pool = MemoryPool(gpu, keep_bytes=4096)
    first = pool.take(1000)
    pool.give_back(first)
    assert pool.take(1010) is first
    assert pool.take(1010) is not first
    assert pool.created == 2
    large = pool.take(8192)
    pool.give_back(large)
    assert pool.take(8192) is not large


@pytest.mark.gpu
def test_a_pool_is_emptied_when_asked(gpu: Gpu) -> None:
    pool = MemoryPool(gpu)
    memory = pool.take(4096)
    pool.give_back(memory)
    pool.empty()
    again = pool.take(4096)
    assert again is not memory
    assert pool.created == 2


@pytest.mark.gpu
def test_many_threads_may_use_the_gpu_at_once(gpu: Gpu, rng: np.random.Generator) -> None:
    arrays = [rng.standard_normal(64).astype(np.float32) for _ in range(4)]
    results: dict[int, list[np.ndarray]] = {}

    def work(number: int) -> None:
        results[number] = [run_double(gpu, arrays[number]) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, array in enumerate(arrays):
        for result in results[number]:
            np.testing.assert_array_equal(result, array * 2)


def _use_in_child(connection: Any) -> None:
    try:
        open_gpu()
        connection.send("no error")
    except DeviceError as error:
        connection.send(str(error))


@pytest.mark.gpu
def test_a_forked_child_gets_a_clear_error(gpu: Gpu) -> None:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_use_in_child, args=(theirs,))
    child.start()
    assert ours.poll(30)
    message = ours.recv()
    child.join(30)
    assert message.startswith("[PG310] ") and "forked" in message
    assert "spawn" in message
