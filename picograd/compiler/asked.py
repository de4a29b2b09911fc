"""What a compilation is asked for beside a program."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from picograd.quick_dataclasses import dataclass

if TYPE_CHECKING:
    from picograd.compiler.driver import Instrument

CHECK = "PICOGRAD_CHECK"
"""Asks for validation of all that is compiled; or names the folder for what fails."""

DUMP = "PICOGRAD_DUMP"
"""Names the folder for the IR of all functions."""


@dataclass(frozen=True)
class Asked:
    """What a compilation is asked to do beside compiling."""

    dump: Path | None = None
    instruments: tuple[Instrument, ...] = ()
    cached: bool = True
    sanitize: bool = False
    validate: bool = False

    @property
    def watched(self) -> bool:
        """Whether somebody sees the IR while it is compiled."""
        return bool(self.instruments) or self.dump is not None


_dumps = 0


def folder_from_environment(label: str) -> Path | None:
    """A folder of one compilation's own below the one that PICOGRAD_DUMP names; or None."""
    global _dumps
    folder = os.environ.get(DUMP)
    if not folder:
        return None
    _dumps += 1
    return Path(folder) / f"{_dumps:03d}-{label}"
