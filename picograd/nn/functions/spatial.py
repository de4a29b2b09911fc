"""What convolutions, pools and their like share: sizes per axis, batches, error messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from picograd.errors import OptionError, PicogradError, ShapeError
from picograd.frontend.autodiff.tape import Var
from picograd.frontend.functions.joining import checked
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor

Sizes: TypeAlias = int | Sequence[int]


def per_axis(
    what: str,
    name: str,
    value: Sizes,
    axes: int,
    least: int,
    error: type[PicogradError] = ShapeError,
) -> tuple[int, ...]:
    """One number for each spatial axis, from one for all or a sequence.

    Raises `error` (PyTorch's kind) where there are more or fewer, or one is below `least`.
    """
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) == 1:
        values *= axes
    if len(values) != axes or any(number < least for number in values):
        raise located(
            error(
                f"{what}: `{name}` is one whole number, or one for each spatial axis",
                expected=f"1 or {axes} numbers of at least {least}",
                found=value,
                hint=f"pass {name}={max(least, 1)} or {name}={(max(least, 1),) * axes}",
            )
        )
    return values


def with_batch(what: str, input: Tensor, axes: int) -> tuple[Tensor, bool]:
    """The input [N, C, *S], and whether the batch axis was added to an input [C, *S]."""
    checked(input, what)
    if input.ndim not in (axes + 1, axes + 2):
        raise located(
            ShapeError(
                f"{what} takes {axes} spatial axes, channels, and maybe a batch",
                code="PG104",
                expected=f"a tensor of rank {axes + 1} or {axes + 2}",
                found=f"rank {input.ndim}, {list(input.shape)}",
                hint="add what is missing with unsqueeze(), or join axes with flatten()",
            )
        )
    alone = input.ndim == axes + 1
    return (input.unsqueeze(0) if alone else input), alone


def without_batch(x: Tensor, value: Var, alone: bool) -> Tensor:
    """The value as a tensor like `x`, without the batch axis that `with_batch` added."""
    result = x.wrap(value)
    return result.squeeze(0) if alone else result


def one_of(what: str, name: str, value: str, known: Sequence[str]) -> None:
    """Raise OptionError unless a word is one of those that are known."""
    if value not in known:
        raise located(
            OptionError(
                f"{what} knows no {name} {value!r}",
                code="PG801",
                expected=" or ".join(map(repr, known)),
                found=value,
                hint=f"pass {name}={known[0]!r}",
            )
        )
