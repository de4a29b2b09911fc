"""Names for values: from the user's variables to identifiers that IR, assembly and WGSL accept."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import FrameType

from xdsl.ir import SSAValue

_PACKAGE = str(Path(__file__).resolve().parents[2]) + "/"


def legal_name(path: str) -> str:
    """`net.0.weight` as an identifier: `net_0_weight`."""
    name = re.sub(r"\W", "_", path, flags=re.ASCII)
    return f"v{name}" if not name or name[0].isdigit() else name


def unique_name(name: str, taken: set[str]) -> str:
    """The name, with a number behind it when it is taken already; it is taken from now on."""
    candidate, number = name, 1
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    taken.add(candidate)
    return candidate


def set_hint(value: object, path: str) -> None:
    """Name an SSA value unless it has a name."""
    if isinstance(value, SSAValue) and value.name_hint is None:
        value.name_hint = legal_name(path)


def rename(value: object, path: str) -> None:
    """Name an SSA value, whatever name it had."""
    if isinstance(value, SSAValue):
        value.name_hint = legal_name(path)


def user_frames(stop: FrameType | None) -> Iterator[FrameType]:
    """The frames of the user's code from the innermost one up to `stop`."""
    frame = inspect.currentframe()
    while frame is not None and frame is not stop:
        if _is_the_users(frame.f_code.co_filename):
            yield frame
        frame = frame.f_back


@cache
def _is_the_users(file: str) -> bool:
    return not file.startswith((_PACKAGE, "<frozen "))


def local_variables(frames: Iterable[FrameType]) -> Iterator[tuple[str, object]]:
    """All local variables of functions that have returned or are running, by name."""
    for frame in frames:
        if frame.f_code.co_name != "<module>":
            yield from frame.f_locals.items()
