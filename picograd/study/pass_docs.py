"""What a pass says of itself: the parts of its module's docstring.

A pass file opens with a sentence, the IR before and after, what must hold, and what the pass does
not do:

    What the pass does, in one sentence.

    Before:
    ```mlir
    builtin.module { … }
    ```
    After:
    ```mlir
    builtin.module { … }
    ```
    Options: name{option="value"}        (only where the example needs them)

    Requires: …
    Does not: …
    Your task: …                         (in the stub of an exercise only)
    Source: …                            (a paper, or the MLIR pass of the same kind; optional)

The command line's list, the pages of the documentation and the tests all read it from here, so
that an example is written once and is known to be true.
"""

import inspect
import re
import sys
from collections.abc import Mapping

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.spelling import parse_passes
from picograd.errors import PassError
from picograd.passes import Pass
from picograd.quick_dataclasses import dataclass

_TITLES = "Before|After|Options|Requires|Does not|Your task|Source"
_SECTION = re.compile(rf"^({_TITLES}):[ \t]*", re.MULTILINE)
_AFTER = re.compile(r"(^After:\s*```mlir\n).*?^```", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"\A\s*```mlir\n(.*?)^```\s*", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class PassDocs:
    """The parts of a pass's docstring; `options` is the invocation that the example shows."""

    name: str
    summary: str
    before: str
    after: str
    options: str
    requires: str
    does_not: str
    source: str
    task: str = ""

    def example(self) -> str:
        """The example as Markdown, for the pass's page."""
        return (
            f"Before:\n\n```mlir\n{self.before}```\n\n"
            f"After `{self.options}`:\n\n```mlir\n{self.after}```\n"
        )


def summary_of(step: type[Pass]) -> str:
    """The first sentence of the docstring of the pass's module, in one line."""
    docstring = inspect.getdoc(sys.modules[step.__module__]) or inspect.getdoc(step) or ""
    return _first_sentence(docstring)


def _first_sentence(docstring: str) -> str:
    return " ".join(docstring.partition("\n\n")[0].split())


def read_pass_docs(step: type[Pass]) -> PassDocs:
    """Take the docstring of a pass's module apart.

    Raises PassError naming the part that is missing or malformed.
    """
    docstring = inspect.getdoc(sys.modules[step.__module__])
    if not docstring:
        raise _incomplete(step.__module__, "a module docstring")
    return parse_pass_docs(step.name, docstring)


def parse_pass_docs(name: str, docstring: str) -> PassDocs:
    """Take the docstring of the file of the pass `name` apart.

    Raises PassError naming the part that is missing or malformed.
    """
    parts = _SECTION.split(docstring + "\n")
    opening, titles, texts = parts[0], parts[1::2], parts[2::2]
    sections = dict(zip(titles, texts, strict=True))
    for title in ("Before", "After", "Requires", "Does not"):
        if not sections.get(title, "").strip():
            raise _incomplete(name, f"a section `{title}:`")
    if not opening.strip():
        raise _incomplete(name, "an opening sentence")
    return PassDocs(
        name=name,
        summary=_first_sentence(docstring),
        before=_fenced(name, "Before", sections["Before"]),
        after=_fenced(name, "After", sections["After"]),
        options=sections.get("Options", "").strip().strip("`").strip() or name,
        requires=" ".join(sections["Requires"].split()),
        does_not=" ".join(sections["Does not"].split()),
        source=" ".join(sections.get("Source", "").split()),
        task=sections.get("Your task", "").strip(),
    )


def run_example(docs: PassDocs, known: Mapping[str, type[Pass]]) -> str:
    """What the example's passes make of the IR before, spelled as the docstring spells modules.

    Raises what parsing and the driver raise, and OptionError for an invocation that does not parse.
    """
    module = parse_module(docs.before, f"{docs.name}, Before")
    # The example may start anywhere on the road, so what ran before it is not known.
    run_pipeline(module, parse_passes(docs.options, known), facts=None)
    if docs.before.startswith("builtin.module"):
        return str(module) + "\n"
    return "".join(str(op) + "\n" for op in module.ops)


def with_new_example(source: str, after: str) -> str:
    """The text of a pass's file with another IR in the block under `After:`."""
    return _AFTER.sub(lambda found: found.group(1) + after + "```", source, count=1)


def _fenced(name: str, title: str, text: str) -> str:
    found = _FENCE.match(text)
    if found is None:
        raise _incomplete(name, f"one fenced ```mlir block after `{title}:`")
    return found.group(1)


def _incomplete(name: str, expected: str) -> PassError:
    return PassError(
        f"the docstring of {name} is not complete",
        code="PG714",
        expected=expected,
        found="none",
        hint="every other pass is an example; picograd/study/pass_docs.py reads them",
    )
