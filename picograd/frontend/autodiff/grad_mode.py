"""Switching the recording of gradients off and on, for a block or a function."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import ParamSpec, TypeVar

from picograd.frontend.modes.mode import SETTINGS

P = ParamSpec("P")
R = TypeVar("R")


class set_grad_enabled:
    """Record gradients, or not: at once, and until the end of the block if used in `with`."""

    def __init__(self, mode: bool) -> None:
        self._before = SETTINGS.recording
        SETTINGS.recording = mode

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        SETTINGS.recording = self._before


class _Switch:
    """A context manager that is a decorator too."""

    recording: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(SETTINGS.recording)
        SETTINGS.recording = self.recording

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        SETTINGS.recording = self._before.pop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            with type(self)():
                return function(*args, **kwargs)

        return call


class no_grad(_Switch):
    """Record no gradients: `with no_grad():`, or `@no_grad()` before a function."""

    recording = False


class enable_grad(_Switch):
    """Record gradients inside of a `no_grad` block."""

    recording = True


def is_grad_enabled() -> bool:
    """Whether gradients are recorded."""
    return SETTINGS.recording
