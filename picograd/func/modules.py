"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from picograd.errors import OptionError, ShapeError
from picograd.frontend.core import TensorCore
from picograd.frontend.functions.joining import stack
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.nn.modules.module import Module

State = Mapping[str, Tensor]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: State | Sequence[State],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call the module with tensors by name in the place of its parameters and buffers.

    The module itself stays as it is. `args` is a tuple, or the only argument. With `tie_weights` a
    parameter that is in several places is replaced in all of them; with `strict` all names must be
    given. Raises OptionError for names that the module lacks.
    """
    given = _merged(parameter_and_buffer_dicts)
    present = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    unknown = sorted(given.keys() - present.keys())
    missing = sorted(present.keys() - given.keys()) if strict else []
    if unknown or missing:
        raise located(
            OptionError(
                f"the tensors given to functional_call are not those of {type(module).__name__}",
                code="PG512",
                expected=", ".join(present) or "none: it has no parameters",
                found=", ".join(
                    [f"{name} too many" for name in unknown]
                    + [f"{name} missing" for name in missing]
                ),
                hint="use the names of dict(module.named_parameters())",
            )
        )
    with _replaced(module, given, present, tied=tie_weights):
        if args is None:
            args = ()
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))


def _merged(given: State | Sequence[State]) -> dict[str, Tensor]:
    merged: dict[str, Tensor] = {}
    for state in [given] if isinstance(given, Mapping) else given:
        for name, tensor in state.items():
            if name in merged:
                raise located(
                    OptionError(
                        f"{name} is in two of the dictionaries given to functional_call",
                        code="PG512",
                        expected="each name once",
                        found=f"{name} twice",
                        hint="leave it out of one of them",
                    )
                )
            merged[name] = tensor
    return merged


@contextmanager
def _replaced(module: Module, given: State, present: State, *, tied: bool) -> Generator[None]:
    """Put other tensors into the module, for the block."""
    places = list(_places(module))
    by_identity = {id(present[name]): tensor for name, tensor in given.items()}
    changed: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for path, attributes, name in places:
            old = attributes[name]
            new = by_identity.get(id(old)) if tied else given.get(path)
            if new is not None:
                changed.append((attributes, name, old))
                attributes[name] = new
        yield
    finally:
        for attributes, name, old in changed:
            attributes[name] = old


def _places(module: Module) -> Generator[tuple[str, dict[str, Any], str]]:
    """The path, and the place, of each tensor that the module or a part of it holds."""
    for prefix, part in module.named_modules():
        attributes = vars(part)
        for name, value in list(attributes.items()):
            if isinstance(value, TensorCore):
                yield f"{prefix}.{name}" if prefix else name, attributes, name


def stack_module_state(
    models: Sequence[Module],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters, and the buffers, of modules of one kind, each stacked along a new first axis.

    With `vmap` over `functional_call` they run as one ensemble. The parameters require gradients.
    """
    if not models or len({type(model) for model in models}) > 1:
        raise located(
            ShapeError(
                "stack_module_state needs modules of one class",
                code="PG512",
                expected="at least one module, all of the same class and sizes",
                found=", ".join(type(model).__name__ for model in models) or "no module",
                hint="stack the states of modules that were made alike",
            )
        )
    parameters = [dict(model.named_parameters()) for model in models]
    buffers = [dict(model.named_buffers()) for model in models]
    stacked = {
        name: stack([state[name].detach() for state in parameters]).requires_grad_()
        for name in parameters[0]
    }
    return stacked, {name: stack([state[name] for state in buffers]) for name in buffers[0]}
