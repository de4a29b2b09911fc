"""What `tensor.device` gives: a device's name, which also answers what published code asks of it.

`torch.device("cuda" if torch.cuda.is_available() else "cpu")` and `x.device.type` are in most
programs. A name that is a string serves both them and those that compare it with "cpu".
"""

from __future__ import annotations

from functools import cache
from typing import Self

from picograd.backends.runtime import device_names, no_such_device
from picograd.frontend.problems import located


class Device(str):
    """The name of a device: "cpu", "gpu" or "reference". Raises DeviceError for another one."""

    __slots__ = ()

    def __new__(cls, type: str = "cpu", index: int | None = None) -> Self:
        if type not in device_names() or index not in (None, 0):
            raise located(no_such_device(type if index is None else f"{type}:{index}"))
        return super().__new__(cls, type)

    @property
    def type(self) -> str:
        """The name itself."""
        return str(self)

    @property
    def index(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """None: there is one device of each kind."""
        return None


@cache
def device_named(name: str) -> Device:
    """The name as what `tensor.device` gives."""
    return Device(name)
