"""The part of the thread pool that must be machine code: posting, claiming and waiting.

The state is a block of memory shared by everybody. Its fields stand on cache lines of their own,
so that threads that spin on one do not slow down writers of another:

- `sequence` counts jobs; a worker that sees it change looks for work.
- `open` is 1 while chunks of the present job may be claimed, `next` is the next unclaimed chunk,
  `active` the number of workers that are (or are about to find out whether they are) inside.
- `busy` is 1 while some caller owns the pool. A caller who finds it taken runs all its chunks
  itself, which gives the same result, because chunks are cut by shape and not by thread count.
- `parked` counts workers that gave up spinning and sleep on the condition variable.
- `body`, `data`, `count`, `threads` describe the job; `workers` is how many threads serve.
- `joined` counts workers that took part in the present job, `missed` is 1 when some did not in the
  last one; with `apart`, `allowed` and `ids` they keep workers off the caller's processor
  (`pool_placement`).

Why nothing is lost or read too late (every access that matters is sequentially consistent):

- A worker adds itself to `active` *before* it reads `open`; the caller clears `open` *before* it
  reads `active`. One of them sees the other: either the worker finds the job closed, or the
  caller waits for the worker. The job's fields change only while `open` is 0 and `active` was 0.
- A worker adds itself to `parked` *before* its last look at `sequence`; the caller raises
  `sequence` *before* it reads `parked`. Either the worker does not sleep, or the caller wakes it;
  the mutex closes the gap between looking and sleeping.

The caller waits for chunks that a worker has *started*, never for a worker that has not arrived:
a worker whose core was taken by another process costs nothing.
"""

from __future__ import annotations

from picograd.backends.llvm.codegen import Processor
from picograd.backends.llvm.standing import pool_placement
from picograd.backends.llvm.standing.text import Text, joined
from picograd.backends.thread_count import MAX_THREADS

# A cache line is 64 bytes on x86 and 128 on some Arm cores; prefetchers pair lines on x86.
_LINE = 128
_FIELDS = ("sequence", "open", "next", "active", "parked", "busy", "joined")
_JOB = ("body", "data", "count", "threads", "workers", "stop", "apart", "missed")
_ID_BYTES = 8 * MAX_THREADS
_OFFSETS = {
    **{name: number * _LINE for number, name in enumerate(_FIELDS)},
    **{name: len(_FIELDS) * _LINE + 8 * number for number, name in enumerate(_JOB)},
    "mutex": (len(_FIELDS) + 1) * _LINE,
    "condition": (len(_FIELDS) + 2) * _LINE,
    "allowed": (len(_FIELDS) + 3) * _LINE,
    "ids": (len(_FIELDS) + 3) * _LINE + pool_placement.MASK_BYTES,
}

STATE_BYTES = _OFFSETS["ids"] + _ID_BYTES
"""Bytes of the shared state; it must be zero and aligned to STATE_ALIGNMENT at first."""
STATE_ALIGNMENT = _LINE

_EXPORTS = (
    "picograd_pool_initialize",
    "picograd_pool_work",
    "picograd_pool_stop",
    "picograd_pool_start",
    "picograd_parallel",
)

# The intrinsic that tells a core that it is spinning.
_PAUSE = {
    "x86_64": "call void @llvm.x86.sse2.pause()",
    "aarch64": "call void @llvm.aarch64.hint(i32 1)",
    "arm64": "call void @llvm.aarch64.hint(i32 1)",
}
_PAUSE_DECLARATION = {
    "x86_64": "declare void @llvm.x86.sse2.pause()",
    "aarch64": "declare void @llvm.aarch64.hint(i32)",
    "arm64": "declare void @llvm.aarch64.hint(i32)",
}

_DECLARATIONS = (
    "declare i32 @pthread_mutex_init(ptr, ptr)",
    "declare i32 @pthread_mutex_lock(ptr)",
    "declare i32 @pthread_mutex_unlock(ptr)",
    "declare i32 @pthread_cond_init(ptr, ptr)",
    "declare i32 @pthread_cond_wait(ptr, ptr)",
    "declare i32 @pthread_cond_broadcast(ptr)",
    "declare i32 @sched_yield()",
    "declare i64 @llvm.smin.i64(i64, i64)",
)

_TEXT = """
define void @picograd_pool_initialize(ptr %pool) nounwind {{
  %mutex = getelementptr i8, ptr %pool, i64 {mutex}
  %condition = getelementptr i8, ptr %pool, i64 {condition}
  %a = call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  %b = call i32 @pthread_cond_init(ptr %condition, ptr null)
  ret void
}}

; Says how many workers serve, before they are started.
define void @picograd_pool_start(ptr %pool, i64 %count) nounwind {{
  %workers = getelementptr i8, ptr %pool, i64 {workers}
  %stop = getelementptr i8, ptr %pool, i64 {stop}
  call void @forget_places(ptr %pool)
  store atomic i64 0, ptr %stop seq_cst, align 8
  store atomic i64 %count, ptr %workers seq_cst, align 8
  ret void
}}

; Tells every worker to return; whoever called joins the threads.
define void @picograd_pool_stop(ptr %pool) nounwind {{
  %workers = getelementptr i8, ptr %pool, i64 {workers}
  %stop = getelementptr i8, ptr %pool, i64 {stop}
  store atomic i64 0, ptr %workers seq_cst, align 8
  store atomic i64 1, ptr %stop seq_cst, align 8
  call void @announce(ptr %pool)
  ret void
}}

; Raises the sequence number, then wakes whoever sleeps.
define internal void @announce(ptr %pool) nounwind {{
entry:
  %sequence = getelementptr i8, ptr %pool, i64 {sequence}
  %parked = getelementptr i8, ptr %pool, i64 {parked}
  %mutex = getelementptr i8, ptr %pool, i64 {mutex}
  %condition = getelementptr i8, ptr %pool, i64 {condition}
  %before = atomicrmw add ptr %sequence, i64 1 seq_cst
  %asleep = load atomic i64, ptr %parked seq_cst, align 8
  %none = icmp eq i64 %asleep, 0
  br i1 %none, label %done, label %wake
wake:
  %a = call i32 @pthread_mutex_lock(ptr %mutex)
  %b = call i32 @pthread_cond_broadcast(ptr %condition)
  %c = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %done
done:
  ret void
}}

; Runs chunks until none is left unclaimed.
define internal void @claim(ptr %pool, ptr %body, ptr %data, i64 %count, i64 %worker) nounwind {{
entry:
  %next = getelementptr i8, ptr %pool, i64 {next}
  br label %loop
loop:
  %chunk = atomicrmw add ptr %next, i64 1 seq_cst
  %left = icmp slt i64 %chunk, %count
  br i1 %left, label %run, label %done
run:
  call void %body(ptr %data, i64 %chunk, i64 %worker)
  br label %loop
done:
  ret void
}}

; Runs body(data, chunk, worker) for each chunk in [0, count) and returns when all are done. Only
; workers with a number below %threads take part; the caller is worker 0.
define void @picograd_parallel(ptr %pool, ptr %body, ptr %data, i64 %count, i64 %threads)
    nounwind {{
entry:
  %workers.p = getelementptr i8, ptr %pool, i64 {workers}
  %workers = load atomic i64, ptr %workers.p monotonic, align 8
  %nobody = icmp eq i64 %workers, 0
  %few = icmp slt i64 %count, 2
  %single = icmp slt i64 %threads, 2
  %either = or i1 %nobody, %few
  %serially = or i1 %either, %single
  br i1 %serially, label %serial, label %acquire
acquire:
  %busy = getelementptr i8, ptr %pool, i64 {busy}
  %exchange = cmpxchg ptr %busy, i64 0, i64 1 seq_cst seq_cst
  %mine = extractvalue {{ i64, i1 }} %exchange, 1
  %missed = getelementptr i8, ptr %pool, i64 {missed}
  br i1 %mine, label %prepare, label %serial
prepare:
  %anybody = load i64, ptr %missed, align 8
  %all = icmp eq i64 %anybody, 0
  br i1 %all, label %post, label %place
place:
  call void @keep_apart(ptr %pool)
  br label %post
post:
  %open = getelementptr i8, ptr %pool, i64 {open}
  %next = getelementptr i8, ptr %pool, i64 {next}
  %active = getelementptr i8, ptr %pool, i64 {active}
  %joined = getelementptr i8, ptr %pool, i64 {joined}
  %body.p = getelementptr i8, ptr %pool, i64 {body}
  %data.p = getelementptr i8, ptr %pool, i64 {data}
  %count.p = getelementptr i8, ptr %pool, i64 {count}
  %threads.p = getelementptr i8, ptr %pool, i64 {threads}
  store ptr %body, ptr %body.p, align 8
  store ptr %data, ptr %data.p, align 8
  store i64 %count, ptr %count.p, align 8
  store i64 %threads, ptr %threads.p, align 8
  store atomic i64 0, ptr %next seq_cst, align 8
  store atomic i64 0, ptr %joined seq_cst, align 8
  store atomic i64 1, ptr %open seq_cst, align 8
  call void @announce(ptr %pool)
  call void @claim(ptr %pool, ptr %body, ptr %data, i64 %count, i64 0)
  store atomic i64 0, ptr %open seq_cst, align 8
  br label %wait
wait:
  %turn = phi i64 [ 0, %post ], [ %turn.next, %again ]
  %inside = load atomic i64, ptr %active seq_cst, align 8
  %finished = icmp eq i64 %inside, 0
  br i1 %finished, label %release, label %pause
pause:
  %turn.next = add i64 %turn, 1
  {pause}
  %long = icmp sgt i64 %turn, 2000
  br i1 %long, label %yield, label %again
yield:
  %y = call i32 @sched_yield()
  br label %again
again:
  br label %wait
release:
  ; No more workers than chunks beside the caller's first one are missed.
  %there = load atomic i64, ptr %joined seq_cst, align 8
  %besides = sub i64 %threads, 1
  %chunks = sub i64 %count, 1
  %a = call i64 @llvm.smin.i64(i64 %besides, i64 %chunks)
  %useful = call i64 @llvm.smin.i64(i64 %a, i64 %workers)
  %fewer = icmp slt i64 %there, %useful
  %some.missed = zext i1 %fewer to i64
  store i64 %some.missed, ptr %missed, align 8
  store atomic i64 0, ptr %busy seq_cst, align 8
  ret void
serial:
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %step, label %end
step:
  %chunk = phi i64 [ 0, %serial ], [ %chunk.next, %step ]
  call void %body(ptr %data, i64 %chunk, i64 0)
  %chunk.next = add i64 %chunk, 1
  %more = icmp slt i64 %chunk.next, %count
  br i1 %more, label %step, label %end
end:
  ret void
}}

; What a worker thread does from its start to the end of the pool: wait for a job, spinning at most
; %spins times before it sleeps, and take part in it. The system knows the thread as %id.
define void @picograd_pool_work(ptr %pool, i64 %worker, i64 %spins, i64 %id) nounwind {{
entry:
  call void @introduce(ptr %pool, i64 %worker, i64 %id)
  %joined = getelementptr i8, ptr %pool, i64 {joined}
  %sequence = getelementptr i8, ptr %pool, i64 {sequence}
  %open = getelementptr i8, ptr %pool, i64 {open}
  %active = getelementptr i8, ptr %pool, i64 {active}
  %parked = getelementptr i8, ptr %pool, i64 {parked}
  %stop = getelementptr i8, ptr %pool, i64 {stop}
  %mutex = getelementptr i8, ptr %pool, i64 {mutex}
  %condition = getelementptr i8, ptr %pool, i64 {condition}
  %body.p = getelementptr i8, ptr %pool, i64 {body}
  %data.p = getelementptr i8, ptr %pool, i64 {data}
  %count.p = getelementptr i8, ptr %pool, i64 {count}
  %threads.p = getelementptr i8, ptr %pool, i64 {threads}
  br label %listen
listen:
  %seen = phi i64 [ 0, %entry ], [ %now, %leave ]
  br label %spin
spin:
  %turn = phi i64 [ 0, %listen ], [ %turn.next, %pause ]
  %a = load atomic i64, ptr %sequence seq_cst, align 8
  %changed = icmp ne i64 %a, %seen
  br i1 %changed, label %arrive, label %pause
pause:
  {pause}
  %turn.next = add i64 %turn, 1
  %patient = icmp slt i64 %turn.next, %spins
  br i1 %patient, label %spin, label %park
park:
  %l = call i32 @pthread_mutex_lock(ptr %mutex)
  %p = atomicrmw add ptr %parked, i64 1 seq_cst
  br label %check
check:
  %b = load atomic i64, ptr %sequence seq_cst, align 8
  %same = icmp eq i64 %b, %seen
  br i1 %same, label %sleep, label %wake
sleep:
  %w = call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %check
wake:
  %q = atomicrmw sub ptr %parked, i64 1 seq_cst
  %u = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %arrive
arrive:
  %now = load atomic i64, ptr %sequence seq_cst, align 8
  %ending = load atomic i64, ptr %stop seq_cst, align 8
  %end = icmp ne i64 %ending, 0
  br i1 %end, label %quit, label %enter
enter:
  %e = atomicrmw add ptr %active, i64 1 seq_cst
  %o = load atomic i64, ptr %open seq_cst, align 8
  %is.open = icmp eq i64 %o, 1
  br i1 %is.open, label %admitted, label %leave
admitted:
  %threads = load i64, ptr %threads.p, align 8
  %wanted = icmp slt i64 %worker, %threads
  br i1 %wanted, label %work, label %leave
work:
  %j = atomicrmw add ptr %joined, i64 1 seq_cst
  %body = load ptr, ptr %body.p, align 8
  %data = load ptr, ptr %data.p, align 8
  %count = load i64, ptr %count.p, align 8
  call void @claim(ptr %pool, ptr %body, ptr %data, i64 %count, i64 %worker)
  br label %leave
leave:
  %f = atomicrmw sub ptr %active, i64 1 seq_cst
  br label %listen
quit:
  call void @introduce(ptr %pool, i64 %worker, i64 0)
  ret void
}}
"""


def text(processor: Processor) -> Text:
    """LLVM IR of the pool's functions for a processor."""
    architecture = processor.architecture
    body = _TEXT.format(pause=_PAUSE.get(architecture, "; this processor has no pause"), **_OFFSETS)
    declared = (*_DECLARATIONS, _PAUSE_DECLARATION.get(architecture, ""))
    return joined([Text(_EXPORTS, declared, body), pool_placement.text(_OFFSETS, _ID_BYTES)])
