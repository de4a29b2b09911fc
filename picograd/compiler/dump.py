"""Writing the module after every pass to numbered files, for people to read."""

import os
from collections.abc import Mapping
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.driver import PassRecord
from picograd.passes.base import Pass

VARIABLE = "PICOGRAD_DUMP"
UNCHANGED = "// unchanged by this pass\n"


class Dump:
    """An instrument that writes `00-input.mlir`, `01-canonicalize.mlir`, …, and an index.

    A file whose pass changed nothing starts with a comment that says so, and the index lists what
    each pass did.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.last: str | None = None
        self.lines: list[str] = []

    def before(self, step: Pass, module: ModuleOp) -> None:
        """Write the input, when the first pass is about to run."""
        if self.last is None:
            self.start(module)

    def start(self, module: ModuleOp) -> None:
        """Write the module as it comes in."""
        self.last = str(module) + "\n"
        self._write("input", "mlir", self.last, "what the pipeline was given")

    def after(self, step: Pass, module: ModuleOp, record: PassRecord) -> None:
        """Write the module as the pass left it."""
        text = str(module) + "\n"
        changed = text != self.last
        self.last = text
        what = f"{record.ops_before} -> {record.ops_after} ops" if changed else "unchanged"
        note = f"{record.spelling}  {what}, {record.seconds * 1e3:.1f} ms"
        self._write(step.name, "mlir", text if changed else UNCHANGED + text, note)

    def finish(self, texts: Mapping[str, str]) -> None:
        """Write what the backend made (LLVM IR, assembly, WGSL), and the index."""
        for suffix, text in texts.items():
            self._write("target", suffix, text, "what the backend made of it")
        (self.folder / "index.txt").write_text("\n".join(self.lines) + "\n")

    def _write(self, name: str, suffix: str, text: str, note: str) -> None:
        file = f"{len(self.lines):02d}-{name}.{suffix}"
        (self.folder / file).write_text(text)
        self.lines.append(f"{file:40s} {note}")


_dumps = 0


def folder_from_environment(label: str) -> Path | None:
    """A folder of one compilation's own below the one that PICOGRAD_DUMP names; or None."""
    global _dumps
    folder = os.environ.get(VARIABLE)
    if not folder:
        return None
    _dumps += 1
    return Path(folder) / f"{_dumps:03d}-{label}"
