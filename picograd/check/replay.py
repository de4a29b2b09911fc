"""Replay files: one text with all that a failure needs to happen again, on any machine.

    // picograd replay 1
    // passes: canonicalize,fuse{max_ops=8}
    // device: cpu
    // sanitize: false
    // seed: --seed 7 --only 12
    // versions: picograd 0.1.0, xdsl 0.74.0, numpy 2.4.0, llvmlite 0.50.0, wgpu 0.32.0
    // failure: VALUES in fuse{max_ops=8}
    //   result 0 at [1] is 2.0 and should be 3.0 ± 1e-07
    // input: dense<[1.0, 2.0]> : tensor<2xf32>
    builtin.module {
      …
    }

What is not IR stands in comments, so that `picograd opt` and every other command that reads IR take
such a file too. There is one `input` for each argument of the function that is no output. They are
exact: a float that decimal digits would not bring back bit by bit (a NaN with its payload, say) is
written in hexadecimal.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

from xdsl.dialects.builtin import DenseIntOrFPElementsAttr
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError

from picograd.check.oracle import Case, Failure
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pass_list import as_passes
from picograd.compiler.validation.fault import Fault
from picograd.compiler.validation.inputs import input_types
from picograd.compiler.validation.record import FORMAT
from picograd.dialects import new_context
from picograd.dialects.dtypes import tensor_type
from picograd.dialects.literals import (
    Array,
    Literal,
    array_of,
    literal,
    literal_text,
    literal_type,
)
from picograd.errors import ParseFailure, ShapeError
from picograd.passes import PASSES, Pass
from picograd.quick_dataclasses import dataclass
from picograd.semantics.evaluate import entry_of

_PACKAGES = ("picograd", "xdsl", "numpy", "llvmlite", "wgpu")
_KEYS = ("passes", "device", "sanitize", "seed", "versions", "loads", "failure", "input")
_FIELD = re.compile(r"// (?P<key>[a-z]+):(?: (?P<value>.*))?")
_MORE = re.compile(r"//   (?P<value>.*)")
_FAILURE = re.compile(r"(?P<fault>[A-Z]+) in (?P<culprit>.+)")
_VERSION = re.compile(r"(?P<package>\S+) (?P<version>\S+)")


def installed_versions() -> dict[str, str]:
    """The versions of picograd and of what it stands on; of what is absent there is none."""
    found: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Expected:
    """The failure that a file says will happen."""

    fault: Fault
    culprit: str
    detail: str = ""

    @classmethod
    def of(cls, failure: Failure) -> "Expected":
        """What to expect of a case of which an examination found this."""
        return cls(failure.fault, failure.culprit, failure.detail)


@dataclass(frozen=True)
class Replay:
    """A case, how it was found, and what happened."""

    case: Case
    failure: Expected | None = None
    """None: nothing is said of what will happen."""
    seed: str = ""
    """How the case was drawn, in the words of whoever drew it."""
    loads: tuple[str, ...] = ()
    """Python files with passes, ops or rules of one's own; they have to be loaded before."""
    versions: Mapping[str, str] = field(default_factory=installed_versions)

    def __str__(self) -> str:
        case = self.case
        fields = [
            ("passes", str(case.passes)),
            ("device", case.device),
            ("sanitize", "true" if case.sanitize else "false"),
            *([("seed", self.seed)] if self.seed else []),
            ("versions", ", ".join(f"{name} {number}" for name, number in self.versions.items())),
            *(("loads", name) for name in self.loads),
        ]
        if self.failure is not None:
            headline = f"{self.failure.fault.name} in {self.failure.culprit}"
            fields.append(("failure", "\n".join([headline, *self.failure.detail.splitlines()])))
        fields += [("input", literal_text(array)) for array in case.inputs]
        header = [f"// {FORMAT}", *(_spell_field(key, value) for key, value in fields)]
        return "\n".join([*header, str(case.module), ""])

    def write(self, path: Path) -> None:
        """Save it; a file of that name is replaced."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(self), encoding="utf-8")


def read(text: str, name: str = "input", known: Mapping[str, type[Pass]] | None = None) -> Replay:
    """The case that a text spells; `name` is what messages call it, such as a file.

    Passes are looked up in `known`, by default among picograd's own. Raises ParseFailure for
    another text, OptionError for passes that are not known, ShapeError for inputs that are not
    those of the module, and what the module's parser raises.
    """
    fields = _fields_of(text, name)
    values = dict(fields)
    for key in ("passes", "device", "sanitize"):
        if key not in values:
            raise _malformed(name, f"a line `// {key}: …`", "none")
    if values["sanitize"] not in ("true", "false"):
        raise _malformed(name, "`sanitize: true` or `sanitize: false`", values["sanitize"])
    case = Case(
        module=parse_module(text, name),
        inputs=tuple(_array(value, name) for key, value in fields if key == "input"),
        passes=as_passes(values["passes"], PASSES if known is None else known),
        device=values["device"],
        sanitize=values["sanitize"] == "true",
    )
    _check_inputs(case, name)
    return Replay(
        case,
        failure=_failure(values["failure"], name) if "failure" in values else None,
        seed=values.get("seed", ""),
        loads=tuple(value for key, value in fields if key == "loads"),
        versions={
            found["package"]: found["version"]
            for part in values.get("versions", "").split(",")
            if (found := _VERSION.fullmatch(part.strip()))
        },
    )


def is_replay(text: str) -> bool:
    """Whether a text says that it is such a file, and no other IR."""
    return text.startswith(f"// {FORMAT}")


def _spell_field(key: str, value: str) -> str:
    first, *more = value.splitlines() or [""]
    return "\n".join([f"// {key}: {first}".rstrip(), *(f"//   {line}" for line in more)])


def _fields_of(text: str, name: str) -> list[tuple[str, str]]:
    """The keys of the header, in order, each with its value; that of some has several lines."""
    if not is_replay(text):
        raise _malformed(name, f"a first line `// {FORMAT}`", text.partition("\n")[0][:80])
    fields: list[tuple[str, str]] = []
    for line in _header(text):
        more, found = _MORE.fullmatch(line), _FIELD.fullmatch(line)
        if more is not None and fields:
            key, value = fields[-1]
            fields[-1] = key, f"{value}\n{more['value']}"
        elif found is not None and found["key"] in _KEYS:
            fields.append((found["key"], found["value"] or ""))
        else:
            raise _malformed(name, "`// KEY: …`, the key one of " + ", ".join(_KEYS), line[:80])
    return fields


def _header(text: str) -> Iterator[str]:
    """The comments at the start, without the first line."""
    for line in text.splitlines()[1:]:
        if not line.startswith("//"):
            return
        yield line


def _array(text: str, name: str = "input") -> Array:
    try:
        value = Parser(new_context(), text, name).parse_attribute()
    except ParseError as error:
        raise _malformed(name, "a literal such as dense<1.0> : tensor<2xf32>", text[:80]) from error
    if not isinstance(value, DenseIntOrFPElementsAttr):
        raise _malformed(name, "a literal such as dense<1.0> : tensor<2xf32>", text[:80])
    return array_of(cast(Literal, value)).copy()


def _failure(text: str, name: str) -> Expected:
    headline, _, detail = text.partition("\n")
    found = _FAILURE.fullmatch(headline)
    if found is None or found["fault"] not in Fault.__members__:
        raise _malformed(name, "`failure: FAULT in PASS`, the fault one of " + _FAULTS, headline)
    return Expected(Fault[found["fault"]], found["culprit"], detail)


_FAULTS = ", ".join(Fault.__members__)


def _check_inputs(case: Case, name: str) -> None:
    types = input_types(entry_of(case.module))
    wanted = [str(tensor_type(type.get_shape(), type.element_type)) for type in types]
    found = [str(literal_type(literal(array))) for array in case.inputs]
    if wanted != found:
        raise ShapeError(
            "the inputs are not those that the function takes",
            code="PG608",
            expected=", ".join(wanted) or "no inputs",
            found=textwrap.shorten(", ".join(found), 400) or "none",
            hint="write one line `// input: …` for each argument, in their order",
            where=name,
        )


def _malformed(name: str, expected: str, found: str) -> ParseFailure:
    return ParseFailure(
        "this is no replay file",
        code="PG814",
        expected=expected,
        found=found or "an empty text",
        hint="docs/guide/fuzzing.md shows one; `picograd fuzz` and `picograd reduce` write them",
        where=name,
    )
