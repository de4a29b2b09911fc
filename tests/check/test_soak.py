"""The soak: short, in a process of its own; and that it tells what leaks from what settles."""

import os
import subprocess
import sys

import pytest

from picograd.check import soak


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux counts so")
def test_memory_does_not_grow():
    done = subprocess.run(
        [sys.executable, "-m", "picograd.check.soak", "--calls=5000", "--compilations=30"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PICOGRAD_DEVICE": "cpu", "PICOGRAD_NUM_THREADS": "2"},
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("fine") == 2


@pytest.mark.parametrize(
    ("sizes", "each"),
    [
        ([10_000] * 5, 0),
        ([10_000, 90_000, 90_000, 170_000, 170_000], 0),  # a pool fills
        ([10_000, 20_000, 31_000, 42_000, 52_000], 1000),
        ([10_000, 5_000, 0, 10_000, 20_000], 0),
    ],
)
def test_what_grows_in_every_part_is_lost(monkeypatch, sizes, each):
    left = iter(sizes)
    monkeypatch.setattr(soak, "resident", lambda: next(left))
    runs = []
    growth = soak.grow("calls", 10, 100.0, runs.append)
    assert runs == [10] * 5
    assert growth.each == each
    assert growth.is_fine == (each <= 100)
    assert ("lost memory" in str(growth)) == (not growth.is_fine)
