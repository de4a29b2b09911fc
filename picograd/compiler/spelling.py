"""Passes as text: `canonicalize,tile_loops{sizes="j=48 i=8"}`."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping

from xdsl.passes import get_pass_option_infos
from xdsl.utils.arg_spec import ArgSpec, parse_pipeline
from xdsl.utils.exceptions import ArgSpecParseError

from picograd.errors import OptionError
from picograd.passes.base import Pass


def parse_passes(text: str, known: Mapping[str, type[Pass]]) -> tuple[Pass, ...]:
    """The passes that a comma-separated list spells, each with its options in braces.

    Raises OptionError for malformed text, an unknown pass, an unknown option, or a value of
    the wrong type; it names the nearest known spelling.
    """
    # xDSL's grammar has no blanks around the commas that separate passes; people do.
    compact = ",".join(part.strip() for part in _split(text))
    try:
        specs = list(parse_pipeline(compact))
    except ArgSpecParseError as error:
        raise OptionError(
            f"cannot read the passes {text!r}",
            code="PG704",
            expected='name,name{option=value option="text with blanks"},…',
            found=str(error).strip().splitlines()[-1].strip(),
            hint="quote the whole list for the shell, and texts with blanks inside it",
        ) from error
    return tuple(_make(spec, known) for spec in specs)


def _split(text: str) -> list[str]:
    """Split at the commas that stand outside braces and quotes."""
    parts, depth, quoted = [""], 0, False
    for character in text:
        if character == '"':
            quoted = not quoted
        elif not quoted:
            depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _make(spec: ArgSpec, known: Mapping[str, type[Pass]]) -> Pass:
    spec = ArgSpec(spec.name.replace("-", "_"), spec.normalize_parameter_names().parameters)
    step = known.get(spec.name)
    if step is None:
        raise OptionError(
            f"unknown pass {spec.name!r}",
            code="PG701",
            expected="one of: " + ", ".join(known),
            found=repr(spec.name),
            hint=nearest(spec.name, known) or "`picograd opt --list` describes them",
        )
    options = [field.name for field in dataclasses.fields(step)]
    for option in spec.parameters:
        if option not in options:
            raise OptionError(
                f"pass {step.name} has no option {option!r}",
                code="PG702",
                expected="one of: " + ", ".join(options) if options else "no options",
                found=repr(option),
                hint=nearest(option, options) or "`picograd opt --list` describes them",
            )
    try:
        return step.from_spec(spec)
    except ValueError as error:
        wanted = ", ".join(describe_options(step))
        raise OptionError(
            f"pass {step.name} cannot take these options",
            code="PG703",
            expected=wanted,
            found=str(spec),
            hint="give each option a value of its type: true or false, a whole number, a text",
        ) from error


def describe_options(step: type[Pass]) -> list[str]:
    """Each option of a pass with its type and default, such as `exact: bool = false`."""
    described: list[str] = []
    for info in get_pass_option_infos(step):
        # Under `from __future__ import annotations` a type is its own text, in quotes.
        kind = info.expected_type.strip("'")
        empty = '""' if kind == "str" else "none"
        default = "" if info.default_value is None else f" = {info.default_value or empty}"
        described.append(f"{info.name}: {kind}{default}")
    return described


def nearest(word: str, words: Iterable[str]) -> str:
    """'did you mean …?' with the most similar of the words; empty when none is similar."""
    found = difflib.get_close_matches(word, list(words), n=1)
    return f"did you mean {found[0]!r}?" if found else ""
