"""Facts about generated x86 assembly: what the inner loops do, and what they spill.

A value that does not fit in a register is kept on the stack; a register tile of which one
accumulator is spilled loses a third of its speed, now and then. So the assembly is checked, not
the clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LABEL = re.compile(r"^[.\w$@\"-]+:")
_JUMP = re.compile(r"^\tj\w+\s")
_VECTOR = re.compile(r"%[xyz]mm\d+")
_STACK = re.compile(r"-?\d*\(%rsp\)")
_FMA = re.compile(r"\bvfn?m(?:add|sub)\d+[ps][sd]\b")
_SCALAR_FMA = re.compile(r"\bvfn?m(?:add|sub)\d+s[sd]\b")


@dataclass(frozen=True)
class BlockFacts:
    """What one basic block holds."""

    label: str
    instructions: int
    fused: int
    """Fused multiply-adds of vectors."""
    scalar_fused: int
    """Fused multiply-adds of single elements: a hot loop has none."""
    vector_spills: int
    """Vector registers moved to the stack or back."""
    loops: bool
    """Whether the block jumps back to its own label: an innermost loop."""


def blocks(assembly: str) -> list[BlockFacts]:
    """The basic blocks of an assembly text in AT&T syntax."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in assembly.splitlines():
        if _LABEL.match(line):
            found.append((line.partition(":")[0], []))
        elif line.startswith("\t") and not line.startswith(("\t.", "\t#")):
            found[-1][1].append(line)
            if _JUMP.match(line):
                found.append(("", []))
    return [_facts(label, lines) for label, lines in found if lines]


def _facts(label: str, lines: list[str]) -> BlockFacts:
    scalar = sum(bool(_SCALAR_FMA.search(line)) for line in lines)
    return BlockFacts(
        label,
        len(lines),
        sum(bool(_FMA.search(line)) for line in lines) - scalar,
        scalar,
        sum(bool(_VECTOR.search(line) and _STACK.search(line)) for line in lines),
        any(re.search(rf"\bj\w+\s+{re.escape(label)}$", line.rstrip()) for line in lines),
    )


def inner_loops(assembly: str) -> list[BlockFacts]:
    """The innermost loops, most multiply-adds first."""
    loops = [block for block in blocks(assembly) if block.loops]
    return sorted(loops, key=lambda block: -(block.fused + block.scalar_fused))
