"""The registry of devices."""

import pytest

from picograd.backends import runtime
from picograd.backends.reference import ReferenceDevice
from picograd.errors import DeviceError


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(runtime, "_makers", dict(runtime._makers))
    monkeypatch.setattr(runtime, "_devices", dict(runtime._devices))


def test_the_three_devices_are_known_before_they_are_made() -> None:
    assert set(runtime.device_names()) >= {"reference", "cpu", "gpu"}


def test_an_unknown_device_says_which_there_are() -> None:
    with pytest.raises(DeviceError, match="no device called 'tpu'") as caught:
        runtime.device("tpu")
    assert "'cpu'" in caught.value.expected
    assert "PICOGRAD_DEVICE" in caught.value.hint


def test_a_registered_device_is_made_once_and_when_asked_for() -> None:
    made: list[ReferenceDevice] = []

    def make() -> ReferenceDevice:
        made.append(ReferenceDevice())
        return made[-1]

    runtime.register_device("test-device", make)
    assert made == []
    assert runtime.device("test-device") is runtime.device("test-device") is made[0]
    assert len(made) == 1


def test_a_device_that_is_absent_is_looked_for_again() -> None:
    calls: list[int] = []

    def absent() -> ReferenceDevice:
        calls.append(1)
        raise DeviceError("there is none", hint="plug one in")

    runtime.register_device("test-absent", absent)
    for _ in range(2):
        with pytest.raises(DeviceError, match="there is none"):
            runtime.device("test-absent")
    assert len(calls) == 2
