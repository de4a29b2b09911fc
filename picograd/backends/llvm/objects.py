"""Following recipes for objects (`backends.recipes`) in machine code.

One function, called like those built into Python, takes the memory for each object as Python's own
constructors do, and fills its slots. Where a slot lies in an object is not read from Python's
internals but seen: an object is filled with others that are found in its memory again. Where that
does not work, there is no such function, and objects are made as everywhere.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from picograd.backends.llvm import codegen
from picograd.backends.llvm.python_functions import (
    Method,
    address_of,
    can_launch,
    function,
    method,
    once,
)
from picograd.backends.recipes import Argument, Constant, Item, Taken

_MADE, _TAKEN = 0, 1
_CONSTANT, _ITEM, _SLOT = 0, 1, 2

# A plan: how many items, how many arguments. For each item three words: _MADE, the class and how
# many slots are filled; or _TAKEN and both functions. For each slot four words: its offset, the
# kind of its source, and two of: an object; an item's number (arguments come first), and the offset
# of the slot that is read there.
_NAME = "picograd_make"
_API = (
    "PyBytes_AsString",
    "PyErr_BadArgument",
    "PyErr_Clear",
    "PyObject_CallNoArgs",
    "PyType_GenericAlloc",
    "Py_DecRef",
    "Py_IncRef",
)
_MOST = 16
"""Items and arguments of a recipe, together."""


def maker(recipe: Sequence[Item], arguments: int = 0) -> Callable[..., Any] | None:
    """A function that gives the last item of a recipe, made anew; None where Python offers none."""
    offsets = [offsets_in(item.kind) for item in recipe]
    if not can_launch() or any(known is None for known in offsets):
        return None
    if len(recipe) + arguments > _MOST:
        return None
    kept: list[object] = [_library()]

    def held(value: object) -> int:
        kept.append(value)
        return id(value)

    words = [len(recipe), arguments]
    for item in recipe:
        if isinstance(item, Taken):
            words += [_TAKEN, held(item.first), held(item.other)]
            continue
        own = offsets_in(item.kind) or {}
        words += [_MADE, held(item.kind), len(item.slots)]
        for name, source in item.slots.items():
            if isinstance(source, Constant):
                what = (_CONSTANT, held(source.value), 0)
            elif isinstance(source, Argument):
                what = (_ITEM, source.number, 0)
            elif not source.slot:
                what = (_ITEM, arguments + source.number, 0)
            else:
                there = offsets_in(recipe[source.number].kind) or {}
                what = (_SLOT, arguments + source.number, there[source.slot])
            words += [own[name], *what]
    plan = struct.pack(f"={len(words)}Q", *words)
    return function(_method(), plan, tuple(kept))


class _Mark:
    """What is looked for in an object's memory."""


@cache
def offsets_in(kind: type[Any]) -> Mapping[str, int] | None:
    """Where the slots of a class's objects lie; None if they are not found."""
    if not can_launch():
        return None
    # A derived class may have a property of the same name: what counts is the slot.
    slots: dict[str, Any] = {
        name: vars(base)[name] for base in kind.__mro__ for name in _slots_of(base)
    }
    probe: Any = object.__new__(kind)
    marks = {name: _Mark() for name in slots}
    for name, slot in slots.items():
        slot.__set__(probe, marks[name])
    memory = ctypes.string_at(id(probe), kind.__basicsize__)
    for slot in slots.values():
        slot.__delete__(probe)
    found: dict[str, int] = {}
    for name, mark in marks.items():
        word = struct.pack("=Q", id(mark))
        place = memory.find(word)
        if place % 8 or memory.count(word) != 1:
            return None
        found[name] = place
    return found


def _slots_of(kind: type) -> Sequence[str]:
    slots: Any = vars(kind).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return [name for name in names if name not in ("__weakref__", "__dict__")]


@once
def _library() -> codegen.Library:
    api = {name: address_of(name) for name in _API}
    return codegen.Library(codegen.object_code(_text()), (_NAME,), api)


@once
def _method() -> Method:
    return method(_NAME, _library().addresses[_NAME])


def _text() -> str:
    """LLVM IR of the function."""
    return f"""
declare ptr @PyBytes_AsString(ptr)
declare i32 @PyErr_BadArgument()
declare void @PyErr_Clear()
declare ptr @PyObject_CallNoArgs(ptr)
declare ptr @PyType_GenericAlloc(ptr, i64)
declare void @Py_DecRef(ptr)
declare void @Py_IncRef(ptr)

define ptr @{_NAME}(ptr %self, ptr %given, i64 %count) {{
entry:
  %table = alloca [{_MOST} x ptr], align 16
  %plan = call ptr @PyBytes_AsString(ptr %self)
  %items = load i64, ptr %plan, align 1
  %expected.p = getelementptr i64, ptr %plan, i64 1
  %expected = load i64, ptr %expected.p, align 1
  %first = getelementptr i64, ptr %plan, i64 2
  %right = icmp eq i64 %expected, %count
  br i1 %right, label %copy, label %wrong
wrong:
  %ignored = call i32 @PyErr_BadArgument()
  ret ptr null

copy:
  %c = phi i64 [ 0, %entry ], [ %c.next, %copied ]
  %c.more = icmp ult i64 %c, %count
  br i1 %c.more, label %copied, label %item
copied:
  %c.from = getelementptr ptr, ptr %given, i64 %c
  %c.to = getelementptr ptr, ptr %table, i64 %c
  %c.object = load ptr, ptr %c.from, align 8
  store ptr %c.object, ptr %c.to, align 8
  %c.next = add i64 %c, 1
  br label %copy

; One item after the other; each is this function's own until the end.
item:
  %i = phi i64 [ 0, %copy ], [ %i.next, %kept ]
  %at = phi ptr [ %first, %copy ], [ %after, %kept ]
  %place = add i64 %i, %count
  %a = getelementptr i64, ptr %at, i64 1
  %b = getelementptr i64, ptr %at, i64 2
  %slots.p = getelementptr i64, ptr %at, i64 3
  %what = load i64, ptr %at, align 1
  %object.a = load ptr, ptr %a, align 1
  %number.b = load i64, ptr %b, align 1
  %is.made = icmp eq i64 %what, {_MADE}
  br i1 %is.made, label %make, label %take

take:
  %taken = call ptr @PyObject_CallNoArgs(ptr %object.a)
  %none = icmp eq ptr %taken, null
  br i1 %none, label %other, label %keep.taken
other:
  call void @PyErr_Clear()
  %function = inttoptr i64 %number.b to ptr
  %second = call ptr @PyObject_CallNoArgs(ptr %function)
  %no.second = icmp eq ptr %second, null
  br i1 %no.second, label %failed, label %keep.taken
keep.taken:
  %got = phi ptr [ %taken, %take ], [ %second, %other ]
  br label %kept

make:
  %made = call ptr @PyType_GenericAlloc(ptr %object.a, i64 0)
  %no.memory = icmp eq ptr %made, null
  br i1 %no.memory, label %failed, label %slot
slot:
  %s = phi i64 [ 0, %make ], [ %s.next, %filled ]
  %sp = phi ptr [ %slots.p, %make ], [ %sp.next, %filled ]
  %s.more = icmp ult i64 %s, %number.b
  br i1 %s.more, label %fill, label %kept
fill:
  %kind.p = getelementptr i64, ptr %sp, i64 1
  %word.p = getelementptr i64, ptr %sp, i64 2
  %behind.p = getelementptr i64, ptr %sp, i64 3
  %offset = load i64, ptr %sp, align 1
  %kind = load i64, ptr %kind.p, align 1
  %word = load i64, ptr %word.p, align 1
  %behind = load i64, ptr %behind.p, align 1
  %constant = inttoptr i64 %word to ptr
  %is.constant = icmp eq i64 %kind, {_CONSTANT}
  br i1 %is.constant, label %filled, label %earlier
earlier:
  %item.p = getelementptr ptr, ptr %table, i64 %word
  %item.object = load ptr, ptr %item.p, align 8
  %is.item = icmp eq i64 %kind, {_ITEM}
  br i1 %is.item, label %filled, label %inside
inside:
  %inside.p = getelementptr i8, ptr %item.object, i64 %behind
  %inside.object = load ptr, ptr %inside.p, align 8
  br label %filled
filled:
  %value = phi ptr [ %constant, %fill ], [ %item.object, %earlier ], [ %inside.object, %inside ]
  call void @Py_IncRef(ptr %value)
  %target = getelementptr i8, ptr %made, i64 %offset
  store ptr %value, ptr %target, align 8
  %s.next = add i64 %s, 1
  %sp.next = getelementptr i64, ptr %sp, i64 4
  br label %slot

kept:
  %object = phi ptr [ %got, %keep.taken ], [ %made, %slot ]
  %after = phi ptr [ %slots.p, %keep.taken ], [ %sp, %slot ]
  %to = getelementptr ptr, ptr %table, i64 %place
  store ptr %object, ptr %to, align 8
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, %items
  br i1 %more, label %item, label %done

; All but the last are held by others now, or by nobody.
done:
  br label %release
release:
  %d = phi i64 [ 0, %done ], [ %d.next, %released ]
  %d.more = icmp ult i64 %d, %i
  br i1 %d.more, label %released, label %result
released:
  %d.place = add i64 %d, %count
  %d.p = getelementptr ptr, ptr %table, i64 %d.place
  %d.object = load ptr, ptr %d.p, align 8
  call void @Py_DecRef(ptr %d.object)
  %d.next = add i64 %d, 1
  br label %release
result:
  ret ptr %object

failed:
  br label %drop
drop:
  %f = phi i64 [ 0, %failed ], [ %f.next, %dropped ]
  %f.more = icmp ult i64 %f, %i
  br i1 %f.more, label %dropped, label %nothing
dropped:
  %f.place = add i64 %f, %count
  %f.p = getelementptr ptr, ptr %table, i64 %f.place
  %f.object = load ptr, ptr %f.p, align 8
  call void @Py_DecRef(ptr %f.object)
  %f.next = add i64 %f, 1
  br label %drop
nothing:
  ret ptr null
}}
"""
