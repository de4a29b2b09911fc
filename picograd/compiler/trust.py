"""Whether to trust a device: one whose driver computes wrong results is refused.

A driver is tried when it is first met, with the programs of `self_test`, which takes about a
second. That it passed is remembered in a file of the user's cache folder, by the names and versions
of adapter, driver and picograd; that it failed is not, so that a mended driver is noticed at once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from picograd.backends import runtime
from picograd.backends.disk.settings import cache_folder
from picograd.backends.runtime import Device
from picograd.errors import DeviceError

if TYPE_CHECKING:
    from picograd.compiler.self_test import Verdict

VARIABLE = "PICOGRAD_TRUST_DRIVER"
"""Set to 1, this environment variable lets drivers pass untried, for those who mend one."""


def trusted_device(name: str) -> Device:
    """The device of this name, its driver tried.

    Raises DeviceError where there is none, and where its driver computes wrong results.
    """
    device = runtime.device(name)
    if device.driver and os.environ.get(VARIABLE) != "1":
        _require_trust(device)
    return device


@cache
def _require_trust(device: Device) -> None:
    from picograd.compiler.self_test import self_test  # the reference's tables, for GPUs only

    require_trust(device, cache_folder(), self_test)


def require_trust(device: Device, folder: Path, try_out: Callable[[Device], list[Verdict]]) -> None:
    """Raise DeviceError unless the device has passed before, as a file in `folder` says, or now."""
    mark = folder / f"trusted-{_fingerprint(device)}"
    if mark.exists():
        return
    failed = [verdict for verdict in try_out(device) if not verdict.ok]
    if failed:
        raise refusal(device, failed)
    with suppress(OSError):  # a read-only home only means that the driver is tried again
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark.touch(mode=0o600)


def refusal(device: Device, failed: list[Verdict]) -> DeviceError:
    """What to say of a device whose driver fails programs of the self-test."""
    names = ", ".join(verdict.name for verdict in failed)
    return DeviceError(
        f"the device {device.name!r} is refused: its driver computes wrong results",
        code="PG305",
        expected=f"the results of the programs: {names}",
        found="; ".join(f"{verdict.name}: {verdict.problem}" for verdict in failed),
        hint=f"update the driver, or use the device 'cpu'; {VARIABLE}=1 uses it all the same",
        where=f"{device.adapter}, {device.driver}",
    )


def _fingerprint(device: Device) -> str:
    try:
        release = version("picograd")
    except PackageNotFoundError:
        release = "source"
    facts = f"{device.adapter}\n{device.driver}\n{release}"
    return hashlib.sha256(facts.encode()).hexdigest()[:16]
