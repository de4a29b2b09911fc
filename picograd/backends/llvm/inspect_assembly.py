"""Facts about generated assembly, of x86 and of AArch64: what inner loops do, and what they spill.

A value that does not fit in a register is kept on the stack; a register tile of which one
accumulator is spilled loses a third of its speed, now and then. So the assembly is checked, not
the clock.
"""

from __future__ import annotations

import re

from picograd.quick_dataclasses import dataclass

_LABEL = re.compile(r"^[.\w$@\"-]+:")
# What ends a block: j… of x86; b, b.…, cb(n)z and tb(n)z of AArch64.
_JUMP = re.compile(r"^\t(?:j\w+|b(?:\.\w+)?|[ct]bn?z)\s")
_VECTOR = re.compile(r"%[xyz]mm\d+|\b[qv]\d+\b")
_STACK = re.compile(r"\(%rsp\)|\[sp\b")
_TO_STACK = re.compile(r"\(%rsp\)$|^\tst[rp]\s")
_SCALAR_FMA = re.compile(r"\bvfn?m(?:add|sub)\d+s[sd]\b|\bfn?m(?:add|sub)\b")
_VECTOR_FMA = re.compile(r"\bvfn?m(?:add|sub)\d+p[sdh]\b|\bfml[as]\b")
# Products that are not fused: all that processors without multiply-add have.
_PRODUCT = re.compile(r"\bv?mulp[sd]\b|\bfmul\s+v")
_COMMENT = re.compile(r"^\t(?:\.|#|//)")


@dataclass(frozen=True)
class BlockFacts:
    """What one basic block holds."""

    label: str
    instructions: int
    fused: int
    """Fused multiply-adds of vectors."""
    products: int
    """Other products of vectors."""
    scalar_fused: int
    """Fused multiply-adds of single elements: a hot loop has none."""
    vector_spills: int
    """Vector registers moved to the stack."""
    vector_reloads: int
    """Vectors read from the stack: what was spilled here, or constants for which there were too few
    registers, which the loop only reads."""
    loops: bool
    """Whether the block jumps back to its own label: an innermost loop."""


def blocks(assembly: str) -> list[BlockFacts]:
    """The basic blocks of an assembly text, of x86 in AT&T syntax."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in assembly.splitlines():
        if _LABEL.match(line):
            found.append((line.partition(":")[0], []))
        elif line.startswith("\t") and not _COMMENT.match(line):
            found[-1][1].append(line)
            if _JUMP.match(line):
                found.append(("", []))
    return [_facts(label, lines) for label, lines in found if lines]


def _facts(label: str, lines: list[str]) -> BlockFacts:
    stack = [line.rstrip() for line in lines if _VECTOR.search(line) and _STACK.search(line)]
    spills = _count(_TO_STACK, stack)
    return BlockFacts(
        label,
        len(lines),
        _count(_VECTOR_FMA, lines),
        _count(_PRODUCT, lines),
        _count(_SCALAR_FMA, lines),
        spills,
        len(stack) - spills,
        bool(label) and any(_jumps_to(label, line) for line in lines),
    )


def _count(pattern: re.Pattern[str], lines: list[str]) -> int:
    return sum(bool(pattern.search(line)) for line in lines)


def _jumps_to(label: str, line: str) -> bool:
    """Whether the line is a jump whose target, its last operand, is the label."""
    return bool(_JUMP.match(line)) and line.split()[-1] == label


def inner_loops(assembly: str) -> list[BlockFacts]:
    """The innermost loops, most multiply-adds first."""
    loops = [block for block in blocks(assembly) if block.loops]
    return sorted(loops, key=lambda block: -(block.fused + block.scalar_fused + block.products))
