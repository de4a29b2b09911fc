"""What the machine can do: fused multiply-adds and copies, by kernels in LLVM IR.

They are contenders like the others, so that they are measured in the same turns: where another
process takes half of the machine, the limit is halved as well.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picograd.backends.llvm.codegen import Library, host, object_code
from picograd.study.benches.cpu.prepared import Prepared, Sizes
from picograd.targets import lookup

FMA, COPY, STREAM = "fused multiply-adds", "copy", "copy past the caches"
STEPS = 1 << 16
"""Of the loop of multiply-adds; each advances every accumulator once."""

# Twice a core's latency times its throughput, and few enough for 16 registers less two operands.
ACCUMULATORS = 12


def fma_flops(sizes: Sizes) -> int:
    """Multiplications and additions of a call on so many threads."""
    (threads,) = sizes
    return 2 * STEPS * ACCUMULATORS * _lanes() * threads


def _lanes() -> int:
    """float32 numbers in the widest vector."""
    return max(1, (lookup("cpu").vector_bits or 32) // 32)


def fma_text(lanes: int) -> str:
    """A loop of multiply-adds that do not wait for one another, and nothing else."""
    v = f"<{lanes} x float>"
    each = range(ACCUMULATORS)
    start = [f"  %c{k} = phi {v} [ zeroinitializer, %entry ], [ %d{k}, %loop ]" for k in each]
    fma = f"@llvm.fma.v{lanes}f32"
    steps = [f"  %d{k} = call {v} {fma}({v} %a, {v} %b, {v} %c{k})" for k in each]
    ends = [
        f"  %q{k} = getelementptr {v}, ptr %p, i64 {k}\n  store {v} %d{k}, ptr %q{k}, align 64"
        for k in each
    ]
    return "\n".join(
        [
            f"declare {v} {fma}({v}, {v}, {v})",
            "define void @fma(i64 %n, ptr %p) nounwind {",
            "entry:",
            f"  %a = load {v}, ptr %p, align 64",
            f"  %p1 = getelementptr {v}, ptr %p, i64 1",
            f"  %b = load {v}, ptr %p1, align 64",
            "  br label %loop",
            "loop:",
            "  %i = phi i64 [ 0, %entry ], [ %j, %loop ]",
            *start,
            *steps,
            "  %j = add i64 %i, 1",
            "  %more = icmp ult i64 %j, %n",
            "  br i1 %more, label %loop, label %end",
            "end:",
            *ends,
            "  ret void",
            "}",
        ]
    )


def copy_text(lanes: int, *, stream: bool) -> str:
    """Four vectors a turn; `stream` stores them past the caches."""
    v = f"<{lanes} x float>"
    hint = ", !nontemporal !0" if stream else ""
    body: list[str] = []
    for k in range(4):
        body += [
            f"  %i{k} = add i64 %i, {k * lanes}",
            f"  %f{k} = getelementptr float, ptr %from, i64 %i{k}",
            f"  %t{k} = getelementptr float, ptr %to, i64 %i{k}",
            f"  %x{k} = load {v}, ptr %f{k}, align {4 * lanes}",
            f"  store {v} %x{k}, ptr %t{k}, align {4 * lanes}{hint}",
        ]
    return "\n".join(
        [
            "define void @copy(i64 %n, ptr %from, ptr %to) nounwind {",
            "entry:",
            "  br label %loop",
            "loop:",
            "  %i = phi i64 [ 0, %entry ], [ %j, %loop ]",
            *body,
            f"  %j = add i64 %i, {4 * lanes}",
            "  %more = icmp ult i64 %j, %n",
            "  br i1 %more, label %loop, label %end",
            "end:",
            "  ret void",
            "}",
            "!0 = !{i32 1}",
        ]
    )


def _together(calls: Sequence[Callable[[], object]], keep: object) -> Prepared:
    """A call of all at once, each on a thread of its own; `keep` lives as long."""
    if len(calls) == 1:
        return Prepared(lambda: (calls[0](), keep)[0], lambda result: [])
    pool = ThreadPoolExecutor(len(calls) - 1)

    def call() -> None:
        others = [pool.submit(one) for one in calls[1:]]
        calls[0]()
        for other in others:
            other.result()

    return Prepared(lambda: (call(), keep)[0], lambda result: [])


def prepare_fma(sizes: Sizes) -> Prepared:
    """The loop of multiply-adds on so many threads."""
    (threads,) = sizes
    library = Library(object_code(fma_text(_lanes()), host()), ["fma"])
    run = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(library.addresses["fma"])
    memory = [aligned(ACCUMULATORS * _lanes()) for _ in range(threads)]
    for one in memory:
        # Multiplying by 1 would take less power than a product of matrices does.
        one[:] = np.random.default_rng(0).uniform(-1, 1, one.size)
    calls = [_bound(run, STEPS, one.ctypes.data) for one in memory]
    return _together(calls, (library, memory))


def copied(sizes: Sizes) -> int:
    """How many numbers a copy of about so many moves: whole turns of the loop on each thread."""
    count, threads = sizes
    step = 4 * _lanes() * threads
    return max(step, count // step * step)


def copy_kernel(*, stream: bool) -> tuple[Callable[[int, int, int], None], Library]:
    """The copy of so many numbers between two addresses, and what keeps it in memory."""
    library = Library(object_code(copy_text(_lanes(), stream=stream), host()), ["copy"])
    pointer = ctypes.c_void_p
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, pointer, pointer)
    return kind(library.addresses["copy"]), library


def _prepare_copy(sizes: Sizes, *, stream: bool) -> Prepared:
    _, threads = sizes
    run, library = copy_kernel(stream=stream)
    count = copied(sizes)
    source, copy = aligned(count), aligned(count)
    share = count // threads
    calls = [
        _bound(run, share, source.ctypes.data + 4 * at, copy.ctypes.data + 4 * at)
        for at in range(0, count, share)
    ]
    return _together(calls, (library, source, copy))


def prepare_copy(sizes: Sizes) -> Prepared:
    """A copy as programs make it."""
    return _prepare_copy(sizes, stream=False)


def prepare_stream(sizes: Sizes) -> Prepared:
    """A copy whose stores go past the caches."""
    return _prepare_copy(sizes, stream=True)


def _bound(run: Callable[..., object], *arguments: int) -> Callable[[], object]:
    return lambda: run(*arguments)


def aligned(count: int) -> NDArray[Any]:
    """So many float32 numbers that begin a cache line; each page has been touched."""
    memory = np.ones(count + 16, np.float32)
    start = -memory.ctypes.data % 64 // 4
    return memory[start : start + count]


LIMITS: dict[str, Callable[[Sizes], Prepared]] = {
    FMA: prepare_fma,
    COPY: prepare_copy,
    STREAM: prepare_stream,
}
