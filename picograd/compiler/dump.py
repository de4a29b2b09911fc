"""Writing the module after every pass to numbered files, for people to read."""

import re
from collections.abc import Mapping
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.driver import PassRecord
from picograd.compiler.hoist_constants import Hoisted
from picograd.compiler.memory_picture import memory_svg
from picograd.dialects.buffer import KernelOp
from picograd.passes.base import Level, Pass, level_of
from picograd.passes.plan_buffers import MemoryPlan, PlanBuffers, plan
from picograd.passes.reuse_in_place import ReuseInPlace
from picograd.semantics.counters import Counters, count
from picograd.semantics.entry import entry_of

UNCHANGED = "// unchanged by this pass\n"
INDEX = "index.md"
PICTURE = "memory.svg"
CONSTANTS = "constants"
"""The folder within a dump for what was taken out of its module: see `hoist_constants`."""

_WRITTEN = re.compile(r"\d\d+-\w+\.(mlir|ll|s|wgsl)")

_HEADER = (
    "| file | pass | | ops | kernels | bytes moved | bytes of intermediates | ms |\n"
    "|---|---|---|---|---|---|---|---|"
)
_LEGEND = """\
`ops` counts the operations of the IR before and after a pass. Kernels, the bytes that they read and
write in one run, and the bytes that intermediates need at one time follow from the shapes; at
loop level they stay as they were. A file whose pass changed nothing says so in its first line.
"""


class Dump:
    """An instrument that writes `00-input.mlir`, `01-canonicalize.mlir`, …, and an index.

    A file whose pass changed nothing starts with a comment that says so, and `index.md` lists what
    each pass did. Where memory is planned, `memory.svg` shows the plan.
    """

    def __init__(self, folder: Path, target: str) -> None:
        """`target` is the machine for whose alignment the plan of memory is drawn."""
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        _clear(self.folder)
        self.target = target
        self.last: str | None = None
        self.rows: list[str] = []
        self.seconds = 0.0
        self._counters = Counters()
        self._unplanned: MemoryPlan | None = None
        self._has_constants = False

    def before(self, step: Pass, module: ModuleOp) -> None:
        """Write the input, when the first pass is about to run."""
        if self.last is None:
            self.start(module)
        if isinstance(step, ReuseInPlace | PlanBuffers) and self._unplanned is None:
            self._unplanned = plan(module, self.target)

    def start(self, module: ModuleOp) -> None:
        """Write the module as it comes in."""
        self.last = str(module) + "\n"
        ops = sum(1 for _ in module.walk())
        self._write("input", "mlir", self.last, "what the pipeline was given", "", str(ops), module)

    def after(self, step: Pass, module: ModuleOp, record: PassRecord) -> None:
        """Write the module as the pass left it."""
        text = str(module) + "\n"
        changed = text != self.last
        self.last = text
        self.seconds += record.seconds
        if isinstance(step, PlanBuffers):
            self._draw(module)
        self._write(
            step.name,
            "mlir",
            text if changed else UNCHANGED + text,
            f"`{record.spelling}`",
            "changed" if changed else "unchanged",
            f"{record.ops_before} → {record.ops_after}",
            module,
            f"{record.seconds * 1e3:.1f}",
        )

    def hoisted(self, before: ModuleOp, out: Hoisted, module: ModuleOp, record: PassRecord) -> None:
        """Write the module that constants were taken out of."""
        self._has_constants = True
        self.last = str(module) + "\n"
        ops = f"{record.ops_before} → {record.ops_after}"
        what = f"[what was taken out]({CONSTANTS}/{INDEX})"
        spent = f"{record.seconds * 1e3:.1f}"
        self._write(record.name, "mlir", self.last, what, "changed", ops, module, spent)

    def finish(self, texts: Mapping[str, str], validation: str = "") -> None:
        """Write what the backend made (LLVM IR, assembly, WGSL), and the index.

        `validation` says how the passes were validated, where they were.
        """
        for suffix, text in texts.items():
            self._write("target", suffix, text, "what the backend made of it")
        parts = [
            f"# {self.folder.resolve().name}",
            f"{len(self.rows)} files; the passes took {self.seconds * 1e3:.0f} ms.",
            "\n".join([_HEADER, *self.rows]),
            _LEGEND,
        ]
        if self._has_constants:
            parts.append(
                "What seldom changes was taken out, and is computed by a program of its own, whose "
                f"way is in [{CONSTANTS}]({CONSTANTS}/{INDEX}). Its results are kept between calls."
            )
        if validation:
            parts.append(f"How the passes were validated:\n\n```text\n{validation}\n```")
        if (self.folder / PICTURE).exists():
            parts.append(f"![Which bytes are taken while which kernel runs]({PICTURE})")
        (self.folder / INDEX).write_text("\n\n".join(parts).rstrip() + "\n", encoding="utf-8")

    def _write(
        self,
        name: str,
        suffix: str,
        text: str,
        what: str,
        changed: str = "",
        ops: str = "",
        module: ModuleOp | None = None,
        milliseconds: str = "",
    ) -> None:
        file = f"{len(self.rows):02d}-{name}.{suffix}"
        (self.folder / file).write_text(text, encoding="utf-8")
        numbers = ["", "", ""]
        if module is not None:
            if level_of(module) != Level.LOOP:
                self._counters = count(module)
            c = self._counters
            numbers = [f"{c.launches}", f"{c.bytes_moved:,}", f"{c.peak_bytes:,}"]
        cells = [f"[{file}]({file})", what, changed, ops, *numbers, milliseconds]
        self.rows.append(f"| {' | '.join(cells)} |")

    def _draw(self, module: ModuleOp) -> None:
        """Draw the plan that a pass has just made."""
        kernels = [op.label.data for op in entry_of(module).walk() if isinstance(op, KernelOp)]
        if self._unplanned is not None and self._unplanned.buffers:
            picture = memory_svg(self._unplanned, plan(module, self.target), kernels)
            (self.folder / PICTURE).write_text(picture, encoding="utf-8")


def _clear(folder: Path) -> None:
    """Remove what an earlier dump wrote, so that the folder shows one compilation."""
    if not (folder / INDEX).exists():
        return
    for file in folder.iterdir():
        if file.name in (INDEX, PICTURE) or _WRITTEN.fullmatch(file.name):
            file.unlink()
    inner = folder / CONSTANTS
    if inner.is_dir():
        _clear(inner)
        if not any(inner.iterdir()):
            inner.rmdir()
