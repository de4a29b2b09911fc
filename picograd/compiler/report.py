"""What is told of a compilation, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from picograd.compiler.records import PassRecord
from picograd.quick_dataclasses import dataclass

if TYPE_CHECKING:  # what validates is loaded when somebody asks for it
    from picograd.compiler.validation.validation import Validation
    from picograd.compiler.validation.validator import PassCheck


@dataclass(frozen=True)
class Report:
    """What a compilation did, in numbers."""

    device: str
    kernels_unfused: int
    """Kernel launches a call when each op is a kernel of its own."""
    kernels: int
    """Kernel launches a call."""
    bytes_unplanned: int
    """Bytes of intermediates, each in an aligned buffer of its own, and of kernel scratch."""
    bytes_planned: int
    """Bytes of the arena that intermediates share, and of kernel scratch."""
    compile_seconds: float
    """What compiling took, if it was in another process."""
    passes: tuple[PassRecord, ...]
    back_end: Mapping[str, float] = field(default_factory=dict[str, float])
    """The seconds of each step that followed the passes."""
    validation: Validation | None = None
    """How the passes were validated, where that was asked for."""
    bytes_kept: int = 0
    """Bytes of what is computed once, and again when a weight has changed, for all calls."""
    load_seconds: float | None = None
    """What it took to take the program from the disk; None for one that was compiled here."""

    @property
    def checks(self) -> tuple[PassCheck, ...]:
        """One for each pass that was validated."""
        return self.validation.checks if self.validation is not None else ()

    def __str__(self) -> str:
        summary = (
            f"{self.device}: {self.kernels} kernels (unfused {self.kernels_unfused}), "
            f"{self.bytes_planned} bytes of intermediates (unplanned {self.bytes_unplanned}), "
            f"compiled in {self.compile_seconds * 1e3:.0f} ms"
        )
        if self.bytes_kept:
            summary += f", {self.bytes_kept} bytes kept between calls"
        if self.load_seconds is not None:
            summary += f" by another process, taken from disk in {self.load_seconds * 1e3:.1f} ms"
        lines = [summary]
        checks = list(self.checks)
        for step in self.passes:
            verify = f"verify {step.verify_seconds * 1e3:7.1f} ms"
            ops = f"{step.ops_before:6d} -> {step.ops_after:6d} ops"
            line = f"  {step.name:26s}{step.seconds * 1e3:8.1f} ms  {verify}  {ops}"
            # Of a smaller twin there may be less to take out than of the module itself.
            known = bool(checks) and checks[0].step.partition("{")[0] == step.name
            lines.append(line + (f"  {checks.pop(0).share}" if known else ""))
        lines += [f"  {name:26s}{spent * 1e3:8.1f} ms" for name, spent in self.back_end.items()]
        if self.validation is not None:
            lines += self.validation.remarks
        return "\n".join(lines)
