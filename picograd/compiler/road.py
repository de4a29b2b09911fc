"""What a program keeps of its module's way through the passes: enough to walk it again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.load_toolchain import toolchain
from picograd.compiler.steps import Steps
from picograd.dialects.structure_digest import structure_digest
from picograd.errors import OptionError

if TYPE_CHECKING:
    from picograd.passes.base import Level


class Road:
    """A module's way through the passes, which is walked again when its IR is asked for."""

    def __init__(
        self, module: ModuleOp, steps: Steps, structure: Hashable, *, constants: bool = False
    ) -> None:
        """`structure` tells what the module meant when it was compiled.

        With `constants` it is the way of what is taken out of the module.
        """
        self._module = module
        self._steps = steps
        self._structure = structure
        self._constants = constants

    @property
    def of_constants(self) -> Road:
        """The way of what is taken out of the module."""
        return Road(self._module, self._steps, self._structure, constants=True)

    @cached_property
    def levels(self) -> dict[Level, ModuleOp]:
        """The module as it left each level. Raises OptionError if it has changed meanwhile."""
        if structure_of(self._module) != self._structure:
            raise OptionError(
                "the IR of a program is asked for, and its module has changed",
                code="PG801",
                expected="the module as it was compiled: its way through the passes is made anew",
                found="one that means something else",
                hint="compile a clone(), or ask for the IR before changing the module",
            )
        return toolchain().levels_of(self._module, self._steps.passes, constants=self._constants)

    @property
    def last(self) -> ModuleOp:
        """The module as the backend gets it."""
        return list(self.levels.values())[-1]

    def lines_of(self, kernel: str) -> Sequence[str]:
        """The lines of the user's program that a kernel computes; none if the module has changed.

        A program does not keep them: the file that they are in may change, and it stays the same.
        """
        with suppress(OptionError):
            return toolchain().lines_by_kernel(self.last).get(kernel, ())
        return ()


class Texts(Mapping[str, str]):
    """What the backend made of a program, by file suffix, which is made again when asked for."""

    def __init__(self, make: Callable[[], Mapping[str, str]]) -> None:
        self._make = make

    @cached_property
    def _texts(self) -> Mapping[str, str]:
        return self._make()

    def __getitem__(self, key: str) -> str:
        return self._texts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def structure_of(module: ModuleOp) -> Hashable:
    """What a module means, and the names of its arguments, which dumps and reports show."""
    try:
        return structure_digest(module)
    except TypeError:  # an attribute that only this process can compare
        return toolchain().structural_key(module)
