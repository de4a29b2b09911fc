"""The way in from Python: a function that takes addresses and numbers, and enters a program.

What it is called with tells it nothing about the program: that stands in its plan, the bytes that
its object of its own holds.

    plan ::= the entry, how many arguments and constants, the bytes to keep on the stack (or -1, and
             the places come as the first arguments), where in them the two kinds of scratch begin,
             the stride, how many arguments are given; the constants' addresses; two bytes for the
             kind of each argument
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from picograd.backends.llvm.emitted import CONTEXT_FIELDS
from picograd.backends.llvm.standing.text import Text

NAME = "picograd_launch"

POINTER = 0
SAME = 16
"""From here on a kind tells that the memory is that of an argument before, by its number, and that
nothing is given for it: results that are stored in an input's memory.
"""
NUMBERS = {"float32": 1, "float64": 2, "int64": 3, "int32": 4, "int16": 5, "int8": 6, "bool": 7}
NUMBERS["uint8"] = NUMBERS["int8"]
"""How a Python number is passed as a 0-d tensor, by its dtype; integers below 32 bits wrap around,
others that do not fit are an OverflowError.
"""

_HEADER = struct.Struct("=8q")
_WORDS = 8
_PLACES = 6
"""The first fields of the context: three places in memory, a stride, the pool, the threads."""


def plan(
    entry: int,
    kinds: Sequence[int],
    constants: Sequence[int],
    stack: tuple[int, int, int, int] | None,
) -> bytes:
    """The bytes that tell it about a program: see `launcher.launcher`."""
    header = (*stack,) if stack is not None else (-1, 0, 0, 0)
    given = sum(kind < SAME for kind in kinds)
    words = _HEADER.pack(entry, len(kinds), len(constants), *header, given)
    words += struct.pack(f"={len(constants)}Q", *constants)
    return words + struct.pack(f"={len(kinds)}H", *kinds)


_DECLARATIONS = (
    "declare ptr @PyBytes_AsString(ptr)",
    "declare i64 @PyLong_AsUnsignedLongLong(ptr)",
    "declare i64 @PyLong_AsLongLong(ptr)",
    "declare ptr @PyLong_FromLong(i64)",
    "declare double @PyFloat_AsDouble(ptr)",
    "declare ptr @PyLong_FromUnsignedLongLong(i64)",
    "declare void @Py_DecRef(ptr)",
    "declare i32 @PyObject_IsTrue(ptr)",
    "declare ptr @PyErr_Occurred()",
    "declare i32 @PyErr_BadArgument()",
    "declare ptr @PyEval_SaveThread()",
    "declare void @PyEval_RestoreThread(ptr)",
    "declare ptr @Py_BuildValue(ptr, ...)",
    "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
)

_WRAPPED = {"int16": "i16", "int8": "i8"}


def _converted(name: str, type: str, function: str, odd: str) -> str:
    """Blocks that make a number `%{name}.v` of the argument, and go on at `store.{name}`.

    `odd` is whether it is the number that stands for an error too: then Python is asked.
    """
    return f"""{name}:
  %{name}.v = call {type} @{function}(ptr %object)
  %odd.{name} = {odd}
  br i1 %odd.{name}, label %check.{name}, label %store.{name}
check.{name}:
  %error.{name} = call ptr @PyErr_Occurred()
  %is.error.{name} = icmp ne ptr %error.{name}, null
  br i1 %is.error.{name}, label %failed, label %store.{name}
store.{name}:"""


def text() -> Text:
    """LLVM IR of the function."""
    fields = len(CONTEXT_FIELDS)
    status = 8 * fields
    integers = "\n".join(
        f"""as_{name}:
  %{name}.v = trunc i64 %whole.v to {type}
  store {type} %{name}.v, ptr %slot, align 8
  br label %number"""
        for name, type in _WRAPPED.items()
    )
    cases = " ".join(f"i16 {NUMBERS[name]}, label %as_{name}" for name in _WRAPPED)
    cases += f" i16 {NUMBERS['int32']}, label %as_int32"
    return Text(
        (NAME,),
        _DECLARATIONS,
        f"""
@launch.format = private constant [5 x i8] c"(LL)\\00"

define ptr @{NAME}(ptr %self, ptr %given, i64 %count) {{
entry:
  %plan = call ptr @PyBytes_AsString(ptr %self)
  %expected.p = getelementptr i64, ptr %plan, i64 1
  %constants.p = getelementptr i64, ptr %plan, i64 2
  %bytes.p = getelementptr i64, ptr %plan, i64 3
  %scratch.p = getelementptr i64, ptr %plan, i64 4
  %threads.p = getelementptr i64, ptr %plan, i64 5
  %stride.p = getelementptr i64, ptr %plan, i64 6
  %given.p = getelementptr i64, ptr %plan, i64 7
  %fixed = getelementptr i64, ptr %plan, i64 {_WORDS}
  %code = load ptr, ptr %plan, align 1
  %expected = load i64, ptr %expected.p, align 1
  %constants = load i64, ptr %constants.p, align 1
  %bytes = load i64, ptr %bytes.p, align 1
  %placed = icmp slt i64 %bytes, 0
  %skipped = select i1 %placed, i64 {_PLACES}, i64 0
  %wanted = load i64, ptr %given.p, align 1
  %all = add i64 %wanted, %skipped
  %right = icmp eq i64 %all, %count
  br i1 %right, label %prepare, label %wrong

wrong:
  %ignored = call i32 @PyErr_BadArgument()
  br label %failed

failed:
  ret ptr null

prepare:
  %fixed.bytes = shl i64 %constants, 3
  %kinds = getelementptr i8, ptr %fixed, i64 %fixed.bytes
  %slots = add i64 %expected, %constants
  %table = alloca i64, i64 %slots, align 16
  %numbers = alloca i64, i64 %expected, align 16
  %context = alloca [{fields + 3} x i64], align 16
  br label %convert

convert:
  %i = phi i64 [ 0, %prepare ], [ %next, %converted ]
  %at = phi i64 [ %skipped, %prepare ], [ %at.next, %converted ]
  %more = icmp ult i64 %i, %expected
  br i1 %more, label %argument, label %places

argument:
  %kind.p = getelementptr i16, ptr %kinds, i64 %i
  %kind = load i16, ptr %kind.p, align 1
  %is.same = icmp uge i16 %kind, {SAME}
  br i1 %is.same, label %same, label %taken

same:
  %earlier.short = sub i16 %kind, {SAME}
  %earlier = zext i16 %earlier.short to i64
  %earlier.p = getelementptr i64, ptr %table, i64 %earlier
  %shared = load i64, ptr %earlier.p, align 8
  br label %converted

taken:
  %at.more = add i64 %at, 1
  %object.p = getelementptr ptr, ptr %given, i64 %at
  %object = load ptr, ptr %object.p, align 8
  %slot = getelementptr i64, ptr %numbers, i64 %i
  switch i16 %kind, label %whole [ i16 {POINTER}, label %pointer
    i16 {NUMBERS["float32"]}, label %real i16 {NUMBERS["float64"]}, label %real
    i16 {NUMBERS["bool"]}, label %truth ]

pointer:
  %address = call i64 @PyLong_AsUnsignedLongLong(ptr %object)
  %no.address = icmp eq i64 %address, -1
  br i1 %no.address, label %failed, label %converted

{_converted("real", "double", "PyFloat_AsDouble", "fcmp oeq double %real.v, -1.0")}
  %is.single = icmp eq i16 %kind, {NUMBERS["float32"]}
  br i1 %is.single, label %single, label %wide
single:
  %float = fptrunc double %real.v to float
  store float %float, ptr %slot, align 8
  br label %number
wide:
  store double %real.v, ptr %slot, align 8
  br label %number

truth:
  %bit = call i32 @PyObject_IsTrue(ptr %object)
  %no.truth = icmp slt i32 %bit, 0
  br i1 %no.truth, label %failed, label %store.truth
store.truth:
  %byte = trunc i32 %bit to i8
  store i8 %byte, ptr %slot, align 8
  br label %number

{_converted("whole", "i64", "PyLong_AsLongLong", "icmp eq i64 %whole.v, -1")}
  switch i16 %kind, label %as_int64 [ {cases} ]
as_int64:
  store i64 %whole.v, ptr %slot, align 8
  br label %number
as_int32:
  %int32.v = trunc i64 %whole.v to i32
  %int32.back = sext i32 %int32.v to i64
  %int32.fits = icmp eq i64 %int32.back, %whole.v
  br i1 %int32.fits, label %store.int32, label %overflow
store.int32:
  store i32 %int32.v, ptr %slot, align 8
  br label %number
overflow:
  %large = call ptr @PyLong_FromUnsignedLongLong(i64 -1)
  %refused = call i64 @PyLong_AsLongLong(ptr %large) ; sets OverflowError
  call void @Py_DecRef(ptr %large)
  br label %failed
{integers}

number:
  %slot.address = ptrtoint ptr %slot to i64
  br label %converted

converted:
  %word = phi i64 [ %address, %pointer ], [ %slot.address, %number ], [ %shared, %same ]
  %at.next = phi i64 [ %at.more, %pointer ], [ %at.more, %number ], [ %at, %same ]
  %entry.p = getelementptr i64, ptr %table, i64 %i
  store i64 %word, ptr %entry.p, align 8
  %next = add i64 %i, 1
  br label %convert

places:
  %rest = getelementptr i64, ptr %table, i64 %expected
  call void @llvm.memcpy.p0.p0.i64(ptr %rest, ptr %fixed, i64 %fixed.bytes, i1 false)
  br i1 %placed, label %place, label %stack

place:
  %p = phi i64 [ 0, %places ], [ %p.next, %place.done ]
  %place.p = getelementptr ptr, ptr %given, i64 %p
  %place.object = load ptr, ptr %place.p, align 8
  %place.word = call i64 @PyLong_AsUnsignedLongLong(ptr %place.object)
  %no.place = icmp eq i64 %place.word, -1
  br i1 %no.place, label %failed, label %place.done
place.done:
  %field.p = getelementptr i64, ptr %context, i64 %p
  store i64 %place.word, ptr %field.p, align 8
  %p.next = add i64 %p, 1
  %p.more = icmp ult i64 %p.next, {_PLACES}
  br i1 %p.more, label %place, label %enter

stack:
  %scratch = load i64, ptr %scratch.p, align 1
  %threads = load i64, ptr %threads.p, align 1
  %stride = load i64, ptr %stride.p, align 1
  %memory = alloca i8, i64 %bytes, align 64
  %memory.scratch = getelementptr i8, ptr %memory, i64 %scratch
  %memory.threads = getelementptr i8, ptr %memory, i64 %threads
  %f1 = getelementptr i64, ptr %context, i64 1
  %f2 = getelementptr i64, ptr %context, i64 2
  %f3 = getelementptr i64, ptr %context, i64 3
  %f4 = getelementptr i64, ptr %context, i64 4
  %f5 = getelementptr i64, ptr %context, i64 5
  store ptr %memory, ptr %context, align 8
  store ptr %memory.scratch, ptr %f1, align 8
  store ptr %memory.threads, ptr %f2, align 8
  store i64 %stride, ptr %f3, align 8
  store i64 0, ptr %f4, align 8
  store i64 1, ptr %f5, align 8
  br label %enter

enter:
  %status = getelementptr i8, ptr %context, i64 {status}
  %index.p = getelementptr i8, ptr %context, i64 {status + 8}
  %size.p = getelementptr i8, ptr %context, i64 {status + 16}
  %f6 = getelementptr i64, ptr %context, i64 6
  %f7 = getelementptr i64, ptr %context, i64 7
  store ptr %status, ptr %f6, align 8
  store i64 0, ptr %f7, align 8
  store i64 0, ptr %status, align 8
  store i64 0, ptr %index.p, align 8
  store i64 0, ptr %size.p, align 8
  %thread = call ptr @PyEval_SaveThread()
  call void %code(ptr %table, ptr %context)
  call void @PyEval_RestoreThread(ptr %thread)
  %failure = load i64, ptr %status, align 8
  %fine = icmp eq i64 %failure, 0
  br i1 %fine, label %good, label %bad
good:
  %zero = call ptr @PyLong_FromLong(i64 0)
  ret ptr %zero
bad:
  %index = load i64, ptr %index.p, align 8
  %size = load i64, ptr %size.p, align 8
  %pair = call ptr (ptr, ...) @Py_BuildValue(ptr @launch.format, i64 %index, i64 %size)
  ret ptr %pair
}}
""",
    )
