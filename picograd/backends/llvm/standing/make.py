"""Making objects by a recipe: memory from Python's own allocator, and slots that are filled.

    plan ::= how many items, how many arguments; for each item either MADE, the class, how many
             slots are filled and the slots, or TAKEN and both functions
    slot ::= its offset, the kind of its source, and two of: an object; an item's number (arguments
             come first), and the offset of the slot that is read there

Every part is a word of eight bytes.
"""

from __future__ import annotations

from picograd.backends.llvm.standing.text import Text

NAME = "picograd_make"

MADE, TAKEN = 0, 1
CONSTANT, ITEM, SLOT = 0, 1, 2

MOST = 16
"""Items and arguments of a recipe, together."""

_DECLARATIONS = (
    "declare ptr @PyBytes_AsString(ptr)",
    "declare i32 @PyErr_BadArgument()",
    "declare void @PyErr_Clear()",
    "declare ptr @PyObject_CallNoArgs(ptr)",
    "declare ptr @PyType_GenericAlloc(ptr, i64)",
    "declare void @Py_DecRef(ptr)",
    "declare void @Py_IncRef(ptr)",
)


def text() -> Text:
    """LLVM IR of the function."""
    return Text(
        (NAME,),
        _DECLARATIONS,
        f"""
define ptr @{NAME}(ptr %self, ptr %given, i64 %count) {{
entry:
  %table = alloca [{MOST} x ptr], align 16
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
  %is.made = icmp eq i64 %what, {MADE}
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
  br i1 %no.second, label %release, label %keep.taken
keep.taken:
  %got = phi ptr [ %taken, %take ], [ %second, %other ]
  br label %kept

make:
  %made = call ptr @PyType_GenericAlloc(ptr %object.a, i64 0)
  %no.memory = icmp eq ptr %made, null
  br i1 %no.memory, label %release, label %slot
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
  %is.constant = icmp eq i64 %kind, {CONSTANT}
  br i1 %is.constant, label %filled, label %earlier
earlier:
  %item.p = getelementptr ptr, ptr %table, i64 %word
  %item.object = load ptr, ptr %item.p, align 8
  %is.item = icmp eq i64 %kind, {ITEM}
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
  br i1 %more, label %item, label %release

; All but the last are held by others now, or by nobody; after an error there is no last one.
release:
  %result = phi ptr [ %object, %kept ], [ null, %other ], [ null, %make ]
  br label %next
next:
  %d = phi i64 [ 0, %release ], [ %d.next, %released ]
  %d.more = icmp ult i64 %d, %i
  br i1 %d.more, label %released, label %done
released:
  %d.place = add i64 %d, %count
  %d.p = getelementptr ptr, ptr %table, i64 %d.place
  %d.object = load ptr, ptr %d.p, align 8
  call void @Py_DecRef(ptr %d.object)
  %d.next = add i64 %d, 1
  br label %next
done:
  ret ptr %result
}}
""",
    )
