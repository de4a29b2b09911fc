"""Single cases: the same for the same number, varied, right on every device, counted."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from picograd.backends.runtime import Buffer
from picograd.backends.runtime import device as find_device
from picograd.check.fuzz.counts import TABLES, Counts
from picograd.check.fuzz.examiner import Examiner, Failed, Plan
from picograd.check.fuzz.programs import FLAVOURS, THEMES, draw_program, fits_32_bits, rng_of
from picograd.check.fuzz.routes import MACHINES, SCHEDULE, Scope, draw_route, kinds_of_machines
from picograd.check.fuzz.shorten import FrontEndFailure
from picograd.check.oracle import Case, reason_of
from picograd.check.replay import read
from picograd.compiler.diagnostics import verify_module
from picograd.compiler.executable import Executable
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.dialects.dtypes import float64, from_ir, int8
from picograd.errors import IndexOutOfRange
from picograd.passes import PASSES, Level
from picograd.semantics.evaluate import evaluate
from picograd.targets import lookup

SEED = 20
EVERYWHERE = Scope(("reference", "cpu", "gpu"), PASSES)


def nobody(passes: Sequence[object]) -> None:
    pass


def told(failed: Failed) -> str:
    """A failure in words, and what repeats it."""
    if isinstance(failed, FrontEndFailure):
        return f"{failed.finding().headline}\n{failed.finding().replay}"
    replay, failure = failed
    return f"{failure}\n{replay}"


def examine(devices: tuple[str, ...], numbers: range, themes: tuple[str, ...]) -> Counts:
    examiner, counts = Examiner(Plan(SEED, Scope(devices, PASSES), themes)), Counts()
    for number in numbers:
        seen, failures = examiner.examine(number)
        assert not failures, "\n".join(map(told, failures))
        counts.add(seen)
    return counts


def test_a_small_run_of_every_theme_is_right() -> None:
    counts = examine(("reference", "cpu"), range(len(THEMES)), tuple(THEMES))
    assert counts.tables["themes"] == dict.fromkeys(THEMES, 1)
    assert counts.tables["cases"] == {"reference": len(THEMES), "cpu": len(THEMES)}
    assert counts.tables["kernels"]["cpu"] > len(THEMES)
    assert len(counts.tables["passes"]) > 15
    assert counts.total("rules") > 50
    assert counts.total("changed") < counts.total("passes")


@pytest.mark.gpu
def test_a_small_run_on_the_gpu_is_right() -> None:
    themes = ("reductions", "products", "narrow integers", "fusion", "indices", "windows")
    assert examine(("gpu",), range(len(themes)), themes).tables["kernels"]["gpu"] > len(themes)


@pytest.mark.parametrize("name", THEMES)
def test_programs_are_valid_and_repeatable(name: str) -> None:
    for number in range(8):
        program = draw_program(SEED, number, (name,))
        verify_module(program.module)
        with suppress(IndexOutOfRange):
            evaluate(program.module, [array.copy() for array in program.inputs])
        again = draw_program(SEED, number, (name,))
        assert str(again.module) == str(program.module)
        for a, b in zip(again.inputs, program.inputs, strict=True):
            assert a.tobytes() == b.tobytes()
    assert str(draw_program(SEED + 1, 0, (name,)).module) != str(
        draw_program(SEED, 0, (name,)).module
    )


def test_all_themes_and_flavours_come() -> None:
    programs = [draw_program(SEED, number) for number in range(2 * len(THEMES))]
    assert {program.theme for program in programs} == set(THEMES)
    assert {program.flavour for program in programs} == set(FLAVOURS)
    types = {dtype for program in programs for dtype in program.dtypes}
    assert {float64, int8} <= types
    arrays = [array for program in programs for array in program.inputs]
    assert any(array.size == 0 for array in arrays)
    assert any(array.ndim == 0 for array in arrays)


def test_integers_reach_the_end_of_their_range() -> None:
    programs = [draw_program(SEED, number, ("integers",)) for number in range(20)]
    arrays = [a for p in programs for a in p.inputs if a.dtype.kind == "i" and a.size]
    assert any(a.max() == np.iinfo(a.dtype).max for a in arrays)


@pytest.mark.parametrize("device", ["reference", "cpu", "gpu"])
def test_routes_are_repeatable_and_legal(device: str) -> None:
    spelled: set[str] = set()
    for number in range(6):
        program = draw_program(SEED, number, ("reductions",))
        first, again = (
            draw_route(program, device, EVERYWHERE, rng_of(SEED, number), tuple(MACHINES), nobody)
            for _ in range(2)
        )
        passes = first.passes
        assert first.error is None
        assert passes == again.passes
        spelled.add(str(passes))
        if device != "reference":
            assert passes[-1].level_out == Level.LOOP
    assert len(spelled) > 3


@pytest.mark.parametrize(
    ("wanted", "device"),
    [
        ("cse", "cpu"),
        ("fuse{max_buffers=4}", "cpu"),
        ("outline_kernels,fuse", "reference"),
        ("lower_reduce,expand_math", "gpu"),
        ("map_to_grid,tree_reduce{threads=4}", "gpu"),
    ],
)
def test_wanted_passes_run_where_they_may_stand(wanted: str, device: str) -> None:
    steps = as_passes(wanted)
    scope = Scope((device,), PASSES, steps)
    for number in range(4):
        program = draw_program(SEED, number, ("reductions",))
        route = draw_route(program, device, scope, rng_of(SEED, number), ("gpu",), nobody)
        passes = route.passes
        assert route.error is None, route.error
        places = [n for n in range(len(passes)) if passes[n : n + len(steps)] == steps]
        assert places, passes


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [("", range(70, 75)), ("tile_loops", range(6)), ("map_to_grid", range(6))],
)
def test_loops_that_are_mapped_to_a_grid_are_not_tiled_any_more(
    wanted: str, numbers: range
) -> None:
    scope = Scope(("gpu",), PASSES, as_passes(wanted))
    for number in numbers:
        program = draw_program(SEED, number, ("redundant",))
        route = draw_route(program, "gpu", scope, rng_of(SEED, number), ("gpu",), nobody)
        assert route.error is None, route.error
        names = [step.name for step in route.passes]
        assert not SCHEDULE.intersection(names[names.index("map_to_grid") :]), names


def test_machines_are_those_that_the_targets_know() -> None:
    for kind, names in MACHINES.items():
        assert {lookup(name).kind for name in names} == {kind}
    assert kinds_of_machines(wide_integers=True, doubles=False) == ("cpu",)
    assert kinds_of_machines(wide_integers=False, doubles=True) == ("cpu",)
    assert kinds_of_machines(wide_integers=False, doubles=False) == ("cpu", "gpu")


def test_integers_beyond_32_bits_are_noticed() -> None:
    programs = [draw_program(SEED, number, ("integers",)) for number in range(30)]
    fitting = [fits_32_bits(program) for program in programs]
    assert any(fitting)
    assert not all(fitting)


def test_what_runs_is_written_down_first(tmp_path: Path) -> None:
    running = tmp_path / "running.mlir"
    Examiner(Plan(SEED, Scope(("cpu",), PASSES)), running).examine(1)
    replay = read(running.read_text("utf-8"))
    assert isinstance(replay.case, Case)
    assert replay.case.passes
    assert isinstance(replay.case.passes, Pipeline)
    assert replay.failure is not None
    assert replay.failure.culprit == "cpu"
    assert replay.seed == f"--seed {SEED} --only 1 --devices cpu"


@pytest.mark.parametrize("device", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_devices_tell_of_indices_out_of_range(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    themes = ("out of range",)
    numbers = range(13, 15)
    examine((device,), numbers, themes)

    def silent(self: Executable, inputs: Sequence[Buffer]) -> list[Buffer]:
        """A device that says nothing."""
        place = find_device(device)
        zeros = [np.zeros(t.get_shape(), from_ir(t.element_type).numpy) for t in self.outputs]
        return [place.upload(array) for array in zeros]

    monkeypatch.setattr(Executable, "run", silent)
    examiner = Examiner(Plan(SEED, Scope((device,), PASSES), themes, share_checked=0.0))
    assert any("does not say so" in told(one) for n in numbers for one in examiner.examine(n)[1])


def test_counts_add_up() -> None:
    a, b = Counts(), Counts()
    a.count("passes", "fuse", 2)
    b.count("passes", "fuse")
    b.count("passes", "cse")
    b.count("cases", "cpu", 4)
    b.count("refused", "cpu: no")
    a.add(b)
    assert a.tables["passes"] == {"fuse": 3, "cse": 1}
    assert a.total("passes") == 4
    assert a.share("refused") == 0.25
    assert list(a.as_data()) == list(TABLES)


def test_reasons_are_without_what_is_particular() -> None:
    assert reason_of("kernel @sum_2 asks for 9 buffers\nmore") == "kernel … asks for … buffers"
