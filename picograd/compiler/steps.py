"""The passes of a compilation, which are named without being loaded where that can be done."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from picograd.compiler.load_toolchain import toolchain
from picograd.targets import Target, lookup, names

if TYPE_CHECKING:
    from picograd.compiler.pass_list import Passes
    from picograd.passes.base import Pass


class Steps:
    """The passes of a compilation: a device's own, which are not loaded to be named, or others."""

    def __init__(self, device: str, given: Passes | None, tuned: str = "") -> None:
        """`tuned` are choices for the schedules of kernels, which a device's own passes follow.

        Raises OptionError for names of passes that nobody knows.
        """
        self._device = device
        self._given = None if given is None else toolchain().as_passes(given)
        if self._given is not None and self._given == toolchain().pipeline(device):
            self._given = None
        self._tuned = tuned if self._given is None else ""

    @property
    def passes(self) -> Sequence[Pass]:
        """The passes, in order."""
        if self._given is not None:
            return self._given
        return toolchain().tuned_pipeline(self._device, self._tuned)

    @property
    def key(self) -> Hashable:
        """Equal for equal passes. Two classes of one name differ: a file may be loaded anew."""
        if self._given is None:
            return self._tuned
        return tuple((type(step), str(step)) for step in self._given)

    @property
    def spelled(self) -> str:
        """The passes as a text; that of a device's own is told by picograd's sources."""
        if self._given is None:
            return "its own" + (f", tuned: {self._tuned}" if self._tuned else "")
        return ",".join(map(str, self._given))

    @property
    def modules(self) -> list[str]:
        """The modules of Python that define the passes."""
        kinds = [kind for step in self._given or () for kind in type(step).__mro__[:-1]]
        return [kind.__module__ for kind in kinds]

    @property
    def targets(self) -> tuple[Target, ...]:
        """The machines whose facts are read: the device's, and those that passes name."""
        known = names()
        named = [str(getattr(step, "target", "")) for step in self._given or ()]
        wanted = [name for name in (self._device, *named) if name.partition(":")[0] in known]
        return tuple(lookup(name) for name in dict.fromkeys(wanted))
