"""What all transformations share: the callable they return, and the way in and out of a level."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import update_wrapper
from types import MethodType
from typing import Any, TypeAlias, cast

from picograd.errors import OptionError
from picograd.frontend.autodiff.levels import Level
from picograd.frontend.autodiff.tape import Var
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.devices import default_device
from picograd.frontend.problems import located
from picograd.frontend.tracing.watch import Watched
from picograd.func import trees

Function: TypeAlias = Callable[..., Any]
Argnums: TypeAlias = int | tuple[int, ...]


class Transformed(Watched):
    """A function that a transformation returned.

    It is watched, so that a compiled function depends on what the transformed one closes over.
    """

    def __init__(self, function: Function) -> None:
        update_wrapper(self, function, updated=())
        self.function = function

    @abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def watched(self) -> Iterable[tuple[str, Any, Any]]:
        own = vars(self)
        reached = [(name, own, name) for name in own if not name.startswith("__")]
        if isinstance(self.function, MethodType):
            reached.append(("self", {"self": self.function.__self__}, "self"))
        return reached


def device_of(*values: object) -> str:
    """Where the first of the tensors lives."""
    found = trees.tensors(values)
    return found[0].device if found else default_device()


def split_aux(result: object, what: str) -> tuple[Any, Any]:
    """The two parts of what a function with `has_aux` returns. Raises OptionError."""
    pair = cast(tuple[Any, ...], result if isinstance(result, tuple) else ())
    if len(pair) != 2:
        raise located(
            OptionError(
                f"{what} with has_aux=True needs a function that returns a pair",
                code="PG511",
                expected="(output, aux)",
                found=type(cast(object, result)).__name__,
                hint="return the output and what else you want to see, or leave has_aux out",
            )
        )
    return pair[0], pair[1]


def positions(argnums: Argnums, count: int, what: str) -> list[int]:
    """The chosen arguments, counted from 0. Raises OptionError for one that does not exist."""
    chosen = [argnums] if isinstance(argnums, int) else list(argnums)
    for number in chosen:
        if not -count <= number < count:
            raise located(
                OptionError(
                    f"{what}: argument {number} does not exist",
                    code="PG510",
                    expected=f"argnums among the {count} positional arguments of the call",
                    found=f"argnums={argnums}",
                    hint="pass the arguments to differentiate by position",
                )
            )
    return [number % count for number in chosen]


def check_tensors(result: object, what: str) -> list[Any]:
    """The leaves, all of them tensors. Raises OptionError."""
    found = trees.leaves(result)
    for leaf in found:
        if not isinstance(leaf, TensorCore):
            raise located(
                OptionError(
                    f"{what} needs a function that returns tensors",
                    code="PG511",
                    expected="a tensor, or tuples, lists and dictionaries of tensors",
                    found=type(leaf).__name__,
                    hint="return torch.tensor(…), or what is no tensor through has_aux=True",
                )
            )
    return found


def outer_value(level: Level, tensor: Any) -> Var:
    """What a tensor stands for around the level; to be called within it."""
    return level.lowered(tensor.read().value)


def left(level: Level, tree: object) -> Any:
    """The tensors of a result as tensors of the mode around; to be called after the level.

    Tensors that the function did not make are returned as they are.
    """
    inside: Sequence[Any] = [leaf for leaf in trees.tensors(tree) if leaf.cell.trace is level]
    with level.running():
        values = {id(leaf): outer_value(level, leaf) for leaf in inside}
    return trees.mapped(
        tree, lambda leaf: leaf.wrap(values[id(leaf)]) if id(leaf) in values else leaf
    )
