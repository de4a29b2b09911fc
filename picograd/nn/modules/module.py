"""Modules: objects that hold parameters and other modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Self, cast

from picograd.dialects.dtypes import DType, bfloat16, float16, float32, float64
from picograd.errors import DTypeError, OptionError, StateError
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.mode import SETTINGS, set_recording
from picograd.frontend.problems import located
from picograd.frontend.storage.signature import forget_signatures
from picograd.frontend.tensor import Tensor
from picograd.frontend.tracing.watch import Watched


class Parameter(Tensor):
    """A tensor that a module owns and an optimizer changes; it shares storage with `data`."""

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        super().__init__(data.cell, data.views, tracked_from=len(data.views))
        if requires_grad:
            self.requires_grad_()

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class IncompatibleKeys(NamedTuple):
    """The names that a module and a state do not share."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class HookHandle:
    """Takes a hook of a module away again."""

    def __init__(self, module: Module, kind: str, hook: object) -> None:
        self._module, self._kind, self._hook = module, kind, hook

    def remove(self) -> None:
        """Remove the hook; nothing happens the second time."""
        hooks = tuple(hook for hook in getattr(self._module, self._kind) if hook is not self._hook)
        setattr(self._module, self._kind, hooks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Module(Watched):
    """Base of all modules.

    A subclass sets parameters and modules as attributes and defines `forward`.
    """

    training: bool = True
    _buffer_names: Mapping[str, bool] = MappingProxyType({})
    """The names of buffers, in order, and whether each is saved with the state."""
    _hooks_before: tuple[Callable[[Any, Any], Any], ...] = ()
    _hooks_after: tuple[Callable[[Any, Any, Any], Any], ...] = ()

    def __init__(self) -> None:
        self.training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What a call of the module computes."""
        raise located(
            OptionError(
                f"{type(self).__name__} has no forward",
                code="PG804",
                expected="a method `forward`",
                found="a call of the module",
                hint="define forward(self, …) in the class, or call a part of the module",
            )
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for hook in self._hooks_before:
            changed = hook(self, args)
            if changed is not None:
                args = cast(tuple[Any, ...], changed if isinstance(changed, tuple) else (changed,))
        result = self.forward(*args, **kwargs)
        for hook in self._hooks_after:
            changed = hook(self, args, result)
            result = result if changed is None else changed
        trace = SETTINGS.trace
        if trace is not None and isinstance(result, TensorCore):
            trace.suggest_name(self, result.read().value)
        return result

    def register_forward_pre_hook(self, hook: Callable[[Any, Any], Any]) -> HookHandle:
        """Call `hook(module, args)` before each call; it may return other arguments."""
        self._hooks_before = (*self._hooks_before, hook)
        return HookHandle(self, "_hooks_before", hook)

    def register_forward_hook(self, hook: Callable[[Any, Any, Any], Any]) -> HookHandle:
        """Call `hook(module, args, output)` after each call; it may return another output.

        In a compiled function it runs while the function is traced.
        """
        self._hooks_after = (*self._hooks_after, hook)
        return HookHandle(self, "_hooks_after", hook)

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

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """An attribute that moves with the module but is not trained; None is none yet.

        It belongs to the state unless `persistent` is False.
        """
        self._check_name(name)
        self._buffer_names = {**self._buffer_names, name: persistent}
        setattr(self, name, tensor)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set an attribute that is a parameter, or None."""
        self._check_name(name)
        setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """Set an attribute that is a module, or None."""
        self._check_name(name)
        setattr(self, name, module)

    def _check_name(self, name: str) -> None:
        taken = name not in vars(self) and hasattr(type(self), name)
        if not name or "." in name or taken:
            raise located(
                OptionError(
                    f"{name!r} cannot name a part of a module",
                    code="PG809",
                    expected="a name without dots that the class does not use for itself",
                    found=f"{name!r} in {type(self).__name__}",
                    hint="choose another name",
                )
            )

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """All buffers, each once, with their paths."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name in module._buffer_names:
                value = getattr(module, name)
                if value is not None and id(value) not in seen:
                    seen.add(id(value))
                    yield _join(path, name), value

    def buffers(self) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers())

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as `net.0`. Raises OptionError where there is none."""
        module = self
        for name in target.split(".") if target else ():
            found = vars(module).get(name)
            if not isinstance(found, Module):
                raise located(
                    OptionError(
                        f"{type(self).__name__} has no module `{target}`",
                        code="PG809",
                        expected=", ".join(path for path, _ in self.named_modules() if path),
                        found=target,
                        hint="named_modules() lists the paths",
                    )
                )
            module = found
        return module

    # State

    def _state(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """What is saved, under every path that leads to it."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield _join(prefix, name), value
        for name, persistent in self._buffer_names.items():
            value = getattr(self, name)
            if persistent and value is not None:
                yield _join(prefix, name), value
        for name, child in self.named_children():
            yield from child._state(_join(prefix, name))

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers by path, detached; they share storage with the module."""
        return {name: value.detach() for name, value in self._state()}

    def load_state_dict(
        self, state_dict: Mapping[str, Tensor], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values into the parameters and buffers, and tell which names did not fit.

        Raises StateError, before anything is copied, when shapes differ, or when, being strict,
        names are missing or unexpected.
        """
        mine = dict(self._state())
        keys = IncompatibleKeys(
            [name for name in mine if name not in state_dict],
            [name for name in state_dict if name not in mine],
        )
        common = [name for name in mine if name in state_dict]
        faults = [
            f"{name} is {list(state_dict[name].shape)} and should be {list(mine[name].shape)}"
            for name in common
            if mine[name].shape != state_dict[name].shape
        ]
        if strict and keys.unexpected_keys:
            faults.insert(0, "unexpected: " + ", ".join(keys.unexpected_keys))
        if strict and keys.missing_keys:
            faults.insert(0, "missing: " + ", ".join(keys.missing_keys))
        if faults:
            raise located(
                StateError(
                    f"the state does not fit {type(self).__name__}",
                    code="PG806",
                    expected=", ".join(mine),
                    found="; ".join(faults),
                    hint="load into a model that was built the same way; strict=False passes "
                    "over names, not over shapes",
                )
            )
        with set_recording(False):
            for name in common:
                mine[name].copy_(state_dict[name].to(device=mine[name].device))
        return keys

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
                    code="PG210",
                    expected="a float dtype, such as float32",
                    found=dtype.name,
                    hint="pass a float dtype; convert single tensors with Tensor.to",
                )
            )
        for tensor in (*self.parameters(), *self.buffers()):
            move_storage(tensor, dtype if tensor.dtype.is_float else None, device)
        return self

    def float(self) -> Self:
        """Parameters and buffers in float32."""
        return self.to(float32)

    def double(self) -> Self:
        """Parameters and buffers in float64."""
        return self.to(float64)

    def half(self) -> Self:
        """Parameters and buffers in float16."""
        return self.to(float16)

    def bfloat16(self) -> Self:
        """Parameters and buffers in bfloat16."""
        return self.to(bfloat16)

    def cpu(self) -> Self:
        """Parameters and buffers on the device "cpu"."""
        return self.to("cpu")

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
        name, extra = type(self).__name__, self.extra_repr()
        inner = self.repr_of_children()
        if not inner:
            return f"{name}({extra})"
        lines = [*(extra.split("\n") if extra else ()), *inner]
        body = "\n".join(lines).replace("\n", "\n  ")
        return f"{name}(\n  {body}\n)"

    def repr_of_children(self) -> list[str]:
        """The lines that show the modules inside."""
        return [f"({name}): {child!r}" for name, child in self.named_children()]


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
    cell.rehouse(moved.read().value, moved.cell.type, moved.cell.device)
    forget_signatures()
    cell.version += 1
    tensor.requires_grad_(tracked)
    tensor.grad = moved_grad
