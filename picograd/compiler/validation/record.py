"""A module that a pass spoils, saved as a text with which `picograd blame` can begin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.validation.fault import Fault
from picograd.dialects.literals import Array, literal_text
from picograd.passes.base import Pass

FORMAT = "picograd replay 1"
"""The first line of a replay file, after the slashes; `picograd.check.replay` reads them."""


class Record:
    """The module as it was before the first pass, and the passes that have run on it since."""

    def __init__(self, root: ModuleOp, folder: Path) -> None:
        self.text = str(root)
        self.folder = folder
        self.passes: list[Pass] = []

    def save(self, fault: Fault, inputs: Sequence[Array]) -> Path:
        """Write a replay file: the module, the passes up to the guilty one, the inputs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [
            f"// {FORMAT}",
            f"// passes: {','.join(map(str, self.passes))}",
            "// device: reference",
            "// sanitize: false",
            f"// failure: {fault.name} in {self.passes[-1]}",
            *(f"// input: {literal_text(array)}" for array in inputs),
        ]
        path = self._free_path(self.passes[-1].name)
        path.write_text("\n".join([*lines, self.text, ""]), encoding="utf-8")
        return path

    def _free_path(self, name: str) -> Path:
        number = 1
        while (path := self.folder / f"{name}-{number}.mlir").exists():
            number += 1
        return path
