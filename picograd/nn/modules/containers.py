"""Modules and parameters in lists and dictionaries, as in `torch.nn`."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, overload

from picograd.errors import AxisError, OptionError
from picograd.frontend.problems import located
from picograd.nn.modules.module import Module, Parameter


class _Numbered(Module):
    """Parts whose names are their numbers, in order."""

    _part: type[Any] = Module

    def _parts(self) -> list[Any]:
        return [value for value in vars(self).values() if isinstance(value, self._part)]

    def _renumber(self, parts: Iterable[Any]) -> None:
        kept = list(parts)
        for name in [name for name in vars(self) if name.isdigit()]:
            delattr(self, name)
        for number, part in enumerate(kept):
            setattr(self, str(number), self._checked(part))

    def _checked(self, part: object) -> Any:
        if not isinstance(part, self._part):
            raise located(
                OptionError(
                    f"{type(self).__name__} holds {self._part.__name__.lower()}s",
                    code="PG809",
                    expected=self._part.__name__,
                    found=type(part).__name__,
                    hint="functions become modules when a class derived from Module calls them",
                )
            )
        return part

    def _place(self, index: int) -> int:
        size = len(self)
        if not -size <= index < size:
            raise located(
                AxisError(
                    f"{type(self).__name__} has no element {index}",
                    code="PG809",
                    expected=f"-{size} <= index < {size}",
                    found=index,
                    hint="len() tells how many there are",
                )
            )
        return index % size

    def append(self, part: Any) -> Self:
        """Add a part at the end."""
        setattr(self, str(len(self)), self._checked(part))
        return self

    def extend(self, parts: Iterable[Any]) -> Self:
        """Add several parts at the end."""
        for part in list(parts):
            self.append(part)
        return self

    def __len__(self) -> int:
        return len(self._parts())

    def __setitem__(self, index: int, part: Any) -> None:
        setattr(self, str(self._place(index)), self._checked(part))

    def __delitem__(self, index: int) -> None:
        place = self._place(index)
        self._renumber(part for number, part in enumerate(self._parts()) if number != place)


class Sequential(Module):
    """Modules one after another; their names are their numbers, or the keys of one dictionary."""

    def __init__(self, *args: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for module in args:
                self.append(module)

    def forward(self, input: Any) -> Any:
        for module in self.children():
            input = module(input)
        return input

    def append(self, module: object) -> Self:
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise located(
                OptionError(
                    "Sequential holds modules",
                    code="PG809",
                    expected="Module",
                    found=type(module).__name__,
                    hint="use nn.ReLU() instead of F.relu, or write a Module with this function",
                )
            )
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            named = list(self.named_children())[index]
            return Sequential(dict(named)) if named else Sequential()
        modules = list(self.children())
        if not -len(modules) <= index < len(modules):
            raise located(
                AxisError(
                    f"Sequential has no module {index}",
                    code="PG809",
                    expected=f"-{len(modules)} <= index < {len(modules)}",
                    found=index,
                    hint="len() tells how many there are",
                )
            )
        return modules[index]


class ModuleList(_Numbered):
    """A list of modules whose parameters count as the owner's."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def insert(self, index: int, module: Module) -> None:
        """Add a module before the one at an index."""
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._parts())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return ModuleList(self._parts()[index])
        return self._parts()[self._place(index)]

    def repr_of_children(self) -> list[str]:
        """Equal neighbours share a line, as in PyTorch: `(0-2): 3 x ReLU()`."""
        groups: list[tuple[int, int, str]] = []
        for number, module in enumerate(self):
            text = repr(module)
            if groups and groups[-1][2] == text:
                groups[-1] = (groups[-1][0], number, text)
            else:
                groups.append((number, number, text))
        return [
            f"({first}): {text}"
            if first == last
            else f"({first}-{last}): {last - first + 1} x {text}"
            for first, last, text in groups
        ]


class ParameterList(_Numbered):
    """A list of parameters that count as the owner's."""

    _part = Parameter

    def __init__(self, values: Iterable[Parameter] = ()) -> None:
        super().__init__()
        self.extend(values)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parts())

    def __getitem__(self, index: int) -> Parameter:
        return self._parts()[self._place(index)]

    def repr_of_children(self) -> list[str]:
        return [
            f"({number}): Parameter containing: [{value.dtype!r} of size "
            f"{'x'.join(str(size) for size in value.shape)}]"
            for number, value in enumerate(self)
        ]


class ModuleDict(Module):
    """Modules by name, whose parameters count as the owner's."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add or replace modules."""
        for name, module in modules.items():
            self[name] = module

    def _modules(self) -> dict[str, Module]:
        return dict(self.named_children())

    def __getitem__(self, key: str) -> Module:
        modules = self._modules()
        if key not in modules:
            raise located(
                OptionError(
                    f"ModuleDict has no module {key!r}",
                    code="PG809",
                    expected=", ".join(modules) or "nothing, it is empty",
                    found=key,
                    hint="keys() lists the names",
                )
            )
        return modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        _ = self[key]  # raises when there is none
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules())

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules())

    def __contains__(self, key: object) -> bool:
        return key in self._modules()

    def keys(self) -> KeysView[str]:
        """The names, in the order in which they were added."""
        return self._modules().keys()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._modules().values()

    def items(self) -> ItemsView[str, Module]:
        """Names and modules."""
        return self._modules().items()

    def pop(self, key: str) -> Module:
        """Remove a module and return it."""
        module = self[key]
        del self[key]
        return module
