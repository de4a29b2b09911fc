"""The search for something smaller: what has been accepted so far, how much was tried, and when to
stop.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import TypeAlias

from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import VerifyException

from picograd.dialects.literals import Array
from picograd.errors import PicogradError
from picograd.quick_dataclasses import dataclass

Fails: TypeAlias = Callable[[ModuleOp, Sequence[Array]], bool]
"""Whether a module fails on some inputs, in the way that is looked for."""

REFUSALS = (
    PicogradError,
    VerifyException,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    AssertionError,
)
"""What is raised by a candidate that makes no sense, while it is made or looked at."""


@dataclass(frozen=True)
class Program:
    """A module and what is fed to it."""

    module: ModuleOp
    inputs: Sequence[Array]

    def digest(self) -> bytes:
        """Equal for programs that are spelled alike and get equal inputs."""
        found = hashlib.sha256(str(self.module).encode())
        for array in self.inputs:
            found.update(f"{array.dtype} {array.shape}".encode())
            found.update(array.tobytes())
        return found.digest()


@dataclass
class Search:
    """The smallest program so far that fails, and the candidates that have been tried.

    A candidate is tried once. After `seconds` none is accepted any more, so all loops over
    candidates come to their end at once.
    """

    best: Program
    fails: Fails
    seconds: float = 60.0
    tries: int = 0
    _seen: set[bytes] = field(default_factory=set[bytes])
    _start: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._seen.add(self.best.digest())

    @property
    def over(self) -> bool:
        """Whether the time is used up."""
        return time.monotonic() - self._start > self.seconds

    def accept(self, make: Callable[[], Program | None]) -> bool:
        """Make a candidate, and take it if it fails; whether it was taken.

        `make` may give None, or raise one of `REFUSALS`, where there is no such candidate.
        """
        if self.over:
            return False
        try:
            candidate = make()
        except REFUSALS:
            return False
        if candidate is None:
            return False
        digest = candidate.digest()
        if digest in self._seen:
            return False
        self._seen.add(digest)
        self.tries += 1
        if not self.fails(candidate.module, candidate.inputs):
            return False
        self.best = candidate
        return True

    def stop(self) -> None:
        """Accept nothing any more: the time is over."""
        self.seconds = -1.0

    def continued(self, best: Program) -> "Search":
        """The search from another program on, in the time that is left: nothing has been tried."""
        left = self.seconds - (time.monotonic() - self._start)
        return Search(best, self.fails, left, self.tries)
