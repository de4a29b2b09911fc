"""What pytest finds by itself where picograd is installed: the fixture `assert_devices_agree`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from picograd.backends.runtime import device
from picograd.check.outcome import Outcome
from picograd.errors import DeviceError
from picograd.testing import DEVICES
from picograd.testing import assert_devices_agree as compare


@pytest.fixture(name="assert_devices_agree")
def agreement(record_property: Callable[[str, object], None]) -> Callable[..., tuple[Outcome, ...]]:
    """`picograd.testing.assert_devices_agree`, on those devices that the machine has.

    Which ones it lacks, and why, is recorded as a property of the test. Give `devices=` to insist.
    """
    present: list[str] = []
    for name in DEVICES:
        try:
            device(name)
        except DeviceError as error:
            record_property(f"without {name}", str(error))
        else:
            present.append(name)
    return partial(compare, devices=tuple(present))
