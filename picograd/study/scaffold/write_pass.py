"""Making the three files of a new pass from the template of its level."""

import inspect
import keyword
import sys
from collections.abc import Container
from pathlib import Path
from types import ModuleType

from picograd.errors import OptionError
from picograd.passes import Level
from picograd.study.pass_docs import read_pass_docs
from picograd.study.scaffold import buffer, kernel, loop, tensor

TEMPLATES: dict[Level, ModuleType] = {
    Level.TENSOR: tensor,
    Level.KERNEL: kernel,
    Level.BUFFER: buffer,
    Level.LOOP: loop,
}

_HOW: dict[Level, str] = {
    Level.TENSOR: """\
`drop_second_maximum` is a *rule*: it looks at one op and returns the value that takes the place of
the op's result, or None where it does not apply. `rewrite_greedily` calls it for every `BinaryOp`
of the module, and again for what has changed, until nothing does; it erases what nobody reads then.
""",
    Level.KERNEL: """\
A result without a first use has no reader: neither another kernel nor `func.return`. The pass looks
at the last kernel first, so a chain of kernels that leads nowhere goes in one sweep. `applies`
counts each step, so that `picograd blame` can find a wrong one.
""",
    Level.BUFFER: """\
Kernels are the users of a buffer, whether they read or write it. A `buffer.alloc` without a first
use is touched by none. `applies` counts each step, so that `picograd blame` can find a wrong one.
""",
    Level.LOOP: """\
A load reads memory and does nothing else, so one without a reader may go. `walk` finds the loads in
loops of any depth; they are listed before the first one is erased. `applies` counts each step, so
that `picograd blame` can find a wrong one.
""",
}

_TEST = '''"""my_pass: its example, its meaning on random programs, and what it saves."""

from picograd.check.meaning import assert_keeps_meaning
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.study.pass_docs import read_pass_docs
COUNT_IMPORT
from my_pass import MyPass

DOCS = read_pass_docs(MyPass)


def run(text: str) -> str:
    """What the pass makes of a module."""
    module = parse_module(text)
    run_pipeline(module, [MyPass()], facts=None)
    return str(module)


def test_the_example_is_what_the_pass_does() -> None:
    assert run(DOCS.before) == str(parse_module(DOCS.after))


def test_a_second_run_changes_nothing() -> None:
    assert run(DOCS.after) == str(parse_module(DOCS.after))


def test_random_programs_keep_their_meaning() -> None:
    assert_keeps_meaning(MyPass())
GAIN'''

_GAIN = """

def test_the_example_becomes_cheaper() -> None:
    before, after = count(parse_module(DOCS.before)), count(parse_module(DOCS.after))
    assert after.MEASURE < before.MEASURE
"""

# What each template saves; costs are not counted at loop level.
_MEASURES = {Level.TENSOR: "operations", Level.KERNEL: "launches", Level.BUFFER: "peak_bytes"}

_PAGE = """# my_pass

SUMMARY

EXAMPLE
## How it works

HOW
## In short

| level | LEVEL |
|---|---|
| requires | REQUIRES |
| does not | DOES_NOT |
"""


def check_name(name: str, taken: Container[str]) -> None:
    """Raise OptionError unless a pass, its file and its test may be called so."""
    problem = ""
    if not name.isidentifier() or not name.isascii() or name != name.lower():
        problem = "lower-case letters, digits and underscores, beginning with a letter"
    elif keyword.iskeyword(name) or keyword.issoftkeyword(name):
        problem = "a name that is no word of Python's"
    elif name in sys.stdlib_module_names or name == "picograd":
        problem = "a name that no module of Python's has"
    elif name.startswith(("_", "test_")):
        problem = "a name that begins with a letter, and not with test_"
    if problem:
        raise OptionError(
            f"a pass cannot be called {name!r}",
            code="PG715",
            expected=problem,
            found=repr(name),
            hint="verb and object, such as merge_scales",
        )
    if name in taken:
        raise OptionError(
            f"there is a pass called {name!r} already",
            code="PG715",
            expected="a name of its own",
            found=repr(name),
            hint="choose another; `picograd opt --list` shows those that are taken",
        )


def write_pass(name: str, level: Level, folder: Path) -> tuple[Path, ...]:
    """Write a pass, its test and its page into a folder; the paths.

    Raises OptionError where one of the files is there already, and writes none of them.
    """
    template = TEMPLATES[level]
    texts = {
        f"{name}.py": inspect.getsource(template),
        f"test_{name}.py": _test(level),
        f"{name}.md": _page(template, level),
    }
    files = tuple(folder / file for file in texts)
    there = [str(file) for file in files if file.exists()]
    if there:
        raise OptionError(
            f"the pass {name!r} would overwrite files",
            code="PG715",
            expected="a folder without them",
            found=", ".join(there),
            hint="choose another name, or another folder with --dir",
        )
    folder.mkdir(parents=True, exist_ok=True)
    class_name = "".join(part.capitalize() for part in name.split("_"))
    for file, text in zip(files, texts.values(), strict=True):
        renamed = text.replace("my_pass", name).replace("MyPass", class_name)
        file.write_text(renamed, encoding="utf-8")
    return files


def _test(level: Level) -> str:
    measure = _MEASURES.get(level)
    counted = "from picograd.semantics.counters import count\n" if measure else ""
    gain = _GAIN.replace("MEASURE", measure) if measure else ""
    imports = "from picograd.study.pass_docs import read_pass_docs\n"
    text = _TEST.replace(imports + "COUNT_IMPORT\n", counted + imports + "\n")
    return text.replace("GAIN", gain)


def _page(template: ModuleType, level: Level) -> str:
    docs = read_pass_docs(template.MyPass)
    return (
        _PAGE.replace("SUMMARY", docs.summary)
        .replace("EXAMPLE", docs.example())
        .replace("HOW", _HOW[level])
        .replace("LEVEL", level)
        .replace("REQUIRES", docs.requires)
        .replace("DOES_NOT", docs.does_not)
    )
