"""Failures as a run keeps them: one file for each kind, with a name that says which."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections import Counter
from dataclasses import field
from pathlib import Path

import picograd.errors
from picograd.check.oracle import Failure
from picograd.compiler.validation.fault import Fault
from picograd.quick_dataclasses import dataclass

_PACKAGE = str(Path(picograd.errors.__file__).parents[1])
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")


@dataclass(frozen=True)
class Finding:
    """A failure, in words: what a worker tells of it."""

    kind: str
    """What can be told without looking into it."""
    family: str
    """Equal for failures that have one cause, as far as can be told."""
    name: str
    """How to repeat it from nothing: options of `picograd fuzz`."""
    headline: str
    replay: str
    """The text of the file that repeats it."""
    suffix: str = ".mlir"
    ended: bool = False
    """Whether it ended its process, so that nobody has made it small yet."""


def kind_of(failure: Failure) -> str:
    """The kind of a failure, by what it did, who did it, and where an exception arose."""
    culprit = failure.culprit.partition("{")[0]
    words = f"{failure.fault.name} in {culprit}"
    return words if failure.fault != Fault.CRASH else f"{words}: {origin_of(failure.error)}"


def origin_of(error: BaseException | None) -> str:
    """Where an exception arose: its type, and the innermost function that is nobody's library."""
    while error is not None and error.__cause__ is not None:
        error = error.__cause__
    if error is None:
        return "no exception"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_library(frame.filename)]
    place = f" in {own[-1].name} of {Path(own[-1].filename).name}" if own else ""
    return f"{type(error).__name__}{place}"


def _is_library(file: str) -> bool:
    if file.startswith(_PACKAGE):
        return False
    return "site-packages" in file or file.startswith((_STANDARD_LIBRARY, "<"))


_ENOUGH = 10
"""After so many of one kind nobody looks any more into which of its families one is."""


@dataclass
class Findings:
    """The failures of a run. Each kind is saved once, in `folder`, and counted."""

    folder: Path
    files: dict[str, Path] = field(default_factory=dict[str, Path])
    counted: Counter[str] = field(default_factory=Counter[str])
    first: dict[str, Finding] = field(default_factory=dict[str, Finding])
    kinds: Counter[str] = field(default_factory=Counter[str])

    @property
    def known(self) -> frozenset[str]:
        """Families, and kinds, of which there are enough."""
        enough = (kind for kind, times in self.kinds.items() if times >= _ENOUGH)
        return frozenset((*self.files, *enough))

    def add(self, finding: Finding) -> Path | None:
        """Count a failure; the file, if it is the first of its kind."""
        family = finding.family
        self.counted[family] += 1
        self.kinds[finding.kind] += 1
        if family == finding.kind and self.kinds[family] > _ENOUGH:
            return None  # of some family of this kind
        if family in self.files:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._free(
            re.sub(r"[^a-z0-9_]+", "-", family.lower()).strip("-")[:60], finding.suffix
        )
        path.write_text(finding.replay, encoding="utf-8")
        self.files[family], self.first[family] = path, finding
        return path

    def _free(self, stem: str, suffix: str) -> Path:
        """A file that is not there yet: those of earlier runs stay."""
        path, number = self.folder / f"{stem}{suffix}", 1
        while path.exists():
            number += 1
            path = self.folder / f"{stem}-{number}{suffix}"
        return path
