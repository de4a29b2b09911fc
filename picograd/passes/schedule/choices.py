"""What may be chosen of a kernel's schedule instead of what the cost model would.

A kernel carries the choices as a note, `{schedule = "rows=6 pack=both"}`, which `choose_schedules`
writes. The cost model asks for them with `choices_for`; what is not chosen stays its own decision.
No choice changes what a kernel computes, but for the order in which sums are added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields, replace
from functools import lru_cache

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Operation

from picograd.dialects.loop import KernelOp
from picograd.errors import OptionError
from picograd.quick_dataclasses import dataclass

SCHEDULE = "schedule"
"""The note on a `loop.kernel` that holds its choices."""

MOST = "most"
MENU = "menu"
SAYS = "says"


def _number(says: str, menu: tuple[int, ...], most: int) -> int:
    return field(default=0, metadata={SAYS: says, MENU: menu, MOST: most})


def _word(says: str, menu: tuple[str, ...]) -> str:
    return field(default="", metadata={SAYS: says, MENU: menu})


_BLOCKS = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096)


@dataclass(frozen=True)
class Choices:
    """Each is 0 or empty where the cost model decides. `menu` is what is worth a try."""

    rows: int = _number("rows of a register tile", (1, 2, 3, 4, 5, 6, 8, 10, 12, 14), 32)
    vectors: int = _number("machine vectors side by side in a tile", (1, 2, 3, 4, 6, 8), 16)
    pack: str = _word("operands that are copied panel by panel", ("none", "left", "right", "both"))
    depth: int = _number("terms of a sum that a block holds", _BLOCKS, 1 << 20)
    height: int = _number("rows of a block", _BLOCKS, 1 << 20)
    width: int = _number("columns of a block", _BLOCKS, 1 << 20)
    accumulators: int = _number("vectors that a sum along memory fills", (1, 2, 4, 8, 16), 32)
    streams: int = _number("rows that are reduced side by side", (1, 2, 4), 8)
    repeat: int = _number("copies of an innermost loop's body", (1, 2, 4, 8), 16)
    prefetch: str = _word("whether rows are fetched ahead", ("off",))
    stores: str = _word("whether large results go past the caches", ("cached", "streamed"))
    grain: int = _number("microseconds of work in a thread's chunk", (5, 10, 20, 40, 80), 100_000)

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.made.items())

    @property
    def made(self) -> Mapping[str, int | str]:
        """The choices that are made, by name."""
        every = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in every.items() if value}

    def but(self, other: Choices) -> Choices:
        """These choices, with those that the other makes in their place."""
        return replace(self, **other.made)  # pyright: ignore[reportArgumentType]

    def without(self, name: str) -> Choices:
        """These choices, with one left to the cost model."""
        return replace(self, **{name: type(getattr(self, name))()})  # pyright: ignore[reportArgumentType]

    def packs(self, side: str) -> bool | None:
        """Whether to copy the operand on a side, "left" or "right"; None if that is not chosen."""
        return self.pack in (side, "both") if self.pack else None


NONE = Choices()

_FIELDS = {each.name: each for each in fields(Choices)}


@lru_cache(maxsize=256)
def parse_choices(text: str) -> Choices:
    """The choices that a text such as "rows=6 pack=both" makes. Raises OptionError."""
    found: dict[str, int | str] = {}
    for item in text.split():
        name, equals, value = item.partition("=")
        if not equals or name in found or name not in _FIELDS:
            known = ", ".join(_FIELDS)
            raise _cannot_read(item, f"name=value, each name once: {known}")
        found[name] = _value(name, value, item)
    return Choices(**found)  # pyright: ignore[reportArgumentType]


def _value(name: str, text: str, item: str) -> int | str:
    facts = _FIELDS[name].metadata
    if MOST not in facts:
        if text not in facts[MENU]:
            raise _cannot_read(item, f"{name} to be " + " or ".join(facts[MENU]))
        return text
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= facts[MOST]):
        raise _cannot_read(item, f"{name} to be a number from 1 to {facts[MOST]}")
    return int(text)


def _cannot_read(found: str, expected: str) -> OptionError:
    return OptionError(
        "the choices for a schedule cannot be read",
        code="PG703",
        expected=expected,
        found=repr(found),
        hint='write for example "rows=6 vectors=4 pack=both"',
    )


def choices_for(op: Operation) -> Choices:
    """What is chosen for the kernel that an operation stands in."""
    kernel: Operation | None = op
    while kernel is not None and not isinstance(kernel, KernelOp):
        kernel = kernel.parent_op()
    note = None if kernel is None else kernel.attributes.get(SCHEDULE)
    return parse_choices(note.data) if isinstance(note, StringAttr) else NONE
