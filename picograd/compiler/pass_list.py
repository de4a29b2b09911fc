"""A pipeline as a value: passes in order, and where to put another one among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TypeAlias

from picograd.compiler.registry import Registry
from picograd.compiler.spelling import nearest, parse_passes
from picograd.errors import OptionError
from picograd.passes.base import Pass

PassSpelling: TypeAlias = Pass | str
"""A pass, or the text that spells one or several: `"canonicalize,fuse{max_ops=8}"`."""

Passes: TypeAlias = str | Iterable[PassSpelling]
"""What stands for a list of passes wherever one is asked for."""


class Pipeline(tuple[Pass, ...]):
    """Passes in the order in which they run; each method returns a new pipeline.

        picograd.pipeline("cpu").after("canonicalize", MyPass())
        picograd.pipeline("gpu").without("fuse").before("tile_loops", "my_pass{limit=4}", number=2)

    A name that occurs several times in the pipeline needs `number`, counted from 1. All raise
    OptionError for a name that is not there.
    """

    __slots__ = ()

    def before(self, name: str, *steps: PassSpelling, number: int | None = None) -> Pipeline:
        """The pipeline with `steps` right before the pass called `name`."""
        place = self._place(name, number)
        return Pipeline((*self[:place], *as_passes(steps), *self[place:]))

    def after(self, name: str, *steps: PassSpelling, number: int | None = None) -> Pipeline:
        """The pipeline with `steps` right after the pass called `name`."""
        place = self._place(name, number) + 1
        return Pipeline((*self[:place], *as_passes(steps), *self[place:]))

    def replace(self, name: str, *steps: PassSpelling, number: int | None = None) -> Pipeline:
        """The pipeline with `steps` in place of the pass called `name`."""
        place = self._place(name, number)
        return Pipeline((*self[:place], *as_passes(steps), *self[place + 1 :]))

    def without(self, *names: str) -> Pipeline:
        """The pipeline without the passes of these names, wherever they occur."""
        for name in names:
            self._places(name)
        return Pipeline(step for step in self if step.name not in names)

    def aimed_at(self, target: str) -> Pipeline:
        """The same passes for another machine: every option called `target` names it.

        picograd.pipeline("cpu").aimed_at("neoverse-v2") makes what that processor would run.
        """
        return Pipeline(
            replace(step, target=target) if any(f.name == "target" for f in fields(step)) else step
            for step in self
        )

    def _places(self, name: str) -> list[int]:
        places = [place for place, step in enumerate(self) if step.name == name]
        if not places:
            names = list(dict.fromkeys(step.name for step in self))
            raise OptionError(
                f"the pipeline has no pass {name!r}",
                code="PG701",
                expected="one of: " + ", ".join(names) if names else "a pipeline with passes in it",
                found=repr(name),
                hint=nearest(name, names) or "name a pass that is there",
            )
        return places

    def _place(self, name: str, number: int | None) -> int:
        places = self._places(name)
        if number is None and len(places) == 1:
            return places[0]
        if number is not None and 1 <= number <= len(places):
            return places[number - 1]
        raise OptionError(
            f"the pipeline runs {name} {len(places)} time{'s' if len(places) > 1 else ''}",
            code="PG701",
            expected=f"number=1 to number={len(places)}",
            found="no number" if number is None else f"number={number}",
            hint=f"say which: .after({name!r}, …, number=1)",
        )

    def __str__(self) -> str:
        return ",".join(map(str, self))

    def __repr__(self) -> str:
        return f"Pipeline({str(self)!r})"


def as_passes(passes: Passes, known: Mapping[str, type[Pass]] | None = None) -> Pipeline:
    """The passes that a text, or a list of passes and texts, stands for.

    Names are looked up in `known`: by default picograd's own passes and those that installed
    packages offer. Raises OptionError for what is neither a pass nor spells one.
    """
    parts: Sequence[object] = [passes] if isinstance(passes, str | Pass) else list(passes)
    found: list[Pass] = []
    for part in parts:
        if isinstance(part, Pass):
            found.append(part)
        elif isinstance(part, str):
            known = Registry() if known is None else known
            found += parse_passes(part, known)
        else:
            raise OptionError(
                "cannot read the passes: one of them is no pass",
                code="PG704",
                expected="passes such as Fuse(), or their names, such as 'fuse{max_ops=8}'",
                found=_describe(part),
                hint=_how_to_call(part),
            )
    return Pipeline(found)


def _describe(part: object) -> str:
    return f"the class {part.__name__}" if isinstance(part, type) else repr(part)


def _how_to_call(part: object) -> str:
    if isinstance(part, type) and issubclass(part, Pass):
        return f"make one: {part.__name__}()"
    return "`picograd opt --list` shows the names"
