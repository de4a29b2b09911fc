"""Dataclasses that take a tenth of the time to define.

The standard library writes up to seven methods of each class as text, and lets Python compile each
text: a third of a millisecond for a class, and the compiler has two hundred. Here `__init__` is
written when somebody first asks for it, and the other methods need no text of their own. What
`fields`, `replace` and `asdict` say of a class is the standard library's own work.

Options are those that are used: `frozen` and `eq`. Fields with `kw_only=True`, `init=False`,
`hash=…` or of type `InitVar` take the standard library's `dataclass`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError
from functools import partial
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, eq=True):
        """As `dataclasses.dataclass`."""
        define = partial(_define, frozen=frozen, eq=eq)
        return define if cls is None else define(cls)


__all__ = ["dataclass"]


def _define(cls: Any, *, frozen: bool, eq: bool) -> Any:
    """Make a dataclass of a class, in place."""
    own: Mapping[str, Any] = cls.__dict__
    cls.__dataclass_fields__ = _inherited(cls, frozen) | _added(cls, own, frozen=frozen, eq=eq)
    fields = dataclasses.fields(cls)
    methods: dict[str, Any] = {
        "__init__": _LateInit(cls, fields, frozen),
        "__repr__": _repr_of([each.name for each in fields if each.repr]),
        "__match_args__": tuple([each.name for each in fields]),
    }
    if eq:
        values = _values_of([each.name for each in fields if each.compare])
        # Python itself says that nothing hashes where a class says what is equal.
        if own.get("__hash__") is None and ("__hash__" not in own or "__eq__" in own):
            cls.__hash__ = _hash_of(values) if frozen else None
        methods["__eq__"] = _eq_of(values)
    for name, method in methods.items():
        if name not in own:
            setattr(cls, name, method)
    if frozen:
        _freeze(cls, frozenset(each.name for each in fields))
    return cls


def _inherited(cls: Any, frozen: bool) -> dict[str, Field[Any]]:
    """The fields of the classes that a class derives from."""
    bases: tuple[Any, ...] = cls.__mro__[:0:-1]
    found: dict[str, Field[Any]] = {}
    for base in bases:
        if "__dataclass_fields__" in base.__dict__:
            found |= base.__dict__["__dataclass_fields__"]
            if base.__dataclass_params__.frozen != frozen:
                raise TypeError(f"of {cls.__name__} and its base {base.__name__} one is frozen")
    return found


def _added(cls: Any, own: Mapping[str, Any], *, frozen: bool, eq: bool) -> dict[str, Field[Any]]:
    """The fields that a class adds: those of a class with its annotations, and nothing else.

    Where the class says `field(…)` it is given the default value, if there is one.
    """
    annotations: dict[str, Any] = dict(own.get("__annotations__", {}))
    given = {name: own[name] for name in annotations if name in own}
    words = {"__doc__": "-", "__module__": cls.__module__, "__annotations__": annotations}
    outline: Any = type(cls.__name__, (), words | given)
    dataclasses.dataclass(init=False, repr=False, eq=False)(outline)
    for each in dataclasses.fields(outline):
        if each.kw_only or not each.init or each.hash is not None:
            raise TypeError(f"{cls.__name__}.{each.name} needs the standard library's dataclass")
        if isinstance(given.get(each.name), Field):
            if each.default is MISSING:
                delattr(cls, each.name)
            else:
                setattr(cls, each.name, each.default)
    parameters = cls.__dataclass_params__ = outline.__dataclass_params__
    parameters.init = parameters.repr = True
    parameters.frozen, parameters.eq = frozen, eq
    return outline.__dataclass_fields__


class _LateInit:
    """Stands for a class's `__init__` until somebody asks for that."""

    def __init__(self, cls: Any, fields: Sequence[Field[Any]], frozen: bool) -> None:
        self._cls, self._fields, self._frozen = cls, fields, frozen

    def __get__(self, instance: object, owner: Any = None) -> Any:
        init: Any = self._cls.__dict__["__init__"]
        if init is self:
            init = self._cls.__init__ = _init_of(self._cls, self._fields, self._frozen)
        return init.__get__(instance, owner)


class _Made:
    """Stands for an argument that is not given, and is made then."""

    def __repr__(self) -> str:
        return "<factory>"


_MADE = _Made()


def _init_of(cls: Any, fields: Sequence[Field[Any]], frozen: bool) -> Any:
    """The function that stores each argument, or what stands for it, in its field."""
    known: dict[str, Any] = {"_put": object.__setattr__, "_MADE": _MADE}
    parameters: list[str] = []
    lines: list[str] = []
    for number, each in enumerate(fields):
        name = value = each.name
        parameter = name
        if each.default is not MISSING:
            known[f"_default{number}"] = each.default
            parameter += f"=_default{number}"
        elif each.default_factory is not MISSING:
            known[f"_make{number}"] = each.default_factory
            parameter += "=_MADE"
            value = f"_make{number}() if {name} is _MADE else {name}"
        parameters.append(parameter)
        lines.append(f"_put(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    text = f"def __init__({', '.join(['self', *parameters])}):\n "
    made: dict[str, Any] = {}
    exec(text + "\n ".join(lines or ["pass"]), known, made)  # noqa: S102 - names of fields only
    init = made["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    init.__annotations__ = {each.name: each.type for each in fields} | {"return": None}
    return init


def _values_of(names: list[str]) -> Any:
    """A function of an object that gives a tuple of the values of its fields."""
    if len(names) > 1:
        return attrgetter(*names)
    getters = [attrgetter(name) for name in names]

    def values(instance: object) -> tuple[Any, ...]:
        return tuple([get(instance) for get in getters])

    return values


def _eq_of(values: Any) -> Any:
    def __eq__(self: Any, other: Any) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values(self) == values(other)

    return __eq__


def _hash_of(values: Any) -> Any:
    def __hash__(self: Any) -> int:
        return hash(values(self))

    return __hash__


def _repr_of(names: list[str]) -> Any:
    @recursive_repr()
    def __repr__(self: Any) -> str:
        parts = ", ".join([f"{name}={getattr(self, name)!r}" for name in names])
        return f"{self.__class__.__qualname__}({parts})"

    return __repr__


def _freeze(cls: Any, names: frozenset[str]) -> None:
    """Let no field of an object be changed, nor anything where no class of one's own adds to it."""

    parent: Any = super

    def __setattr__(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        parent(cls, self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        parent(cls, self).__delattr__(name)

    cls.__setattr__, cls.__delattr__ = __setattr__, __delattr__
