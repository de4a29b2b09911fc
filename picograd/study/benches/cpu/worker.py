"""A contender's process: it reads requests, one JSON object a line, and answers each with one.

`python -m picograd.study.benches.cpu.worker WORDS`. What libraries print goes to standard error.
A request that raises is answered with `error`; the process lives on.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from picograd.study.benches.cpu.in_jax import InJax
from picograd.study.benches.cpu.in_numpy import InNumpy
from picograd.study.benches.cpu.in_tinygrad import InTinygrad
from picograd.study.benches.cpu.in_torch_words import in_picograd, in_torch, in_torch_compile
from picograd.study.benches.cpu.prepared import Prepared, Words

WORDS: dict[str, Callable[[], Words]] = {
    "picograd": in_picograd,
    "numpy": InNumpy,
    "torch": in_torch,
    "torch.compile": in_torch_compile,
    "jax": InJax,
    "tinygrad": InTinygrad,
}

WARM_UP_CALLS = 3
"""Before anything is checked or timed: what compiles itself has done so by then."""

LONGEST_ERROR = 400


class Worker:
    """One library and the workloads that were prepared in it."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.prepared: dict[str, Prepared] = {}
        self.resident = 0

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked for. Raises what the library does."""
        handlers: dict[str, Callable[..., dict[str, Any]]] = {
            "prepare": self.prepare,
            "check": self.check,
            "time": self.time,
            "drop": self.drop,
            "watch memory": self.watch_memory,
            "memory": self.memory,
        }
        return handlers[request.pop("do")](**request)

    def prepare(
        self, name: str, workload: str, sizes: list[int], operands: list[str]
    ) -> dict[str, Any]:
        """Load the operands and call the workload a few times; tells how long the first took."""
        arrays = [np.load(file) for file in operands]
        start = time.perf_counter()
        one = self.words.prepare(workload, sizes, arrays)
        one.call()
        one.finish()
        first = time.perf_counter() - start
        for _ in range(WARM_UP_CALLS - 1):
            if time.perf_counter() - start > 10:
                break  # warm enough
            one.call()
        one.finish()
        self.prepared[name] = one
        return {"first call": first}

    def check(self, name: str, folder: str) -> dict[str, Any]:
        """Write the results of a call that starts from the first parameters."""
        one = self.prepared[name]
        one.restart()
        results = one.arrays(one.call())
        files = [str(Path(folder) / f"{number}.npy") for number in range(len(results))]
        for file, result in zip(files, results, strict=True):
            np.save(file, result)
        return {"results": files}

    def time(self, name: str, calls: int) -> dict[str, Any]:
        """Seconds of so many calls together: by the clock, and on all processors."""
        one = self.prepared[name]
        call = one.call
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        busy, start = time.process_time(), time.perf_counter()
        for _ in range(calls):
            call()
        one.finish()
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        return {"seconds": seconds, "busy": busy, "faults": faults}

    def drop(self, name: str) -> dict[str, Any]:
        """Forget a workload."""
        self.prepared.pop(name, None)
        gc.collect()
        return {}

    def watch_memory(self) -> dict[str, Any]:
        """From now on, what `memory` tells begins at 0."""
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        self.resident = _status("VmRSS")
        return {}

    def memory(self) -> dict[str, Any]:
        """Bytes at the peak since `watch memory`, beyond those in use then."""
        return {"peak": _status("VmHWM") - self.resident}


def _status(name: str) -> int:
    """A number of bytes that Linux tells of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return 1024 * int(line.split()[1])
    raise KeyError(name)


def main(name: str) -> None:
    """Serve until the other end closes."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    try:
        worker = Worker(WORDS[name]())
        reply({"versions": worker.words.versions()})
    except Exception as error:  # noqa: BLE001 - a library that cannot be loaded
        reply({"error": describe(error)})
        return
    for line in sys.stdin:
        try:
            reply(worker.answer(json.loads(line)))
        except Exception as error:  # noqa: BLE001 - the report tells it
            reply({"error": describe(error)})


def describe(error: BaseException) -> str:
    """The kind of an exception and what it says first."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:LONGEST_ERROR]


if __name__ == "__main__":
    main(sys.argv[1])
