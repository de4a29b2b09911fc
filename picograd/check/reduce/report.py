"""A reduced case as files: IR that says how to have the failure again, and a test that fails."""

import os
from collections.abc import Sequence
from pathlib import Path

from picograd.check.oracle import Case, Failure
from picograd.check.replay import Expected, Replay
from picograd.compiler.validation.error import inputs_in_lines
from picograd.semantics.evaluate import entry_of

_TEST = '''"""{title}

Written by `picograd reduce`. The test fails as long as the fault is there: `pytest {name}`.
"""

from pathlib import Path

from picograd.check import replay
from picograd.check.oracle import examine
from picograd.cli.own_passes import load_passes

LOADS = {loads}

CASE = r"""
{case}
"""


def test_reduced() -> None:
    known = load_passes(str(Path(__file__).parent / name) for name in LOADS)
    failure = examine(replay.read(CASE.strip(), known=known).case)
    assert failure is None, str(failure)
'''

_TEST_APART = '''"""{title}

Written by `picograd reduce --isolate`. The case runs in a process of its own, which it may end.
The test fails as long as the fault is there: `pytest {name}`.
"""

from pathlib import Path

from picograd.check import replay
from picograd.check.reduce.look import look_apart
from picograd.cli.own_passes import load_passes

LOADS = {loads}

CASE = r"""
{case}
"""


def test_reduced() -> None:
    known = load_passes(str(Path(__file__).parent / name) for name in LOADS)
    seen = look_apart({seconds:g})(replay.read(CASE.strip(), known=known).case, None)
    assert seen is None, str(seen.failure)
'''


def as_mlir(
    case: Case,
    failure: Failure,
    *,
    seed: str = "",
    loads: Sequence[str] = (),
    folder: Path = Path(),
) -> str:
    """A replay file: IR, after comments with inputs, passes, device, versions and the failure.

    The names of `loads` are written relative to `folder`, in which the file is to lie.
    """
    return str(Replay(case, Expected.of(failure), seed, _relative(loads, folder)))


def as_pytest(
    case: Case,
    failure: Failure,
    *,
    seed: str = "",
    loads: Sequence[str] = (),
    folder: Path = Path(),
    name: str = "reduced_test.py",
    isolate: float | None = None,
) -> str:
    """A file for pytest that needs no other one, but for those of `loads`.

    With `isolate` the case runs in a child process that has so many seconds.
    """
    text = as_mlir(case, failure, seed=seed, loads=loads, folder=folder)
    template = _TEST if isolate is None else _TEST_APART
    return template.format(
        title=f"{failure.fault[0].upper()}{failure.fault[1:]} ({failure.culprit}).",
        name=name,
        loads=list(_relative(loads, folder)),
        case=text.strip(),
        seconds=isolate or 0.0,
    )


def in_words(case: Case, failure: Failure) -> str:
    """What a person needs to see: passes, module, inputs, what was expected and what was found."""
    named = inputs_in_lines(entry_of(case.module), case.inputs)
    lines = [f"passes:   {case.passes or 'none'}", f"device:   {case.device}", "module:"]
    lines += ["  " + line for line in str(case.module).splitlines()]
    lines += ["inputs:", *("  " + line for line in named or ["none"])]
    if failure.excess is not None:
        excess = failure.excess
        place = f"result {excess.output} at {list(excess.index)}"
        lines.append(f"expected: {excess.expected!r} ± {excess.budget:.3g} ({place})")
        lines.append(f"found:    {excess.found!r}")
    else:
        lines += [f"found:    {failure.fault}", *("  " + x for x in failure.detail.splitlines())]
    return "\n".join(lines)


def _relative(loads: Sequence[str], folder: Path) -> tuple[str, ...]:
    return tuple(
        Path(os.path.relpath(Path(name).resolve(), folder.resolve())).as_posix() for name in loads
    )
