"""Copying memory, as a program: what stands in the place of one that would compute nothing.

Its arguments are where to copy from and where to, and its constant, which is no address, how many
bytes. It is entered like any other (`launch`).
"""

from __future__ import annotations

from picograd.backends.llvm.standing.text import Text

NAME = "picograd_copy"

_DECLARATIONS = ("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",)


def text() -> Text:
    """LLVM IR of the function."""
    return Text(
        (NAME,),
        _DECLARATIONS,
        f"""
define void @{NAME}(ptr %table, ptr %context) {{
  %to.p = getelementptr i64, ptr %table, i64 1
  %bytes.p = getelementptr i64, ptr %table, i64 2
  %from = load ptr, ptr %table, align 8
  %to = load ptr, ptr %to.p, align 8
  %bytes = load i64, ptr %bytes.p, align 8
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %bytes, i1 false)
  ret void
}}
""",
    )
