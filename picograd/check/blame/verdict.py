"""What blame finds out, in words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp

from picograd.check.oracle import Failure
from picograd.compiler.validation.error import inputs_in_lines
from picograd.dialects.literals import Array
from picograd.quick_dataclasses import dataclass
from picograd.semantics.evaluate import entry_of

_MOST_INPUTS = 8
"""A training step has dozens, its parameters and what the optimizer keeps."""

_WIDTH = 240
"""Characters of a line that shows an input."""


@dataclass(frozen=True)
class Blame:
    """A failure, and the smallest thing that can be held responsible for it."""

    failure: Failure
    """What is wrong once the rewrite has been made, and not before."""
    step: str
    """The pass as it is spelled, or the device."""
    number: int
    """Which application of a rule it is; 0 where the pass, or the device, is blamed as a whole."""
    total: int
    """Of how many; 0 where the pass has none that are counted."""
    rule: str
    """The rule; or the pass or device itself."""
    source: str
    """The file and line of the rule; "" where it cannot be told."""
    op: str
    """The op that the rule looked at, with its kind: `pico.binary add`."""
    before: str
    """The lines that the rewrite touched, as they were."""
    after: str
    """The same lines as it left them; "" where it left nothing, because it crashed."""
    module: ModuleOp
    """What the rewrite was tried on, or the part of it that is enough."""
    inputs: tuple[Array, ...]
    scope: str = ""
    """How far it could be narrowed down, where that needs a word."""
    on_device: bool = False
    """Whether a device is blamed: then `before` shows the place in the IR, and nothing is after."""
    code: str = ""
    """Of a device: the generated code around the place."""
    twin: str = ""
    """The signature of the twin in which it was found, where the module itself is large."""

    @property
    def family(self) -> str:
        """Equal for equal faults: the rule, and the op that it is wrong about."""
        return f"{self.rule} on {self.op}"

    def __str__(self) -> str:
        lines = [f"{self.step} is to blame: {self.failure.fault}"]
        if self.twin:
            lines.append("  on a twin: " + textwrap.shorten(self.twin, _WIDTH, placeholder=" …"))
        if self.number:
            counted = f"number {self.number} of {max(self.number, self.total)}"
            lines.append(f"  rewrite:  {counted}: {self.rule} on {self.op}")
        else:
            lines.append(f"  part:     {self.rule} on {self.op}")
        for title, text in (("scope", self.scope), ("source", self.source)):
            if text:
                lines.append(f"  {title + ':':9} {text}")
        if self.on_device:
            lines += ["  in the IR:", *_indented(self.before)]
        else:
            lines += ["  before:", *_indented(self.before)]
            lines += ["  after:", *_indented(self.after or "nothing: it came to no end")]
        if self.code:
            lines += ["  code:", *_indented(self.code)]
        excess = self.failure.excess
        told = str(excess) if excess is not None else self.failure.detail
        lines += [f"  {'first wrong value' if excess else 'detail'}:", *_indented(told)]
        inputs = _spelled(self.module, self.inputs)
        if len(inputs) > _MOST_INPUTS:
            inputs = [*inputs[:_MOST_INPUTS], f"… {len(inputs) - _MOST_INPUTS} more"]
        lines += ["  inputs:", *_indented("\n".join(inputs) or "none")]
        return "\n".join(lines)


def _indented(text: str) -> Sequence[str]:
    return ["    " + line for line in text.splitlines()]


def _spelled(module: ModuleOp, inputs: Sequence[Array]) -> list[str]:
    return [
        textwrap.shorten(line, _WIDTH, placeholder=" …")
        for line in inputs_in_lines(entry_of(module), inputs)
    ]
