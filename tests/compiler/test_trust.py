"""A device is tried once; one that computes wrong results is refused, each time anew."""

from pathlib import Path

import numpy as np
import pytest

import picograd.backends  # noqa: F401  (registers the devices)
from picograd.backends.disk.settings import cache_folder
from picograd.backends.runtime import Array, Buffer, device
from picograd.compiler import self_test as self_test_module
from picograd.compiler import trust
from picograd.compiler.self_test import PROGRAMS, Verdict, self_test
from picograd.compiler.trust import require_trust, trusted_device
from picograd.errors import DeviceError

DEVICES = ["reference", "cpu", pytest.param("gpu", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_passes(name: str) -> None:
    verdicts = self_test(device(name))
    assert [verdict.name for verdict in verdicts] == list(PROGRAMS)
    assert all(verdict.ok for verdict in verdicts), verdicts


def test_slightly_wrong_results_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every float result but those of selections is off by a ten thousandth."""
    place = device("cpu")
    download = place.download

    def off(buffer: Buffer) -> Array:
        array = download(buffer)
        return array * np.float32(1.0001) if array.dtype.kind == "f" else array

    monkeypatch.setattr(place, "download", off)
    assert [verdict.name for verdict in self_test(place) if verdict.ok] == []


def passing(_: object) -> list[Verdict]:
    return [Verdict("sum"), Verdict("scan")]


def failing(_: object) -> list[Verdict]:
    return [Verdict("sum"), Verdict("scan", "expected 1, found 2")]


def never(_: object) -> list[Verdict]:
    raise AssertionError("the device is tried again")


def test_a_device_that_passed_is_not_tried_again(tmp_path: Path) -> None:
    require_trust(device("cpu"), tmp_path / "new", passing)
    require_trust(device("cpu"), tmp_path / "new", never)
    (mark,) = (tmp_path / "new").iterdir()
    assert mark.stat().st_mode & 0o777 == 0o600
    assert mark.parent.stat().st_mode & 0o777 == 0o700


def test_a_device_that_failed_is_refused_and_tried_again(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(DeviceError, match="'cpu' is refused") as caught:
            require_trust(device("cpu"), tmp_path, failing)
        assert "scan: expected 1, found 2" in str(caught.value)
        assert caught.value.code == "PG305"
        assert device("cpu").adapter in caught.value.where
    require_trust(device("cpu"), tmp_path, passing)


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for _ in range(2):
        require_trust(device("cpu"), tmp_path / "file" / "below", passing)


@pytest.mark.gpu
def test_the_front_end_refuses_a_wrong_driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(self_test_module, "self_test", failing)
    monkeypatch.setenv("PICOGRAD_CACHE", str(tmp_path))
    trust._require_trust.cache_clear()  # pyright: ignore[reportPrivateUsage]
    try:
        with pytest.raises(DeviceError, match="refused"):
            trusted_device("gpu")
        monkeypatch.setenv(trust.VARIABLE, "1")
        assert trusted_device("gpu") is device("gpu")
    finally:
        trust._require_trust.cache_clear()  # pyright: ignore[reportPrivateUsage]


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PICOGRAD_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("PICOGRAD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "picograd"
