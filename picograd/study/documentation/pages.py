"""Fills the generated parts of the documentation from the code's docstrings.

A page holds pairs of markers; what stands between them is generated, the rest is written by hand:

    <!-- example: begin -->      on docs/passes/NAME.md: the pass's example
    <!-- example: end -->

    <!-- card: begin -->         on the same page: level, pipelines, options, what it does not do
    <!-- card: end -->

    <!-- grammar: begin -->      on docs/levels/NAME.md: the docstring of the level's dialect
    <!-- grammar: end -->

    <!-- task: begin -->         on docs/exercises/NAME.md: what the exercise's stub asks for
    <!-- task: end -->

    <!-- choices: begin -->      on docs/passes/choose_schedules.md: what may be chosen
    <!-- choices: end -->

    <!-- passes: begin -->       on docs/passes/index.md: a table of all passes
    <!-- passes: end -->

    <!-- functions: begin -->    on docs/functions.md: the tables of all functions
    <!-- functions: end -->

    <!-- sample: begin -->       on docs/errors.md: one error, and then, as `entries`, every code
    <!-- sample: end -->

    <!-- mutants: begin -->      on docs/mutants.md: the table of mutants
    <!-- mutants: end -->

    <!-- tensor: begin -->       in README.md: its small function at a level, and so for each level
    <!-- tensor: end -->

    <!-- tiled: begin -->        on docs/guide/follow-a-value.md: the value at a stage of its way
    <!-- tiled: end -->          and on the guide's pages about schedules: the IR after a step

`make docs-update` rewrites the pages; a test fails when one of them is out of date.
"""

import inspect
import re
import runpy
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import picograd
from picograd import Tensor
from picograd.check.functions import FAMILIES
from picograd.check.mutants.page import counts_in
from picograd.check.mutants.page import table as mutants_table
from picograd.check.mutants.table import FAMILIES as MUTANTS
from picograd.compiler.pipelines import pipeline
from picograd.compiler.spelling import describe_options
from picograd.dialects import buffer, kernel, loop, tensor
from picograd.errors import PicogradError
from picograd.passes import PASSES, Pass
from picograd.passes.schedule.choices import MENU, SAYS, Choices
from picograd.study.documentation import error_docs, schedule_pages
from picograd.study.documentation.follow_value import excerpts_of, folded
from picograd.study.documentation.function_docs import function_tables
from picograd.study.documentation.road import levels_of
from picograd.study.exercises import EXERCISES, Exercise
from picograd.study.pass_docs import read_pass_docs, summary_of

LEVELS: dict[str, ModuleType] = {
    "tensor": tensor,
    "kernel": kernel,
    "buffer": buffer,
}


# A run of indented lines, with the blank lines inside it.
_INDENTED = re.compile(r"^ {4}.*\n(?:^ {4}.*\n|^\n(?= {4}))*", re.MULTILINE)


class PageError(PicogradError):
    """A documentation page without its markers."""


def updated_pages(root: Path) -> Iterator[tuple[Path, str]]:
    """Every page with a generated part, and the text that it ought to have.

    `root` is the folder of the repository. Raises PageError when a marker is missing.
    """
    docs = root / "docs"
    for name, step in PASSES.items():
        page = docs / "passes" / f"{name}.md"
        text = fill(page, _read(page), "example", fold_lines(read_pass_docs(step).example()))
        yield page, fill(page, text, "card", card_of(step))
    page = docs / "passes" / "choose_schedules.md"
    yield page, fill(page, _read(page), "choices", _table_of_choices())
    for name, dialect in LEVELS.items():
        page = docs / "levels" / f"{name}.md"
        content = fence_code(inspect.getdoc(dialect) or "")
        yield page, fill(page, _read(page), "grammar", content)
    page = docs / "passes" / "index.md"
    yield page, fill(page, _read(page), "passes", _table_of_passes())
    for exercise in EXERCISES:
        page = docs / "exercises" / f"{exercise.name}.md"
        yield page, fill(page, _read(page), "task", _task_of(exercise))
    page = docs / "functions.md"
    yield page, fill(page, _read(page), "functions", function_tables(FAMILIES))
    page = docs / "mutants.md"
    text = _read(page)
    yield page, fill(page, text, "mutants", mutants_table(MUTANTS, counts_in(text)))
    page = docs / "errors.md"
    text = fill(page, _read(page), "sample", error_docs.sample())
    yield page, fill(page, text, "entries", error_docs.entries())
    yield root / "README.md", _updated_readme(root / "README.md")
    road = docs / "guide" / "follow-a-value.md"
    excerpts = _excerpts(road)
    yield road, _filled_with(excerpts, road, list(excerpts))
    page = docs / "levels" / "loop.md"
    text = fill(page, _read(page), "grammar", fence_code(inspect.getdoc(loop) or ""))
    yield page, _filled_with(excerpts, page, ["loops", "vectorized"], text)
    for name, steps in schedule_pages.all_pictures():
        page = docs / "guide" / name
        yield page, _filled_with(steps, page, list(steps))


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8") if page.is_file() else ""


def card_of(step: type[Pass]) -> str:
    """What a pass declares and says of itself, as a table."""
    docs = read_pass_docs(step)
    rows = [
        ("level", f"{step.level_in} → {step.level_out}" if step.is_lowering() else step.level_in),
        ("file", f"`picograd/passes/{step.name}.py`"),
        ("pipelines", "; ".join(_pipelines_with(step)) or "none; it is run by name"),
        ("options", ", ".join(f"`{option}`" for option in describe_options(step)) or "none"),
        ("requires", docs.requires),
        ("does not", docs.does_not),
        ("source", docs.source),
    ]
    table = [f"| {title} | {_in_one_cell(text)} |" for title, text in rows if text]
    return "\n".join([table[0], "|---|---|", *table[1:]])


def _task_of(exercise: Exercise) -> str:
    """What an exercise asks for, as its stub says it."""
    docs = exercise.docs
    before, after = fold_lines(docs.before), fold_lines(docs.after)
    return (
        f"{docs.summary}\n\n**Your task:** {docs.task}\n\nBefore:\n\n```mlir\n{before}\n```\n\n"
        f"After:\n\n```mlir\n{after}\n```"
    )


def _pipelines_with(step: type[Pass]) -> Iterator[str]:
    for device in ("cpu", "gpu"):
        names = [one.name for one in pipeline(device)]
        if step.name in names:
            steps = [str(n) for n, name in enumerate(names, 1) if name == step.name]
            yield f"{device}, step {' and '.join(steps)} of {len(names)}"


def _in_one_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;") if "`" not in text else text


def _table_of_choices() -> str:
    rows = ["| choice | what it is | what `picograd tune` tries |", "|---|---|---|"]
    for each in fields(Choices):
        tried = ", ".join(str(value) for value in each.metadata[MENU])
        rows.append(f"| `{each.name}` | {each.metadata[SAYS]} | {tried} |")
    return "\n".join(rows)


def _table_of_passes() -> str:
    rows = ["| pass | level | what it does |", "|---|---|---|"]
    for name, step in PASSES.items():
        levels = f"{step.level_in} → {step.level_out}" if step.is_lowering() else step.level_in
        rows.append(f"| [`{name}`]({name}.md) | {levels} | {summary_of(step)} |")
    return "\n".join(rows)


def _updated_readme(page: Path) -> str:
    """README with its titled Python block `tiny.py` compiled to every level."""
    text = _read(page)
    for level, ir in levels_of(traced_program(page, text, "tiny")).items():
        text = fill(page, text, level, f"```mlir\n{fold_lines(ir.strip())}\n```")
    return text


def _excerpts(road: Path) -> dict[str, str]:
    """What becomes of the value `hidden` of the page's Python block `layer.py`, in fences."""
    excerpts: dict[str, str] = {}
    module = traced_program(road, _read(road), "layer")
    for stage, language, excerpt in excerpts_of(module, "hidden"):
        marks = [str(n) for n, line in enumerate(excerpt.splitlines(), 1) if "hidden" in line]
        note = f' hl_lines="{" ".join(marks)}"' if marks else ""
        excerpts[stage] = f"```{language}{note}\n{excerpt}\n```"
    return excerpts


def _filled_with(
    excerpts: Mapping[str, str], page: Path, stages: Sequence[str], text: str = ""
) -> str:
    text = text or _read(page)
    for stage in stages:
        text = fill(page, text, stage, excerpts[stage])
    return text


def traced_program(page: Path, text: str, name: str) -> str:
    """The tensor level of the function `name` in the page's Python block titled `name.py`.

    Raises PageError when the page has no such block.
    """
    program = re.search(rf'```python title="{name}\.py"\n(.*?)```', text, re.DOTALL)
    if program is None:
        raise PageError(
            f"{page} has no Python block titled {name}.py",
            code="PG714",
            expected="one",
            found="none",
            hint="add the block: the IR in the page is made of it",
        )
    with TemporaryDirectory() as folder:
        # A real file, so that the IR can say which line it came from.
        file = Path(folder) / f"{name}.py"
        file.write_text(program.group(1), encoding="utf-8")
        function: Callable[[], Tensor] = runpy.run_path(str(file))[name]
        compiled = picograd.compile(function, device="cpu")
        compiled()
    return compiled.ir("tensor")


def fill(page: Path, text: str, region: str, content: str) -> str:
    """`text` of the page with `content` between the region's markers. Raises PageError."""
    begin, end = f"<!-- {region}: begin -->", f"<!-- {region}: end -->"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise PageError(
            f"{page} has no place for the {region}",
            code="PG714",
            expected=f"the markers {begin} and {end}",
            found="a page without them" if text else "no such page",
            hint="add them where the text speaks of it, then run `make docs-update`",
        )
    return f"{before}{begin}\n\n{content.strip()}\n\n{end}{after}"


def fold_lines(text: str) -> str:
    """Text whose long lines are folded where IR can be; it still parses."""
    return "\n".join(folded(line) for line in text.splitlines())


def fence_code(docstring: str) -> str:
    """A docstring as Markdown: its indented blocks fenced, IR marked as such."""

    def fenced(block: re.Match[str]) -> str:
        code = textwrap.dedent(block.group()).strip("\n")
        language = "mlir" if code.startswith(("func.func", "loop.kernel")) else "text"
        return f"```{language}\n{code}\n```\n"

    return _INDENTED.sub(fenced, docstring + "\n")
