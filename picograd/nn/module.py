"""Modules: objects that hold parameters and other modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, overload

from picograd.dialects.dtypes import DType
from picograd.errors import DTypeError, OptionError, ShapeError
from picograd.frontend.core import TensorCore
from picograd.frontend.modes import SETTINGS, set_recording
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.frontend.watch import Watched


class Parameter(Tensor):
    """A tensor that a module owns and an optimizer changes; it shares storage with `data`."""

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        super().__init__(data.cell, data.views, tracked_from=len(data.views))
        if requires_grad:
            self.requires_grad_()

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Module(Watched):
    """Base of all modules.

    A subclass sets parameters and modules as attributes and defines `forward`.
    """

    training: bool = True
    _buffer_names: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What a call of the module computes."""
        raise located(
            OptionError(
                f"{type(self).__name__} has no forward",
                expected="a method `forward`",
                found="a call of the module",
                hint="define forward(self, …) in the class, or call a part of the module",
            )
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self.forward(*args, **kwargs)
        trace = SETTINGS.trace
        if trace is not None and isinstance(result, TensorCore):
            trace.suggest_name(self, result.read().value)
        return result

    def watched(self) -> Iterable[tuple[str, Any, Any]]:
        attributes = vars(self)
        return [(name, attributes, name) for name in attributes]

    # Parts

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes, in the order of their assignment."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules that are attributes."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all inside of it, each once, with paths such as `net.0`."""
        seen: set[int] = set()
        stack = [(prefix, self)]
        while stack:
            path, module = stack.pop(0)
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            inner = [(_join(path, name), child) for name, child in module.named_children()]
            stack = inner + stack

    def modules(self) -> Iterator[Module]:
        """This module and all inside of it."""
        return (module for _, module in self.named_modules())

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """All parameters, each once, with paths such as `net.0.weight`."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield _join(path, name), value

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def register_buffer(self, name: str, value: Tensor) -> None:
        """An attribute that belongs to the state, but is not trained."""
        self._buffer_names = self._buffer_names | {name}
        setattr(self, name, value)

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """All buffers, with their paths."""
        for path, module in self.named_modules(prefix):
            for name in sorted(module._buffer_names):
                yield _join(path, name), getattr(module, name)

    # State

    def _state(self) -> dict[str, Tensor]:
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers by path, detached; they share storage with the module."""
        return {name: value.detach() for name, value in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Tensor], strict: bool = True) -> None:
        """Copy values into the parameters and buffers.

        Raises OptionError when, being strict, names are missing or unknown; ShapeError when
        shapes differ.
        """
        mine = self._state()
        missing = [name for name in mine if name not in state]
        unknown = [name for name in state if name not in mine]
        if strict and (missing or unknown):
            raise located(
                OptionError(
                    f"the state does not fit {type(self).__name__}",
                    expected=", ".join(mine),
                    found=f"missing: {missing}, unknown: {unknown}",
                    hint="pass strict=False to load what fits",
                )
            )
        for name in [name for name in mine if name in state]:
            if mine[name].shape != state[name].shape:
                raise located(
                    ShapeError(
                        f"`{name}` has another shape in the state",
                        expected=list(mine[name].shape),
                        found=list(state[name].shape),
                        hint="load into a model that was built with the same sizes",
                    )
                )
        with set_recording(False):
            for name, value in mine.items():
                if name in state:
                    value.copy_(state[name].to(device=value.device))

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and in all modules inside."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """As train(False)."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Train the parameters, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros."""
        for parameter in self.parameters():
            clear_grad(parameter, set_to_none)

    def to(
        self,
        target: str | DType | None = None,
        *,
        dtype: DType | None = None,
        device: str | None = None,
    ) -> Self:
        """Move parameters and buffers to a device, floats also to a dtype, in place."""
        if isinstance(target, DType):
            dtype = target
        elif target is not None:
            device = str(target)
        if dtype is not None and not dtype.is_float:
            raise located(
                DTypeError(
                    "modules have floating point parameters",
                    expected="float32 or float64",
                    found=dtype.name,
                    hint="pass a float dtype; convert single tensors with Tensor.to",
                )
            )
        for tensor in self._state().values():
            move_storage(tensor, dtype if tensor.dtype.is_float else None, device)
        return self

    def apply(self, function: Callable[[Module], object]) -> Self:
        """Call a function on all modules inside, then on this one."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # Printing

    def extra_repr(self) -> str:
        """What stands in the parentheses when the module is printed."""
        return ""

    def __repr__(self) -> str:
        lines = [
            f"  ({name}): " + repr(child).replace("\n", "\n  ")
            for name, child in self.named_children()
        ]
        head = f"{type(self).__name__}({self.extra_repr()}"
        return head + (("\n" + "\n".join(lines) + "\n)") if lines else ")")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def clear_grad(tensor: Tensor, set_to_none: bool) -> None:
    """Forget a gradient, or fill it with zeros."""
    if set_to_none:
        tensor.grad = None
    elif tensor.grad is not None:
        with set_recording(False):
            tensor.grad.zero_()


def move_storage(tensor: Tensor, dtype: DType | None, device: str | None) -> None:
    """Convert a tensor's storage in place, so that all who hold the tensor see it."""
    tracked, grad = tensor.requires_grad, tensor.grad
    with set_recording(False):
        moved = tensor.detach().to(dtype=dtype, device=device).contiguous()
        moved_grad = None if grad is None else grad.to(dtype=dtype, device=device)
    if moved.cell is tensor.cell:
        return
    tensor.requires_grad_(False)
    cell = tensor.cell
    cell.value, cell.type, cell.device = moved.cell.value, moved.cell.type, moved.cell.device
    cell.version += 1
    tensor.requires_grad_(tracked)
    tensor.grad = moved_grad


class Sequential(Module):
    """Modules one after another; their names are their numbers."""

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for number, module in enumerate(modules):
            setattr(self, str(number), module)

    def forward(self, x: Tensor) -> Tensor:
        for module in self.children():
            x = module(x)
        return x

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int) -> Module:
        return list(self.children())[index]


class ModuleList(Module):
    """A list of modules whose parameters count as the owner's."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        setattr(self, str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Module]: ...
    def __getitem__(self, index: int | slice) -> Module | Sequence[Module]:
        return list(self.children())[index]
