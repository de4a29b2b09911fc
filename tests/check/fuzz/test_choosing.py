"""Where passes are named, programs are chosen on which these do something."""

import json
from functools import partial
from pathlib import Path

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from picograd.check.blame import blame
from picograd.check.fuzz.choosing import Chooser, Effect
from picograd.check.fuzz.counts import Counts
from picograd.check.fuzz.examiner import Examiner, Failed, themes_for
from picograd.check.fuzz.programs import THEMES, Program
from picograd.check.fuzz.routes import Scope
from picograd.check.fuzz.shorten import FrontEndFailure
from picograd.check.fuzz.worker import Settings, passes_to_draw
from picograd.check.oracle import Case
from picograd.cli.main import main
from picograd.cli.own_passes import load_passes
from picograd.compiler.pass_list import as_passes
from picograd.compiler.validation.fault import Fault
from picograd.passes import PASSES, Pass

SEED = 1
WRONG_RULES = (Path(__file__).parent / "wrong_rules.py").read_text("utf-8")
IDLE = '''
from dataclasses import dataclass
from typing import ClassVar
from picograd.passes import Level, Pass


@dataclass(frozen=True)
class Idle(Pass):
    """Nothing at all."""

    name = "idle"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx, op):
        pass
'''


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "wrong_rules.py"
    path.write_text(WRONG_RULES, encoding="utf-8")
    return path


def examiner(file: Path, passes: str) -> Examiner:
    files = (str(file),)
    return Examiner(
        Settings(
            SEED, ("reference",), partial(load_passes, files), passes, files, tuple(THEMES)
        ).plan()
    )


def first_failure(examiner: Examiner, most: int) -> Failed:
    for number in range(most):
        _, failures = examiner.examine(number)
        if failures:
            return failures[0]
    raise AssertionError(f"nothing was found in {most} programs")


@pytest.mark.parametrize(
    ("passes", "family"),
    [
        ("join_permutes", "composed_backwards on pico.permute"),
        ("drop_permutes", "AxesUnmoved on pico.reduce"),
        ("drop_nan", "larger_by_comparison on pico.binary maximum"),
        ("trust_equality", "equal_to_itself on pico.select"),
        ("join_reversals", "reversed_in_place on pico.reverse"),
    ],
)
def test_a_rule_that_is_nearly_always_right_is_found_and_blamed(
    passes: str, family: str, rules: Path
) -> None:
    found = first_failure(examiner(rules, passes), 12)
    assert not isinstance(found, FrontEndFailure)
    replay, failure = found
    assert failure.fault == Fault.VALUES
    assert failure.culprit == passes
    blamed = blame(replay.case)
    assert blamed is not None
    assert blamed.family.startswith(family)


def test_the_program_of_a_number_is_the_same_alone(rules: Path) -> None:
    """`--only N` draws what the run drew as its program N."""
    whole = examiner(rules, "join_permutes")
    for number in range(3):
        whole.examine(number)
    cases = list[Case]()
    for one in (whole, examiner(rules, "join_permutes")):
        replay, _ = first(one.examine(3)[1])
        assert f"--seed {SEED} --only 3 --devices reference --passes join_permutes" == replay.seed
        cases.append(replay.case)
    assert str(cases[0].module) == str(cases[1].module)
    assert str(cases[0].passes) == str(cases[1].passes)


def first(failures: list[Failed]):
    (failed,) = failures
    assert not isinstance(failed, FrontEndFailure)
    return failed


def nobody(program: Program):
    return lambda passes: None


def test_without_named_passes_nothing_is_chosen() -> None:
    chooser = Chooser(SEED, tuple(THEMES), Scope(("reference",), PASSES), nobody)
    themes = [chooser.program(number).theme for number in range(len(THEMES))]
    assert themes == list(THEMES)


def test_passes_further_down_are_chosen_for_too() -> None:
    scope = Scope(("reference",), PASSES, as_passes("tree_reduce"))
    chooser = Chooser(SEED, ("casts", "long rows"), scope, nobody)
    program = chooser.program(0)
    route = chooser.route(program, "reference", ("gpu",), lambda passes: None)
    assert any(step.name == "tree_reduce" for step in route.passes)
    assert Effect.NOTHING < Effect.SOME < Effect.ALL < Effect.VALUES


def test_what_xdsl_erases_by_itself_is_no_effect(rules: Path) -> None:
    """In nearly every program of this theme some op is unread, and in none is a permute."""
    counts = Counts()
    one = examiner(rules, "drop_permutes")
    theme = ("integers",)
    alone = Examiner(type(one.plan)(SEED, one.plan.scope, theme, one.plan.loads))
    for number in range(3):
        counts.add(alone.examine(number)[0])
    assert counts.tables["named"] == {"drop_permutes": 0}
    assert counts.tables["rules"]["EraseUnusedOp"] > 0
    assert "GreedyRewritePatternApplier" not in counts.tables["rules"]


def test_of_a_loaded_file_only_what_is_named_runs(rules: Path) -> None:
    known = load_passes((str(rules),))
    assert set(passes_to_draw(known, as_passes("drop_nan", known))) == set(PASSES)
    assert set(passes_to_draw(known, as_passes("", known))) == set(known)
    one = examiner(rules, "drop_nan")
    counts = Counts()
    for number in range(3):
        counts.add(one.examine(number)[0])
    mine = {name for name in counts.tables["passes"] if name not in PASSES}
    assert mine == {"drop_nan"}
    assert counts.tables["passes"]["drop_nan"] == 3


def test_a_pass_that_establishes_what_a_named_one_requires_is_drawn() -> None:
    class Other(Pass):
        name = "other"

        def apply(self, ctx: Context, op: ModuleOp) -> None:
            """Nothing."""

    class Needs(Other):
        name = "needs"
        requires = frozenset({"combed"})

    class Combs(Other):
        name = "combs"
        establishes = frozenset({"combed"})
        requires = frozenset({"washed"})

    class Washes(Other):
        name = "washes"
        establishes = frozenset({"washed"})

    mine: dict[str, type[Pass]] = {step.name: step for step in (Needs, Combs, Washes, Other)}
    drawn = passes_to_draw({**PASSES, **mine}, as_passes([Needs()]))
    assert set(drawn) - set(PASSES) == {"combs", "washes"}


def test_a_named_pass_that_never_does_anything_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "idle.py").write_text(IDLE, encoding="utf-8")
    words = ["--load", str(tmp_path / "idle.py"), "--passes", "idle,cse", "--themes", "redundant"]
    out = ["-o", str(tmp_path / "found"), "--json", str(tmp_path / "counts.json"), "--jobs", "1"]
    run = ["fuzz", "--seed", "5", "--devices", "reference", "--cases", "2", *words, *out]
    assert main(run) == 1
    printed = capsys.readouterr()
    assert "idle changed 0 of 2 programs" in printed.out
    assert "cse changed 2 of 2 programs" in printed.out
    assert "pass idle never changed a program: nothing was tested" in printed.err
    data = json.loads((tmp_path / "counts.json").read_text())
    assert data["counts"]["named"] == {"cse": 2, "idle": 0}
    assert data["complaints"] == ["pass idle never changed a program: nothing was tested"]
    assert themes_for(as_passes("cse")) == tuple(THEMES)
