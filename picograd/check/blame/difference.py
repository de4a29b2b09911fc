"""What is different between two modules: the lines that one rewrite touched, before and after.

Printed IR numbers what has no name and tells equal names apart by a number, so one op less changes
the names of all that follow. The two texts are therefore aligned without those numbers first; then
the second takes over the first one's names, and what is still different was touched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

_VALUE = re.compile(r"%[\w$.-]+")
_NUMBER = re.compile(r"%(\d+|[\w$.-]*?_\d+)(?![\w$.-])")
"""A value that has no name, or one that others have as well."""
_CONTEXT = 1
"""Untouched lines shown on either side of a touched one."""
_MOST_LINES = 40
_WIDTH = 160
_TOO_LONG = 3000
"""Texts of more lines, after what they begin and end with alike, are not aligned."""

Spans = list[tuple[int, int]]


def difference(before: str, after: str) -> tuple[str, str]:
    """The lines of each text that the other does not have, with a line of context."""
    old, new = before.splitlines(), _renamed(before.splitlines(), after.splitlines())
    mine: Spans = []
    theirs: Spans = []
    for tag, first, last, start, end in _opcodes(old, new):
        if tag != "equal":
            mine.append((first, last))
            theirs.append((start, end))
    return _shown(old, mine), _shown(new, theirs)


def _renamed(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """The new lines, in which values that stand in the same places are called as in the old."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    bare_old, bare_new = ([_NUMBER.sub(_bare, line) for line in text] for text in (old, new))
    for tag, first, last, start, _ in _opcodes(bare_old, bare_new):
        if tag == "equal":
            for offset in range(last - first):
                pairs = zip(
                    _VALUE.findall(new[start + offset]),
                    _VALUE.findall(old[first + offset]),
                    strict=True,
                )
                for theirs, mine in pairs:
                    if theirs not in names and mine not in taken:
                        names[theirs] = mine
                        taken.add(mine)
    everywhere = {name for line in old for name in _VALUE.findall(line)} | taken
    for name in dict.fromkeys(name for line in new for name in _VALUE.findall(line)):
        if name not in names:
            numbered = _NUMBER.fullmatch(name) is not None
            names[name] = _free(name, everywhere if numbered else taken)
            everywhere.add(names[name])
    return [_VALUE.sub(lambda match: names[match[0]], line) for line in new]


def _bare(value: re.Match[str]) -> str:
    """A value without the number that is, or ends, its name."""
    return "%" + value[1].rstrip("0123456789").rstrip("_")


def _free(name: str, taken: set[str]) -> str:
    """The name, unless it is taken: then with as many `+` behind it as it needs."""
    while name in taken:
        name += "+"
    return name


def _opcodes(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    """As difflib's, for texts of which a small part is different."""
    first = 0
    while first < min(len(old), len(new)) and old[first] == new[first]:
        first += 1
    last = 0
    while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last]:
        last += 1
    inner_old, inner_new = old[first : len(old) - last], new[first : len(new) - last]
    if max(len(inner_old), len(inner_new)) > _TOO_LONG:
        inner = [("replace", 0, len(inner_old), 0, len(inner_new))]
    else:
        inner = SequenceMatcher(None, inner_old, inner_new, autojunk=False).get_opcodes()
    codes: list[tuple[str, int, int, int, int]] = [("equal", 0, first, 0, first)]
    for tag, a, b, c, d in inner:
        codes.append((tag, a + first, b + first, c + first, d + first))
    codes.append(("equal", len(old) - last, len(old), len(new) - last, len(new)))
    return codes


def _shown(lines: Sequence[str], spans: Spans) -> str:
    """The lines of the spans with their context, `…` where others are left out between them."""
    wanted: dict[int, None] = {}
    for first, last in spans:
        for number in range(max(0, first - _CONTEXT), min(len(lines), last + _CONTEXT)):
            wanted[number] = None
    shown: list[str] = []
    previous: int | None = None
    for number in sorted(wanted):
        if previous is not None and number != previous + 1:
            shown.append("…")
        line = lines[number]
        shown.append(line if len(line) <= _WIDTH else line[: _WIDTH - 2] + " …")
        previous = number
    if len(shown) > _MOST_LINES:
        rest = len(shown) - _MOST_LINES
        shown = [*shown[:_MOST_LINES], f"… {rest} more lines"]
    indent = min((len(line) - len(line.lstrip()) for line in shown if line != "…"), default=0)
    return "\n".join(line if line == "…" else line[indent:] for line in shown)
