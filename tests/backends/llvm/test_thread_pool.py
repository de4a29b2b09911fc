"""The thread pool: every chunk runs once, whoever runs it, and the pool can always be stopped."""

import ctypes
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import picograd
from picograd.backends.llvm.codegen import Library, object_code
from picograd.backends.llvm.standing import pool_placement
from picograd.backends.llvm.thread_pool import ThreadPool, imports, shared_pool
from picograd.errors import DeviceError

COUNTER = """
declare void @picograd_parallel(ptr, ptr, ptr, i64, i64)
define void @count(ptr %data, i64 %chunk, i64 %worker) {
  %place = getelementptr i64, ptr %data, i64 %chunk
  %before = atomicrmw add ptr %place, i64 1 monotonic
  ret void
}
define void @outer(ptr %data, i64 %chunk, i64 %worker) {
  ; a loop inside a loop: the pool is taken, so the chunks run here
  %pool.p = getelementptr i64, ptr %data, i64 -1
  %pool = load ptr, ptr %pool.p
  call void @picograd_parallel(ptr %pool, ptr @count, ptr %data, i64 10, i64 8)
  ret void
}
define void @go(ptr %pool, ptr %data, i64 %count, i64 %threads) {
  call void @picograd_parallel(ptr %pool, ptr @count, ptr %data, i64 %count, i64 %threads)
  ret void
}
define void @nested(ptr %pool, ptr %data, i64 %count, i64 %threads) {
  call void @picograd_parallel(ptr %pool, ptr @outer, ptr %data, i64 %count, i64 %threads)
  ret void
}
"""


@pytest.fixture(scope="module")
def native():
    library = Library(object_code(COUNTER), ("go", "nested"), imports())
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    prototype = ctypes.CFUNCTYPE(None, pointer, pointer, number, number)
    functions = {name: prototype(address) for name, address in library.addresses.items()}
    return library, functions


def count(native, pool, chunks, name="go", runs=1):
    """How often each chunk ran."""
    address, threads = pool.enter()
    memory = np.zeros(chunks + 9, np.int64)
    memory[7] = address
    for _ in range(runs):
        native[1][name](address, memory[8:].ctypes.data, chunks, threads)
    return memory[8:-1]


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("chunks", [0, 1, 2, 7, 1000])
def test_every_chunk_runs_once(native, threads, chunks):
    pool = ThreadPool(threads)
    assert (count(native, pool, chunks, runs=20) == 20).all()
    assert pool.running == threads - 1
    pool.stop()
    assert pool.running == 0


def test_sleeping_workers_are_woken(native):
    pool = ThreadPool(4)
    for _ in range(5):
        assert (count(native, pool, 50) == 1).all()
        threading.Event().wait(0.02)  # long enough for the workers to sleep
    pool.stop()


def test_a_stopped_pool_starts_again(native):
    pool = ThreadPool(3)
    for _ in range(10):
        assert (count(native, pool, 20) == 1).all()
        pool.stop()
    pool.set_threads(5)
    assert (count(native, pool, 20) == 1).all()
    assert pool.running == 4
    pool.set_threads(1)
    assert pool.running == 0
    assert (count(native, pool, 20) == 1).all()


def test_loops_inside_loops_run_in_their_own_thread(native):
    pool = ThreadPool(3)
    assert (count(native, pool, 10, name="nested") == 10).all()
    pool.stop()


def test_two_callers_at_once(native):
    pool = ThreadPool(3)
    results = []

    def call():
        results.append(count(native, pool, 200, runs=300))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(results) == 4
    assert all((result == 300).all() for result in results)
    pool.stop()


def test_a_pool_may_be_stopped_while_it_is_used(native):
    pool = ThreadPool(3)
    done = threading.Event()
    results = []

    def call():
        while not done.is_set():
            results.append((count(native, pool, 100, runs=50) == 50).all())

    caller = threading.Thread(target=call)
    caller.start()
    for _ in range(30):
        pool.stop()
    done.set()
    caller.join()
    assert results and all(results)
    pool.stop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_pool_of_its_own(native):
    pool = ThreadPool(3)
    assert (count(native, pool, 50) == 1).all()
    child = os.fork()
    if child == 0:
        fine = pool.running == 0 and (count(native, pool, 50) == 1).all() and pool.running == 2
        os._exit(0 if fine else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (count(native, pool, 50) == 1).all()
    pool.stop()


def test_the_interpreter_exits_while_workers_wait():
    script = textwrap.dedent("""
        from picograd.backends.llvm.thread_pool import ThreadPool
        pool = ThreadPool(4)
        pool.enter()
        print(pool.running)
    """)
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert finished.stdout.strip() == "3"
    assert finished.stderr == ""


def test_the_shared_pool_follows_the_processs_number():
    before = picograd.get_num_threads()
    try:
        picograd.set_num_threads(3)
        assert shared_pool().threads == 3
        shared_pool().enter()
        assert shared_pool().running == 2
        picograd.set_num_threads(2)
        assert (shared_pool().threads, shared_pool().running) == (2, 0)
    finally:
        picograd.set_num_threads(before)


def test_a_system_without_room_for_threads_says_so(native, monkeypatch):
    pool = ThreadPool(4)
    start = threading.Thread.start

    def refuse(thread):
        if thread.name == "picograd-3":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(DeviceError, match="start 4 threads") as raised:
            pool.enter()
    assert raised.value.code == "PG313" and "set_num_threads(3)" in raised.value.hint
    assert pool.running == 0
    assert (count(native, pool, 50) == 1).all()  # there is room again
    assert pool.running == 3
    pool.stop()


@pytest.mark.skipif(not pool_placement.SUPPORTED, reason="the system places threads as it likes")
def test_workers_that_miss_a_job_are_kept_off_the_callers_processor(native):
    """As a scheduler that puts both on one processor makes of it: the caller finds nobody came."""
    everywhere = os.sched_getaffinity(0)
    if len(everywhere) < 2:
        pytest.skip("the process may use one processor only")
    here = min(everywhere)
    pool = ThreadPool(2)
    try:
        count(native, pool, 4)  # starts the worker, which inherits all processors
        [worker] = [one for one in threading.enumerate() if one.name == "picograd-1"]
        known = worker.native_id
        assert known is not None
        os.sched_setaffinity(0, {here})
        os.sched_setaffinity(known, {here})  # behind the caller, who runs all chunks meanwhile
        for _ in range(1000):
            assert (count(native, pool, 4) == 1).all()
            if here not in os.sched_getaffinity(known):
                break
        assert os.sched_getaffinity(known) == everywhere - {here}
    finally:
        os.sched_setaffinity(0, everywhere)
        pool.stop()
