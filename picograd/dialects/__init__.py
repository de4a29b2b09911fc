"""The dialects of the four levels, one file each, and the context that knows them all."""

from __future__ import annotations

if __name__ != "picograd.dialects":
    raise ImportError(
        f"import picograd.dialects, not {__name__}: the folder at the top of the tree is a link for"
        " readers, and importing through it would define every op a second time"
    )

from importlib import import_module
from typing import TYPE_CHECKING

from picograd.dialects.late_formats import read_late
from picograd.dialects.quick_classes import make_quick

make_quick()
read_late()

if TYPE_CHECKING:
    from picograd.dialects.context import DIALECTS, add_op, new_context
else:

    def __getattr__(name: str) -> object:
        """What knows all levels loads when somebody asks: tracing needs tensors only."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("picograd.dialects.context"), name)


__all__ = ["DIALECTS", "add_op", "new_context"]
