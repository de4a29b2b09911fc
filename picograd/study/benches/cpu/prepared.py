"""What every library makes of a workload, and what they agree about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, cast

from numpy.typing import NDArray

from picograd.quick_dataclasses import dataclass

Sizes: TypeAlias = Sequence[int]

LEARNING_RATE = 0.1
"""Of the plain gradient descent in training steps."""


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Prepared:
    """A workload with its operands in place."""

    call: Callable[[], Any]
    arrays: Callable[[Any], list[NDArray[Any]]]
    """What a call returned, as NumPy's arrays; of a training step the loss and the parameters."""
    restart: Callable[[], None] = _nothing
    """Give parameters their first values again."""
    finish: Callable[[], None] = _nothing
    """Wait for what calls have only submitted."""


def many(result: Any) -> list[Any]:
    """What a call returned, as a list."""
    if isinstance(result, tuple | list):
        return [*cast("Sequence[Any]", result)]
    return [result]


class Words(Protocol):
    """A library that can say the workloads."""

    def versions(self) -> dict[str, str]:
        """What was measured."""
        ...

    def prepare(self, workload: str, sizes: Sizes, operands: Sequence[NDArray[Any]]) -> Prepared:
        """The workload, ready to be called. Raises what the library does where it cannot."""
        ...
