"""Every pass has its test, its page and a docstring whose example is really what the pass does."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.spelling import parse_passes
from picograd.passes import PASSES, Pass
from picograd.study.documentation.pages import updated_pages
from picograd.study.pass_docs import read_pass_docs, run_example

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NAMES: Sequence[str] = sorted(PASSES)

# What the project promised; the table may hold more.
PROMISED = {
    "canonicalize", "cse", "dce", "legalize_types", "outline_kernels", "fuse",
    "lower_kernels_to_buffers", "plan_buffers", "lower_buffers_to_loops", "tile_loops",
    "hoist_reduce", "stage_operands", "vectorize_loops", "lower_reduce", "expand_math",
    "unroll_tiles", "parallelize_loops", "map_to_grid",
}  # fmt: skip


def test_the_promised_passes_are_there() -> None:
    assert PROMISED - set(PASSES) == set()


@pytest.mark.parametrize("name", NAMES)
def test_one_pass_one_file_one_test_one_page(name: str) -> None:
    step = PASSES[name]
    assert step.name == name
    assert step.__module__ == f"picograd.passes.{name}"
    assert (ROOT / "tests" / "passes" / f"test_{name}.py").is_file()
    assert (DOCS / "passes" / f"{name}.md").is_file()
    assert f"passes/{name}.md" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_the_docstrings_example_is_what_the_pass_does(name: str) -> None:
    docs = read_pass_docs(PASSES[name])
    steps = [step.name for step in parse_passes(docs.options, PASSES)]
    assert name in steps, "the example does not run the pass"
    found = parse_module(run_example(docs, PASSES))
    expected = parse_module(docs.after, f"{name}, After")
    assert str(found) == str(expected), "`make docs-update` writes what the pass does now"
    assert str(found) != str(parse_module(docs.before)), "the example changes nothing"


@pytest.mark.parametrize("name", NAMES)
def test_options_have_defaults_and_can_be_spelled(name: str) -> None:
    step: Pass = PASSES[name]()
    assert parse_passes(str(step), PASSES) == (step,)


def test_generated_parts_of_the_pages_are_up_to_date() -> None:
    stale = [
        str(page.relative_to(ROOT))
        for page, text in updated_pages(ROOT)
        if page.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run `make docs-update`"
