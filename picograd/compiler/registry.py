"""The passes that a name may stand for: picograd's own, installed ones, and ones given by hand.

A package offers its passes to picograd by naming them in its `pyproject.toml`; once it is
installed, `picograd opt`, `dump` and `bench`, and `picograd.compile(passes=…)` know them by name:

    [project.entry-points."picograd.passes"]
    my_pass = "my_package.my_pass:MyPass"

Such a package is imported when somebody names its pass, not before: one that is broken disturbs
nobody else.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from picograd.errors import PassError
from picograd.passes import PASSES, Pass

GROUP = "picograd.passes"
"""The group of entry points under which packages offer passes."""


class Registry(Mapping[str, type[Pass]]):
    """Passes by name, in the order of their origins: picograd's, `given`, then installed ones.

    An installed pass cannot take the place of another: where a name is taken, looking it up raises
    PassError, and so does looking up one that cannot be imported, or is no pass.
    """

    def __init__(self, given: Mapping[str, type[Pass]] | None = None) -> None:
        self._known: dict[str, type[Pass]] = {**PASSES, **(given or {})}
        self._installed: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=GROUP):
            self._installed.setdefault(entry.name, []).append(entry)

    def __getitem__(self, name: str) -> type[Pass]:
        offers = self._installed.get(name)
        if offers is None:
            return self._known[name]
        if name in self._known or len(offers) > 1:
            raise PassError(
                f"the pass {name!r} is defined more than once",
                code="PG711",
                expected="one pass of that name",
                found=", ".join([*self._own_origin(name), *sorted(map(_origin, offers))]),
                hint="rename or uninstall one of them",
            )
        return load_entry(offers[0])

    def __iter__(self) -> Iterator[str]:
        yield from self._known
        yield from (name for name in sorted(self._installed) if name not in self._known)

    def __len__(self) -> int:
        return len(self._known.keys() | self._installed.keys())

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._installed

    def _own_origin(self, name: str) -> list[str]:
        return [self._known[name].__module__] if name in self._known else []


def load_entry(entry: EntryPoint) -> type[Pass]:
    """The pass that an installed package offers. Raises PassError where it offers none."""
    try:
        loaded: Any = entry.load()
    except (Exception, SystemExit) as error:
        raise PassError(
            f"the installed pass {entry.name!r} cannot be imported: "
            f"{type(error).__name__}: {error}",
            code="PG711",
            expected=f"{entry.value} to be there",
            found=type(error).__name__,
            hint="mend the package, or uninstall it",
            where=_origin(entry),
        ) from error
    found: object = loaded
    if not isinstance(found, type) or not issubclass(found, Pass):
        raise PassError(
            f"the installed pass {entry.name!r} is no pass",
            code="PG711",
            expected="a frozen dataclass that derives from picograd.passes.Pass",
            found=str(loaded),
            hint=f"let the entry point name the class, as in {entry.module}:MyPass",
            where=_origin(entry),
        )
    if found.name != entry.name:
        raise PassError(
            f"the installed pass {entry.name!r} goes by another name",
            code="PG711",
            expected=f"name = {entry.name!r} in the class",
            found=f"name = {found.name!r}",
            hint="give the entry point the name of the pass",
            where=_origin(entry),
        )
    return found


def _origin(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist is not None else "an unnamed package"
    return f"{package} ({entry.value})"
