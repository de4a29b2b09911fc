"""LLVM IR that is written by hand, in pieces that one module can be made of."""

from __future__ import annotations

from collections.abc import Sequence

from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """Some functions, and the declarations of those that they call."""

    exports: tuple[str, ...]
    """The names of those that are called from outside."""
    declarations: tuple[str, ...]
    body: str


def joined(texts: Sequence[Text]) -> Text:
    """One text of many, which declares nothing twice."""
    return Text(
        tuple(name for text in texts for name in text.exports),
        tuple(dict.fromkeys(line for text in texts for line in text.declarations)),
        "".join(text.body for text in texts),
    )


def module(text: Text) -> str:
    """The LLVM IR of a module with this text."""
    return "\n".join([*text.declarations, "", text.body])
