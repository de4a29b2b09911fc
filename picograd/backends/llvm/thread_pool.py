"""A small pool of threads that wait in machine code, so that a parallel loop costs a microsecond.

Each worker is a Python thread that enters native code once and stays there: it spins for a while,
sleeps when nothing comes, and returns when it is told to stop. Python code never runs in a worker
in between, so the interpreter lock plays no part. `standing.pool` holds the machine code and the
reasons why it is correct.

Workers are stopped and joined before the process forks (a child starts with a pool of its own) and
at exit, before the memory of compiled code goes away.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import weakref

from picograd.backends import thread_count
from picograd.backends.llvm.python_functions import once
from picograd.backends.llvm.standing import pool
from picograd.backends.llvm.standing.code import POOL_CODE
from picograd.backends.thread_count import checked_threads, get_num_threads
from picograd.errors import DeviceError

# How often a worker looks for a job before it sleeps: about a tenth of a millisecond, longer than
# the gap between two kernels of one program and short enough not to be a nuisance to others.
_SPINS = 4000

_WHAT = "the number of threads"


class _Native:
    """The pool's machine code, bound to Python."""

    def __init__(self) -> None:
        self.library = POOL_CODE.library()
        at = self.library.addresses
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        one = ctypes.CFUNCTYPE(None, pointer)
        self.parallel_address = at["picograd_parallel"]
        self.initialize = one(at["picograd_pool_initialize"])
        self.stop = one(at["picograd_pool_stop"])
        self.start = ctypes.CFUNCTYPE(None, pointer, number)(at["picograd_pool_start"])
        self.work = ctypes.CFUNCTYPE(None, pointer, number, number, number)(
            at["picograd_pool_work"]
        )


@once
def _native() -> _Native:
    return _Native()


def imports() -> dict[str, int]:
    """Addresses of the symbols that generated code calls to run a parallel loop."""
    return {"picograd_parallel": _native().parallel_address}


class ThreadPool:
    """Threads that share the chunks of one parallel loop at a time.

    Results never depend on the number of threads: loops are cut into chunks by their shape, and a
    chunk computes the same wherever it runs. Two Python threads may use the pool at once; the one
    that finds it taken runs its chunks alone.
    """

    def __init__(self, threads: int | None = None) -> None:
        """`threads` counts the caller; None means as many as the process uses."""
        self._threads = get_num_threads() if threads is None else checked_threads(threads, _WHAT)
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        """Fresh state with no workers: at first, and in a forked child."""
        self._lock = threading.Lock()
        self._workers: list[threading.Thread] = []
        self._memory = ctypes.create_string_buffer(pool.STATE_BYTES + pool.STATE_ALIGNMENT)
        start = ctypes.addressof(self._memory)
        self._address = start + -start % pool.STATE_ALIGNMENT
        self._initialized = False  # who has no workers needs no more than zeros

    @property
    def threads(self) -> int:
        """How many threads run a parallel loop, the caller included."""
        return self._threads

    @property
    def running(self) -> int:
        """How many worker threads are alive now."""
        return len(self._workers)

    def set_threads(self, threads: int) -> None:
        """Change the number of threads; the running ones are stopped, new ones start on demand.

        Raises OptionError when it is not between 1 and MAX_THREADS.
        """
        threads = checked_threads(threads, _WHAT)
        if threads != self._threads:
            self.stop()
            self._threads = threads

    def enter(self) -> tuple[int, int]:
        """Address of the state and number of threads, for one call of generated code.

        Starts the workers if they are not running.
        """
        threads = self._threads
        if threads > 1 and not self._workers:
            self._start(threads)
        return self._address, threads

    def _start(self, threads: int) -> None:
        with self._lock:
            if self._workers:
                return
            native = _native()
            if not self._initialized:
                native.initialize(self._address)
                self._initialized = True
            workers = [
                threading.Thread(
                    target=_serve,
                    args=(native, self._address, number),
                    name=f"picograd-{number}",
                    daemon=True,
                )
                for number in range(1, threads)
            ]
            native.start(self._address, threads - 1)
            for worker in workers:
                try:
                    worker.start()
                except RuntimeError as error:  # Python's word for "the system has said no"
                    self._stop()
                    raise _too_many(threads, workers.index(worker) + 1) from error
                self._workers.append(worker)

    def stop(self) -> None:
        """Tell the workers to return and wait until they have; the next `enter` starts new ones."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._workers:
            _native().stop(self._address)
            for worker in self._workers:
                worker.join()
            self._workers = []

    def keep_state(self) -> None:
        """Let the memory of the state be there until the process ends."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._memory))

    def after_fork(self) -> None:
        """Forget the parent's workers and locks, which do not exist in a forked child."""
        self._reset()


def _serve(native: _Native, state: int, number: int) -> None:
    """All that a worker thread does."""
    native.work(state, number, _SPINS, threading.get_native_id())


def _too_many(threads: int, possible: int) -> DeviceError:
    return DeviceError(
        f"the system does not let this process start {threads} threads",
        code="PG313",
        expected=f"room for {threads - 1} threads beside the caller",
        found=f"room for {possible - 1}",
        hint=f"call picograd.set_num_threads({possible}), or set PICOGRAD_NUM_THREADS={possible}",
    )


@once
def shared_pool() -> ThreadPool:
    """The pool of the process, which every CPU device uses unless it is given its own.

    It has as many threads as `picograd.set_num_threads` says.
    """
    shared = ThreadPool()
    thread_count.follow(shared.set_threads)
    return shared


_pools: weakref.WeakSet[ThreadPool] = weakref.WeakSet()


def _stop_all() -> None:
    for each in list(_pools):
        each.stop()


def _stop_for_good() -> None:
    """At exit: the state stays, for a daemon thread may be inside of a loop and go on with it."""
    for each in list(_pools):
        each.stop()
        each.keep_state()


def _restart_all() -> None:
    for each in list(_pools):
        each.after_fork()


atexit.register(_stop_for_good)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_stop_all, after_in_child=_restart_all)
