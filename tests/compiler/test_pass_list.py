"""Pipelines as values: passes in, passes out, and every mistake explained."""

import pytest

import picograd
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.pipelines import pipeline
from picograd.errors import OptionError
from picograd.passes.canonicalize import Canonicalize
from picograd.passes.cse import CSE
from picograd.passes.dce import DCE
from picograd.passes.fuse import Fuse


def names(steps: Pipeline) -> list[str]:
    return [step.name for step in steps]


def test_texts_and_passes_make_a_list() -> None:
    steps = as_passes(["canonicalize, cse", Fuse(max_ops=8), "fuse{max_ops=4}"])
    assert steps == (Canonicalize(), CSE(), Fuse(max_ops=8), Fuse(max_ops=4))
    assert as_passes("") == ()
    assert as_passes([]) == ()
    assert as_passes(str(steps)) == steps


def test_passes_are_put_before_after_and_in_place_of_others() -> None:
    steps = as_passes("canonicalize,cse")
    assert names(steps.before("cse", DCE())) == ["canonicalize", "dce", "cse"]
    assert names(steps.after("cse", "dce", DCE())) == ["canonicalize", "cse", "dce", "dce"]
    assert names(steps.replace("cse", "dce")) == ["canonicalize", "dce"]
    assert names(steps.without("canonicalize", "cse")) == []
    assert names(steps) == ["canonicalize", "cse"]


def test_a_name_that_occurs_twice_needs_its_number() -> None:
    steps = pipeline("cpu")
    first, second = (n for n, name in enumerate(names(steps)) if name == "tile_loops")
    assert names(steps.before("tile_loops", "cse", number=1))[first] == "cse"
    assert names(steps.after("tile_loops", "cse", number=2))[second + 1] == "cse"
    assert names(steps.without("tile_loops")).count("tile_loops") == 0
    for number in (None, 0, 3):
        with pytest.raises(OptionError, match="runs tile_loops 2 times"):
            steps.before("tile_loops", "cse", number=number)


def test_a_name_that_is_not_there_is_explained() -> None:
    with pytest.raises(OptionError, match=r"no pass 'canonicalise'(.|\n)*did you mean 'canonic"):
        pipeline("cpu").after("canonicalise", "cse")
    with pytest.raises(OptionError, match="no pass 'map_to_grid'"):
        pipeline("cpu").without("map_to_grid")
    with pytest.raises(OptionError, match="a pipeline with passes in it"):
        pipeline("reference").before("cse", "dce")


def test_what_is_no_pass_is_explained() -> None:
    with pytest.raises(OptionError, match=r"the class Fuse(.|\n)*make one: Fuse\(\)"):
        as_passes([Fuse])  # type: ignore[list-item]
    with pytest.raises(OptionError, match="found:    3"):
        as_passes([3])  # type: ignore[list-item]
    with pytest.raises(OptionError, match="did you mean 'fuse'"):
        as_passes("fuze")


def test_a_compiled_function_runs_the_passes_that_are_named() -> None:
    unfused = picograd.compile(
        lambda x: (x * 3).exp(), passes=picograd.pipeline("cpu").without("fuse")
    )
    x = picograd.tensor([0.0, -1.0], device="cpu")
    expected = (x * 3).exp().tolist()
    assert unfused(x).tolist() == pytest.approx(expected)
    assert unfused.report.kernels == 2
    named = picograd.compile(lambda x: (x * 3).exp(), passes=str(picograd.pipeline("cpu")))
    assert named(x).tolist() == pytest.approx(expected)
    assert named.report.kernels == 1


def test_an_unknown_pass_points_at_the_line_that_asks_for_it() -> None:
    with pytest.raises(OptionError, match=r"unknown pass 'fuze'(.|\n)*test_pass_list.py"):
        picograd.compile(lambda x: x, passes=["canonicalize", "fuze"])


def test_two_classes_of_one_name_are_compiled_apart() -> None:
    class Changes(DCE):
        pass

    class Other(DCE):
        pass

    x = picograd.ones(3, device="cpu")
    runs = [
        picograd.compile(lambda x: x + 1, passes=pipeline("cpu").after("dce", step()))
        for step in (Changes, Other)
    ]
    for run in runs:
        run(x)
    first, second = (run.executable for run in runs)
    assert first is not second
