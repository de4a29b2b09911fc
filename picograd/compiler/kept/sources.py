"""Digests of the Python that compiles: people here edit passes, and expect to see the difference.

picograd's own sources are read whole, once for all processes that find the same files. Code from
elsewhere (a pass, a rule, an op) is followed to all modules that it can reach by its globals; of
installed packages the version counts, but for the package that the code is in. What cannot be read
has no digest, and what it compiles is not kept on disk.

A file that changed after this process had started may not be what the process runs. Then there is
no digest either, until the next start.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy

from picograd.backends.disk.settings import shared_store

_STARTED = time.time_ns() - 1_000_000_000
"""About when this process began to import picograd: this module is one of the later ones."""

_ROOT = Path(__file__).parents[2]
_PARTS = ("errors", "dialects", "semantics", "targets", "passes", "backends", "compiler")
_FILES = ("quick_dataclasses",)
"""The packages and the module whose code decides what a module is compiled to."""

_LIBRARIES = ("xdsl", "llvmlite", "wgpu")


EXTENSIONS: list[str] = []
"""The modules whose rules and ops have been put into picograd's tables, as `extension` tells."""


class Unreadable(Exception):
    """Why there is no digest, in words."""


class OwnSources:
    """picograd's own sources, as they were when this was made, and whether they still are."""

    def __init__(self) -> None:
        """Raises Unreadable."""
        self._facts = _facts(_ROOT)
        newest = max(self._facts, key=lambda fact: fact[1])
        _require_older(Path(newest[0]), newest[1])
        store = shared_store()
        key = blake2b(repr(self._facts).encode(), digest_size=32).hexdigest()
        # Files with equal times have equal contents: none has changed in the last second.
        known = None if store is None else store.get(key)
        self.digest = known.decode() if known is not None else self._read()
        if known is None and store is not None and self.unchanged():
            store.put(key, self.digest.encode())

    def _read(self) -> str:
        state = blake2b(digest_size=32)
        for path, *_ in self._facts:
            _add_file(state, path)
        return state.hexdigest()

    def unchanged(self) -> bool:
        """Whether all files are what they were."""
        try:
            return _facts(_ROOT) == self._facts
        except Unreadable:
            return False


def versions() -> str:
    """The versions of all that takes part in compiling."""
    libraries = [f"{name} {_version(name)}" for name in _LIBRARIES]
    return ", ".join([f"Python {sys.version.split()[0]}", f"numpy {numpy.__version__}", *libraries])


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:  # PackageNotFoundError is one
        return "none"


def _facts(root: Path) -> list[tuple[str, int, int]]:
    """Path, time of the last change and size of each of picograd's files, in a fixed order."""
    paths = [str(root / f"{name}.py") for name in _FILES]
    try:
        paths += [path for part in _PARTS for path in _python_files(str(root / part))]
        return [(path, *_times(os.stat(path))) for path in paths]
    except OSError as error:
        raise Unreadable(f"picograd's own sources cannot be read: {error}") from error


def _times(facts: os.stat_result) -> tuple[int, int]:
    return max(facts.st_mtime_ns, facts.st_ctime_ns), facts.st_size


def _python_files(folder: str) -> Iterator[str]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.endswith(".py"):
            yield entry.path
        elif entry.is_dir() and entry.name != "__pycache__":
            yield from _python_files(entry.path)


def _require_older(path: Path, changed: int) -> None:
    if changed > _STARTED:
        raise Unreadable(f"{path} changed after this process had started")


def _add_file(state: blake2b, path: str) -> None:
    try:
        with open(path, "rb", buffering=0) as file:  # in half of the time that `Path` takes
            data = file.read()
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error}") from error
    state.update(f"{os.path.basename(path)} {len(data)}\n".encode())
    state.update(data)


# Code from elsewhere


def is_own(module: str) -> bool:
    """Whether a module is one of those that `OwnSources` covers."""
    first, _, rest = module.partition(".")
    return first == "picograd" and rest.partition(".")[0] in (*_PARTS, *_FILES)


def digest_of_modules(names: Iterable[str]) -> str:
    """One digest of these modules and of all that they reach; empty for none that is not own.

    Raises Unreadable for a module without a file of Python, or one that changed since the start.
    """
    packages: dict[str, Path] = {}
    files: dict[Path, None] = {}
    waiting = [name for name in dict.fromkeys(names) if not _is_known(name)]
    installed = {name.partition(".")[0] for name in waiting}  # read, though installed
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        top = name.partition(".")[0]
        path = None if module is None else _file_of(module)
        if path is not None and _is_installed(path) and top not in installed:
            packages.setdefault(top, path)
            continue
        if path is None or module is None:
            raise Unreadable(f"the module {name!r} has no file that could be read")
        files[path] = None
        reached = [other for other in _reached(module) if other not in seen]
        seen.update(reached)
        waiting += reached
    if not files:
        return ""
    state = blake2b(digest_size=32)
    for path in sorted(files):
        _add_file(state, str(path))
        _require_older(path, _times(path.stat())[0])
    for package, path in sorted(packages.items()):
        state.update(f"{package} {_version(package)} {_times(path.stat())}\n".encode())
    return state.hexdigest()


def _file_of(module: ModuleType) -> Path | None:
    name = getattr(module, "__file__", None)
    path = None if name is None else Path(name)
    return path if path is not None and path.suffix in (".py", ".so", ".pyd") else None


def _is_installed(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _INSTALLED)


_INSTALLED = tuple({Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")})


def _reached(module: ModuleType) -> Iterator[str]:
    """The modules from which the globals of a module come, but for Python's and picograd's own."""
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else _module_of(value)
        if name in sys.modules and not _is_known(name):
            yield name


def _is_known(module: str) -> bool:
    """Whether other facts of a key tell what is in a module: picograd's sources, and versions."""
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in ("numpy", *_LIBRARIES) or is_own(module)


def _module_of(value: object) -> str:
    found = getattr(value, "__module__", None) or getattr(type(value), "__module__", None)
    return found if isinstance(found, str) else ""
