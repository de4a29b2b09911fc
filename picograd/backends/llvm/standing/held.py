"""Asking containers whether they hold what they held.

    plan ::= how many slots; for each the container, the key (0 for a closure's cell), the value

Every part is a word of eight bytes.
"""

from __future__ import annotations

from picograd.backends.llvm.standing.text import Text

NAME = "picograd_held"

_DECLARATIONS = (
    "declare ptr @PyBytes_AsString(ptr)",
    "declare ptr @PyBool_FromLong(i64)",
    "declare ptr @PyCell_Get(ptr)",
    "declare void @PyErr_Clear()",
    "declare ptr @PyObject_GetItem(ptr, ptr)",
    "declare void @Py_DecRef(ptr)",
)


def text() -> Text:
    """LLVM IR of the function."""
    return Text(
        (NAME,),
        _DECLARATIONS,
        f"""
define ptr @{NAME}(ptr %self, ptr %given, i64 %count) {{
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
""",
    )
