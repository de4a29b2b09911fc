"""The ladder of modes: the ways in which one and the same model runs.

| mode        | what runs                                                                      |
|-------------|--------------------------------------------------------------------------------|
| `reference` | each op, evaluated in NumPy as the tensor level defines it                     |
| `immediate` | each op, compiled anew whenever it runs                                        |
| `cached`    | each op, compiled when it first runs on operands of its types                  |
| `graph`     | what `picograd.compile` made, as one submission in which each op is a kernel   |
| `compiled`  | what `picograd.compile` made, after all passes: the default                    |

The first three run Python as it stands, op by op: in them a function or module given to
`picograd.compile` is called like any other. The other two need a trace. Outside of such functions
ops run in `graph` as in `cached`; in `compiled` most methods of tensors run as one program each,
the reading of their operands' views included (see `frontend.plans`). In every mode tensors stay on
their device, so modes may be switched at any time, and results agree: bit for bit where the same
arithmetic runs.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from types import TracebackType

from picograd.errors import OptionError, TraceError
from picograd.frontend.modes.mode import SETTINGS, allow_plans
from picograd.frontend.problems import located


class Rung(StrEnum):
    """One mode of the ladder, slowest first."""

    REFERENCE = "reference"
    IMMEDIATE = "immediate"
    CACHED = "cached"
    GRAPH = "graph"
    COMPILED = "compiled"

    @classmethod
    def of(cls, mode: str) -> Rung:
        """The mode of this name. Raises OptionError for another word."""
        if mode not in list(cls):
            raise located(
                OptionError(
                    f"there is no mode {mode!r}",
                    code="PG801",
                    expected="one of " + ", ".join(repr(str(rung)) for rung in cls),
                    found=repr(mode),
                    hint="name one of these; each adds something to the one before it",
                )
            )
        return cls(mode)

    @property
    def is_traced(self) -> bool:
        """Whether functions made by `picograd.compile` are traced, and not run op by op."""
        return self in (Rung.GRAPH, Rung.COMPILED)


class _Ladder(threading.local):
    """Where this thread stands."""

    rung = Rung.COMPILED
    device: str | None = None
    """Where the compiled function that runs op by op makes its tensors; None outside of such."""


LADDER = _Ladder()
"""This thread's mode. Threads start at `compiled`, whatever the one that started them does."""


@contextmanager
def running_on(device: str) -> Generator[None]:
    """Run a compiled function op by op: its new tensors live on this device by default."""
    before, LADDER.device = LADDER.device, device
    try:
        yield
    finally:
        LADDER.device = before


class set_mode:
    """Run in this mode: at once, and until the end of the block if used in `with`.

    `mode` is "reference", "immediate", "cached", "graph" or "compiled"; the module's docstring says
    what each does. The mode is the calling thread's own. Raises OptionError for another word, and
    TraceError inside of a function that is being traced, which has one mode throughout.
    """

    def __init__(self, mode: str) -> None:
        rung = Rung.of(mode)
        if SETTINGS.trace is not None and not SETTINGS.trace.runs_now:
            raise located(
                TraceError(
                    "the mode is switched inside of a function that is being traced",
                    code="PG503",
                    expected="one mode for the whole compiled function",
                    found=f"set_mode({str(mode)!r})",
                    hint="switch the mode where the function is called",
                )
            )
        self._before = LADDER.rung
        _stand_on(rung)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _stand_on(self._before)


def _stand_on(rung: Rung) -> None:
    LADDER.rung = rung
    allow_plans(rung is Rung.COMPILED)


def get_mode() -> str:
    """The mode that this thread runs in."""
    return str(LADDER.rung)
