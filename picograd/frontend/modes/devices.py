"""Where new tensors live when nobody says."""

from __future__ import annotations

import os

from picograd.frontend.modes.eager import eager
from picograd.frontend.modes.ladder import LADDER
from picograd.frontend.modes.mode import SETTINGS


class _Default:
    device: str | None = None


def default_device() -> str:
    """Where new tensors live now.

    It is the device of the compiled function that is being traced or run, else that of
    `set_default_device`, else that of the environment variable PICOGRAD_DEVICE, else "cpu".
    """
    if SETTINGS.trace is not None:
        return SETTINGS.trace.device
    return LADDER.device or _Default.device or os.environ.get("PICOGRAD_DEVICE") or "cpu"


def set_default_device(device: str | None) -> None:
    """Make new tensors live on this device; None returns to PICOGRAD_DEVICE or "cpu".

    Raises DeviceError when the machine has no such device.
    """
    if device is not None:
        eager(device)
    _Default.device = device
