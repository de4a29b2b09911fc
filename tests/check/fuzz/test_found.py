"""What the fuzzer found, made small: each file in `found` went wrong, as it says, and must not."""

from pathlib import Path

import pytest

from picograd.check.oracle import examine
from picograd.check.replay import Replay, read

FOUND = sorted((Path(__file__).parent / "found").glob("*.mlir"))


def replay_of(path: Path) -> Replay:
    return read(path.read_text("utf-8"), path.name)


def marks(path: Path) -> tuple[pytest.MarkDecorator, ...]:
    return (pytest.mark.gpu,) if replay_of(path).case.device == "gpu" else ()


@pytest.mark.parametrize("path", [pytest.param(p, marks=marks(p), id=p.stem) for p in FOUND])
def test_a_fault_that_was_found_stays_mended(path: Path) -> None:
    replay = replay_of(path)
    assert replay.failure is not None, "say what went wrong: `// failure: FAULT in CULPRIT`"
    failure = examine(replay.case)
    assert failure is None, failure
