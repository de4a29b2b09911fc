"""What a compiled function depends on beside its arguments, and the names of what it reaches.

Python numbers that the function closes over are constants in the graph; so is which module or
tensor a variable holds. Each is a `Guard`, checked at every call: when one fails, the function is
traced again.
"""

from __future__ import annotations

import inspect
import site
import sysconfig
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, TypeAlias, cast

from picograd.backends.runtime import Device
from picograd.frontend.core import TensorCore
from picograd.quick_dataclasses import dataclass

_PACKAGE = str(Path(__file__).resolve().parents[2])
_FOREIGN = (sysconfig.get_path("stdlib"), *site.getsitepackages(), _PACKAGE)
_LONGEST_SEQUENCE = 1000

Slot: TypeAlias = "tuple[Any, Any]"
"""A container and a key in it; a closure's cell has the key None."""


class Watched(ABC):
    """An object whose numbers, tensors and parts a compiled function may depend on."""

    @abstractmethod
    def watched(self) -> Iterable[tuple[str, Any, Any]]:
        """(label, container, key) of each attribute that traced code may read as a constant."""


@dataclass(frozen=True)
class Guard:
    """Something that was true while tracing."""

    label: str
    slot: Slot
    expected: object
    by_identity: bool
    tracked: bool = False

    def holds(self) -> bool:
        """Whether it is still true."""
        value, expected = slot_value(self.slot), self.expected
        if value is expected:
            return not isinstance(value, TensorCore) or value.requires_grad == self.tracked
        if self.by_identity or type(value) is not type(expected):
            return False
        # -0.0 equals 0.0, but computes other results; a NaN does not even equal itself.
        return repr(value) == repr(expected) if isinstance(value, float) else value == expected

    def __str__(self) -> str:
        now = slot_value(self.slot)
        if self.by_identity:
            return f"`{self.label}` is another {type(now).__name__}"
        return f"`{self.label}` was {self.expected!r} and is {now!r}"


class Guards:
    """All guards of one version, arranged so that a check takes little of a call's time."""

    def __init__(self, guards: Sequence[Guard], device: Device) -> None:
        self._all = tuple(guards)
        slots = [(*guard.slot, guard.expected) for guard in guards]
        checker = device.held_checker(slots) if slots else None
        self._held: Callable[[], bool] = checker or partial(_are_held, slots)
        self._tracked = [
            (guard.expected, guard.tracked)
            for guard in guards
            if isinstance(guard.expected, TensorCore)
        ]

    def broken(self) -> Guard | None:
        """The first guard that does not hold, or None."""
        if self.same_objects():
            return None
        return next((guard for guard in self._all if not guard.holds()), None)

    def same_objects(self) -> bool:
        """Whether every slot holds the very object that it held: then every guard holds."""
        if not self._held():
            return False
        for tensor, tracked in self._tracked:
            if (tensor.history.node is not None) is not tracked:
                return False
        return True


def _are_held(slots: Sequence[tuple[Any, Any, object]]) -> bool:
    return all(slot_value((container, key)) is value for container, key, value in slots)


class _Missing:
    """What an empty slot holds."""


def slot_value(slot: Slot) -> object:
    """What is in a slot now."""
    container, key = slot
    try:
        return container[key] if key is not None else container.cell_contents
    except (ValueError, LookupError):
        return _Missing


class Watcher:
    """Walks from a function to all that it reaches by name, and collects guards and labels."""

    def __init__(self) -> None:
        self.guards: list[Guard] = []
        self.labels: dict[int, str] = {}
        """Paths such as `model.0` by the identity of the module or tensor."""
        self.tensors: list[TensorCore] = []
        self._seen: set[int] = set()
        self._kept: list[object] = []

    def function(self, function: object, label: str = "") -> None:
        """Visit what a function, method or callable object reaches."""
        if isinstance(function, MethodType):
            self.value(label, function.__self__, None, _names(function.__func__.__code__))
            self.function(function.__func__)
        elif isinstance(function, FunctionType):
            self._function(function)
        else:
            self.value(label, function, None)

    def _function(self, function: FunctionType) -> None:
        if id(function) in self._seen:
            return
        self._seen.add(id(function))
        code = function.__code__
        names = _names(code)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self.value(name, slot_value((cell, None)), (cell, None), names)
        for name in sorted(names & function.__globals__.keys()):
            self.value(name, function.__globals__[name], (function.__globals__, name), names)

    def value(
        self, label: str, value: object, slot: Slot | None, names: frozenset[str] = frozenset()
    ) -> None:
        """Visit a value found under a label; `names` are the attributes that the code mentions."""
        if value is None or isinstance(value, bool | int | float | str):
            self._guard(label, slot, value, by_identity=False)
        elif isinstance(value, TensorCore):
            self._guard(label, slot, value, by_identity=True, tracked=value.requires_grad)
            if id(value) not in self._seen:
                self._seen.add(id(value))
                self._kept.append(value)
                self.tensors.append(value)
                self.labels[id(value)] = label
        elif isinstance(value, ModuleType):
            if not _is_foreign(getattr(value, "__file__", None)):
                self._attributes(label, value, names)
        elif isinstance(value, FunctionType):
            if not _is_foreign(value.__code__.co_filename):
                self._guard(label, slot, value, by_identity=True)
                self._function(value)
        elif isinstance(value, Watched):
            self._guard(label, slot, value, by_identity=True)
            self._watched(label, value)
        elif isinstance(value, Mapping | list | tuple):
            self._container(label, cast(Any, value), slot, names)
        elif not isinstance(value, type) and hasattr(value, "__dict__"):
            self._guard(label, slot, value, by_identity=True)
            self._attributes(label, value, names)

    def _guard(
        self,
        label: str,
        slot: Slot | None,
        value: object,
        *,
        by_identity: bool,
        tracked: bool = False,
    ) -> None:
        if slot is not None:
            self.guards.append(Guard(label, slot, value, by_identity, tracked))

    def _watched(self, label: str, value: Watched) -> None:
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._kept.append(value)
        self.labels[id(value)] = label
        prefix = f"{label}." if label else ""
        for name, container, key in value.watched():
            self.value(f"{prefix}{name}", slot_value((container, key)), (container, key))

    def _attributes(self, label: str, value: object, names: frozenset[str]) -> None:
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._kept.append(value)
        attributes = vars(value)
        for name in sorted(names & attributes.keys()):
            self.value(f"{label}.{name}", attributes[name], (attributes, name), names)

    def _container(
        self,
        label: str,
        value: Mapping[Any, Any] | Sequence[Any],
        slot: Slot | None,
        names: frozenset[str],
    ) -> None:
        if id(value) in self._seen or len(value) > _LONGEST_SEQUENCE:
            return
        self._seen.add(id(value))
        self._kept.append(value)
        self._guard(label, slot, value, by_identity=True)
        keys = list(value) if isinstance(value, Mapping) else range(len(value))
        # What a tuple holds cannot change, as long as it is that tuple.
        fixed = isinstance(value, tuple) and slot is not None
        for key in keys:
            self.value(f"{label}.{key}", value[key], None if fixed else (value, key), names)


def _names(code: CodeType) -> frozenset[str]:
    """Global names and attributes that the code and the functions inside it mention."""
    inner = [_names(const) for const in code.co_consts if isinstance(const, CodeType)]
    return frozenset(code.co_names).union(*inner)


def _is_foreign(file: str | None) -> bool:
    """Whether code belongs to Python, to an installed package or to picograd itself."""
    return file is None or file.startswith(_FOREIGN)


def signature_of(function: object) -> inspect.Signature:
    """The parameters that a compiled callable takes."""
    target = getattr(function, "forward", function)
    return inspect.signature(cast(Any, target))


def positional_names(signature: inspect.Signature) -> tuple[str, ...]:
    """The parameters of a function that takes just these, by position; else none."""
    parameters = signature.parameters.values()
    ordinary = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if all(parameter.kind in ordinary for parameter in parameters):
        return tuple(signature.parameters)
    return ()
