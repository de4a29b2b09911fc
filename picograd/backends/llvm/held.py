"""Whether containers hold what they held, asked in machine code.

A compiled function depends on dozens of attributes and variables, each of which may have been bound
anew before any call. To look at one takes Python four times as long as to find it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
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

_NAME = "picograd_held"
_API = (
    "PyBytes_AsString",
    "PyBool_FromLong",
    "PyCell_Get",
    "PyErr_Clear",
    "PyObject_GetItem",
    "Py_DecRef",
)


def checker(slots: Sequence[tuple[Any, Any, object]]) -> Callable[[], bool] | None:
    """A function that tells whether each container still holds the very object at its key.

    A closure's cell has the key None. None where Python offers no such function.
    """
    if not can_launch():
        return None
    words = [len(slots)]
    for container, key, value in slots:
        words += [id(container), 0 if key is None else id(key), id(value)]
    plan = struct.pack(f"={len(words)}Q", *words)
    return function(_method(), plan, (_library(), tuple(slots)))


@once
def _library() -> codegen.Library:
    api = {name: address_of(name) for name in _API}
    return codegen.Library(codegen.object_code(_TEXT), (_NAME,), api)


@once
def _method() -> Method:
    return method(_NAME, _library().addresses[_NAME])


_TEXT = f"""
declare ptr @PyBytes_AsString(ptr)
declare ptr @PyBool_FromLong(i64)
declare ptr @PyCell_Get(ptr)
declare void @PyErr_Clear()
declare ptr @PyObject_GetItem(ptr, ptr)
declare void @Py_DecRef(ptr)

define ptr @{_NAME}(ptr %self, ptr %given, i64 %count) {{
entry:
  %plan = call ptr @PyBytes_AsString(ptr %self)
  %slots = load i64, ptr %plan, align 1
  %first = getelementptr i64, ptr %plan, i64 1
  br label %next

next:
  %i = phi i64 [ 0, %entry ], [ %i.next, %same ]
  %at = phi ptr [ %first, %entry ], [ %at.next, %same ]
  %more = icmp ult i64 %i, %slots
  br i1 %more, label %slot, label %held

slot:
  %key.p = getelementptr i64, ptr %at, i64 1
  %value.p = getelementptr i64, ptr %at, i64 2
  %at.next = getelementptr i64, ptr %at, i64 3
  %i.next = add i64 %i, 1
  %container = load ptr, ptr %at, align 1
  %key = load ptr, ptr %key.p, align 1
  %value = load ptr, ptr %value.p, align 1
  %is.cell = icmp eq ptr %key, null
  br i1 %is.cell, label %cell, label %item
cell:
  %in.cell = call ptr @PyCell_Get(ptr %container)
  br label %look
item:
  %in.item = call ptr @PyObject_GetItem(ptr %container, ptr %key)
  br label %look
look:
  %now = phi ptr [ %in.cell, %cell ], [ %in.item, %item ]
  %empty = icmp eq ptr %now, null
  br i1 %empty, label %gone, label %compare
compare:
  call void @Py_DecRef(ptr %now)
  %equal = icmp eq ptr %now, %value ; which is alive, whatever became of the other
  br i1 %equal, label %same, label %other
same:
  br label %next

gone:
  call void @PyErr_Clear()
  br label %other
other:
  %no = call ptr @PyBool_FromLong(i64 0)
  ret ptr %no
held:
  %yes = call ptr @PyBool_FromLong(i64 1)
  ret ptr %yes
}}
"""
