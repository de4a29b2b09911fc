"""Where new tensors live when nobody says."""

from __future__ import annotations

import os
from typing import Any, cast

from picograd.frontend.modes.eager import eager
from picograd.frontend.modes.ladder import LADDER
from picograd.frontend.modes.mode import SETTINGS

VARIABLE = "PICOGRAD_DEVICE"


class _Default:
    device: str | None = None


_STORED: Any = getattr(os.environ, "_data", os.environ)
"""What `os.environ` looks variables up in. Of one that is not set, which is the usual case, this
tells in a tenth of the time: an error is raised and caught otherwise.
"""
_KEY: Any = VARIABLE if _STORED is os.environ else cast(Any, os.environ).encodekey(VARIABLE)


def _from_environment() -> str | None:
    return os.environ.get(VARIABLE) if _KEY in _STORED else None


def default_device() -> str:
    """Where new tensors live now.

    It is the device of the compiled function that is being traced or run, else that of
    `set_default_device`, else that of the environment variable PICOGRAD_DEVICE, else "cpu".
    """
    if SETTINGS.trace is not None:
        return SETTINGS.trace.device
    return LADDER.device or _Default.device or _from_environment() or "cpu"


def set_default_device(device: str | None) -> None:
    """Make new tensors live on this device; None returns to PICOGRAD_DEVICE or "cpu".

    Raises DeviceError when the machine has no such device.
    """
    if device is not None:
        eager(device)
    _Default.device = device
