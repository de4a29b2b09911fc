"""The pages about schedules: the IR after each step, and a table of what each step buys.

The IR is that of a processor that is described in full, so it is the same wherever it is made.
The table is measured: `picograd bench schedule --docs docs/guide` writes it, nothing else does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import PassRecord, run_pipeline
from picograd.compiler.pipelines import pipeline
from picograd.passes import Pass
from picograd.study.benches.schedules import SCHEDULES, Measured, Schedule, numbered, steps_of
from picograd.study.documentation.follow_value import folded

TARGET = "x86-64-v4"
"""AVX-512 with a core's usual caches."""
SPEED, LESS = "speed", "less"
"""The regions of the tables."""

MOST_LINES = 70
MOST_FOLDS = 2


def page_of(name: str) -> str:
    """The file of a program's page, in the folder of the guide."""
    return f"{name}-schedule.md"


class _Pictures:
    """An instrument that keeps the module's text after each pass."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = iter(names)
        self.texts: dict[str, str] = {}

    def before(self, step: Pass, module: ModuleOp) -> None:
        """Nothing: every module is seen after a pass."""

    def after(self, step: Pass, module: ModuleOp, record: PassRecord) -> None:
        """Keep the text under the pass's name and number."""
        self.texts[next(self._names)] = str(module)


def pictures(schedule: Schedule) -> Iterator[tuple[str, str]]:
    """Each step's region, and the IR after it as the page shows it."""
    module = parse_module(schedule.program(schedule.sizes), "the schedule's program")
    passes = pipeline("cpu").aimed_at(TARGET)
    seen = _Pictures(list(numbered(passes)))
    run_pipeline(module, passes, instruments=[seen])
    for step in schedule.steps:
        yield step.name.replace(" ", "-"), f"```mlir\n{excerpt(seen.texts[step.picture])}\n```"


def all_pictures() -> Iterator[tuple[str, dict[str, str]]]:
    """Each program's page, and its excerpts by region."""
    for name, schedule in SCHEDULES.items():
        yield page_of(name), dict(pictures(schedule))


def excerpt(text: str) -> str:
    """The computation without what calls it, its tails, and what is only more of the same."""
    lines = text.splitlines()[1:-1]  # the module's own
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    lines = [re.sub(r" attributes {at = .*?}(?= {)", "", line[indent:]) for line in lines]
    if any("loop.launch" in line for line in lines):
        lines = lines[: next(n for n, line in enumerate(lines) if line.startswith("func.func"))]
    lines = without_repeats(without_tails(lines))
    wrapped = [part for line in lines for part in folded(_short(line), MOST_FOLDS).splitlines()]
    if len(wrapped) > MOST_LINES:
        wrapped = [*wrapped[: MOST_LINES - 1], "…"]
    return "\n".join(wrapped)


def _short(line: str) -> str:
    """A line with the first and last of many names, and the first of many types."""
    line = re.sub(r"(%\w+), (?:%\w+, )+(%\w+)(?= [=:])", r"\1, …, \2", line)
    line = re.sub(r"carry \((%\w+ = %\w+ : [^,)]+), [^)]*\)", r"carry (\1, …)", line)
    return re.sub(r"(vector<\w+>)(?:, \1){2,}", r"\1, …", line)


TAIL = "// … the same for what full tiles leave"


def without_tails(lines: Sequence[str]) -> list[str]:
    """The lines without what computes what full tiles leave, which has second loops of a name.

    These are loops over tiles, or stand at the end of the body in which a loop over full tiles is.
    """
    kept: list[str] = []
    tiles: set[int] = set()
    """Where loops over tiles have begun, by indentation."""
    ended: dict[int, int] = {}
    """How many lines were kept when one ended."""
    tail: int | None = None
    """The indentation of a tail; its last line is a brace there, or the one before one outside."""
    to_brace = False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if tail is not None and indent >= tail:
            if to_brace and indent == tail and line.strip() == "}":
                tail = None
            continue
        tail = None
        to_brace = re.search(r"loop\.parallel .* as \w+", line) is not None
        at_end = indent in ended and re.search(r"= loop\.\w+ .* as \w+ = ", line) is not None
        if to_brace or at_end:
            if at_end:
                del kept[ended[indent] :]
            kept.append(" " * indent + TAIL)
            tail = indent
            continue
        kept.append(line)
        if line.strip() == "}" and indent in tiles:
            ended[indent] = len(kept)
        elif line.endswith("{"):
            (tiles.add if "loop.parallel" in line else tiles.discard)(indent)
            ended = {place: count for place, count in ended.items() if place <= indent}
    return [one for one, other in pairwise([*kept, ""]) if one != other]


def without_repeats(lines: Sequence[str]) -> list[str]:
    """The lines, where up to eight ops repeat more than three times only the first two times."""
    kept: list[str] = []
    shapes = [_shape(line) for line in lines]
    at = 0
    while at < len(lines):
        period, times = _repeats(shapes, at)
        if times <= 3:
            kept.append(lines[at])
            at += 1
            continue
        kept += lines[at : at + 2 * period]
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        kept.append(f"{indent}// … {period * (times - 2)} more of these")
        at += period * times
    return kept


def _repeats(shapes: Sequence[str], at: int) -> tuple[int, int]:
    """The period with which ops repeat from here on, and how often: the longest run."""
    best = (1, 1)
    for period in range(1, 9):
        times = 1
        while shapes[at : at + period] == shapes[at + times * period : at + (times + 1) * period]:
            times += 1
        if times > 3 and period * times > best[0] * best[1]:
            best = (period, times)
    return best


def _shape(line: str) -> str:
    """The op of a line and its types, without names and numbers."""
    op = re.sub(r"^\s*(?:%\w+(?:, %\w+)* = )?", "", line)
    return op.split(" ", 1)[0] + op[op.rfind(" : ") :] if " : " in op else line


def speed_table(measured: Measured, schedule: Schedule, where: str) -> str:
    """The table of what each step buys, in Markdown."""
    unit = "GF/s" if measured.is_flops else "GB/s"
    limit = "the peak" if measured.is_flops else "a copy's speed"
    lines = [
        f"| step | passes added | time | {unit} | of {limit} | × the step before |",
        "|---|---|---|---|---|---|",
    ]
    before: float | None = None
    for step in steps_of(schedule):
        seconds = measured.times[step.name].median
        gain = "" if before is None else f"{before / seconds:.1f}"
        passes = ", ".join(f"`{name}`" for name in step.adds) or "—"
        time = f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2g} s"
        rate, share = measured.rate(step.name) / 1e9, measured.share_of_limit(step.name)
        lines.append(f"| {step.name} | {passes} | {time} | {rate:.3g} | {share:.1%} | {gain} |")
        before = seconds
    return "\n".join([*lines, "", where])


def less_table(measured: Measured, schedule: Schedule) -> str:
    """The table of the whole list with less, in Markdown."""
    lines = ["| all passes | but for | time | × as long |", "|---|---|---|---|"]
    whole = measured.times[steps_of(schedule)[-1].name].median
    for name, passes in schedule.less.items():
        seconds = measured.times[name].median
        spelled = ", ".join(f"`{one}`" for one in passes)
        time = f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2g} s"
        lines.append(f"| {name} | {spelled} | {time} | {seconds / whole:.1f} |")
    return "\n".join(lines)


def steps_in(text: str, region: str = SPEED) -> list[str]:
    """The names of the steps in a page's table."""
    table = text.partition(f"<!-- {region}: begin -->")[2].partition(f"<!-- {region}: end -->")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    return rows[1:]
