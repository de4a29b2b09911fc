"""Keeping the pool's workers off the caller's processor, where the system lets us say so.

A scheduler may wake a worker on the very processor that the caller is running on, to save power or
because the worker ran there last, and balance the two many milliseconds later. Until then the
caller, who waits for nobody, runs every chunk itself while another processor idles.

So the caller notes at the end of a loop whether some worker did not take part. If so, the next loop
starts with a look at the processor that the caller is on, and if it is another one than last time,
every worker is told to run anywhere but there (`sched_setaffinity`), within the processors that the
process was given. Where all workers arrive, nothing is ever said to the system.
"""

from __future__ import annotations

import sys

from picograd.backends.llvm.standing.text import Text

SUPPORTED = sys.platform == "linux"
"""Whether threads can be told where to run."""

MASK_BYTES = 128
"""Of a set of processors, as the C library sizes it: 1,024 of them, one bit each."""

_EVERYWHERE_DECLARATIONS = ("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",)

_EVERYWHERE = """
; Forgets the workers of earlier, when new ones are about to start.
define internal void @forget_places(ptr %pool) nounwind {{
  %apart = getelementptr i8, ptr %pool, i64 {apart}
  %missed = getelementptr i8, ptr %pool, i64 {missed}
  %ids = getelementptr i8, ptr %pool, i64 {ids}
  %allowed = getelementptr i8, ptr %pool, i64 {allowed}
  store atomic i64 -1, ptr %apart seq_cst, align 8
  store i64 0, ptr %missed, align 8
  call void @llvm.memset.p0.i64(ptr %ids, i8 0, i64 {id_bytes}, i1 false)
  call void @llvm.memset.p0.i64(ptr %allowed, i8 0, i64 {mask_bytes}, i1 false)
  call void @read_allowed(ptr %allowed)
  ret void
}}

; Says under which number the system knows a worker; 0 when it leaves.
define internal void @introduce(ptr %pool, i64 %worker, i64 %id) nounwind {{
  %apart = getelementptr i8, ptr %pool, i64 {apart}
  %ids = getelementptr i8, ptr %pool, i64 {ids}
  %mine = getelementptr i64, ptr %ids, i64 %worker
  store atomic i64 %id, ptr %mine seq_cst, align 8
  store atomic i64 -1, ptr %apart seq_cst, align 8
  ret void
}}
"""

_LINUX_DECLARATIONS = (
    "declare i32 @sched_getcpu()",
    "declare i32 @sched_getaffinity(i32, i64, ptr)",
    "declare i32 @sched_setaffinity(i32, i64, ptr)",
    "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
)

_LINUX = """
; Where there are more processors than the set has room for, it stays empty: then nobody is moved.
define internal void @read_allowed(ptr %allowed) nounwind {{
  %r = call i32 @sched_getaffinity(i32 0, i64 {mask_bytes}, ptr %allowed)
  ret void
}}

; Tells the workers to stay off the caller's processor. Only who owns the pool calls this.
define internal void @keep_apart(ptr %pool) noinline nounwind {{
entry:
  %mask = alloca i8, i64 {mask_bytes}, align 8
  %cpu = call i32 @sched_getcpu()
  %in.range = icmp ult i32 %cpu, {mask_bits}
  br i1 %in.range, label %look, label %done
look:
  %apart = getelementptr i8, ptr %pool, i64 {apart}
  %here = zext i32 %cpu to i64
  %before = load atomic i64, ptr %apart seq_cst, align 8
  %same = icmp eq i64 %before, %here
  br i1 %same, label %done, label %exclude
exclude:
  store atomic i64 %here, ptr %apart seq_cst, align 8
  %allowed = getelementptr i8, ptr %pool, i64 {allowed}
  call void @llvm.memcpy.p0.p0.i64(ptr %mask, ptr %allowed, i64 {mask_bytes}, i1 false)
  %word = lshr i64 %here, 6
  %bit = and i64 %here, 63
  %word.p = getelementptr i64, ptr %mask, i64 %word
  %old = load i64, ptr %word.p, align 8
  %one = shl i64 1, %bit
  %others = xor i64 %one, -1
  %new = and i64 %old, %others
  store i64 %new, ptr %word.p, align 8
  br label %any
any:
  %w = phi i64 [ 0, %exclude ], [ %w.next, %any.next ]
  %p = getelementptr i64, ptr %mask, i64 %w
  %bits = load i64, ptr %p, align 8
  %some = icmp ne i64 %bits, 0
  br i1 %some, label %move, label %any.next
any.next:
  %w.next = add i64 %w, 1
  %more.words = icmp slt i64 %w.next, {mask_words}
  br i1 %more.words, label %any, label %done
move:
  %workers.p = getelementptr i8, ptr %pool, i64 {workers}
  %workers = load atomic i64, ptr %workers.p monotonic, align 8
  %ids = getelementptr i8, ptr %pool, i64 {ids}
  br label %next
next:
  %worker = phi i64 [ 1, %move ], [ %worker.next, %told ]
  %more = icmp sle i64 %worker, %workers
  br i1 %more, label %tell, label %done
tell:
  %id.p = getelementptr i64, ptr %ids, i64 %worker
  %id = load atomic i64, ptr %id.p seq_cst, align 8
  %alive = icmp ne i64 %id, 0
  br i1 %alive, label %set, label %told
set:
  %thread = trunc i64 %id to i32
  %r = call i32 @sched_setaffinity(i32 %thread, i64 {mask_bytes}, ptr %mask)
  br label %told
told:
  %worker.next = add i64 %worker, 1
  br label %next
done:
  ret void
}}
"""

_ELSEWHERE = """
define internal void @read_allowed(ptr %allowed) nounwind {{
  ret void
}}

define internal void @keep_apart(ptr %pool) nounwind {{
  ret void
}}
"""


def text(offsets: dict[str, int], id_bytes: int) -> Text:
    """LLVM IR of the functions that the pool calls, with its fields at these offsets.

    The field `ids` has `id_bytes`: a 64-bit number for each worker, from 0 to the most there are.
    """
    body = (_EVERYWHERE + (_LINUX if SUPPORTED else _ELSEWHERE)).format(
        id_bytes=id_bytes,
        mask_bytes=MASK_BYTES,
        mask_bits=8 * MASK_BYTES,
        mask_words=MASK_BYTES // 8,
        **offsets,
    )
    called = _LINUX_DECLARATIONS if SUPPORTED else ()
    return Text((), (*_EVERYWHERE_DECLARATIONS, *called), body)
