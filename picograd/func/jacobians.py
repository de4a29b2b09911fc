"""Whole Jacobians: one direction at a time, all directions at once through `vmap`.

`jacrev` pulls back one gradient for each element of the output, `jacfwd` pushes one tangent for
each element of the input: take the side with fewer elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from picograd.frontend.functions.creation import eye
from picograd.frontend.tensor import Tensor
from picograd.func import trees
from picograd.func.batch import vmap
from picograd.func.forward import jvp
from picograd.func.reverse import check_differentiable, vjp
from picograd.func.transformed import (
    Argnums,
    Function,
    Transformed,
    check_tensors,
    positions,
)


class _Jacobian(Transformed):
    """A function that returns derivatives of every output element by every input element."""

    def __init__(
        self,
        function: Function,
        argnums: Argnums,
        has_aux: bool,
        chunk_size: int | None,
        randomness: str,
    ) -> None:
        super().__init__(function)
        self.argnums = argnums
        self.has_aux = has_aux
        self.chunk_size = chunk_size
        self.randomness = randomness

    def _chosen(self, args: Sequence[Any], what: str) -> list[int]:
        chosen = positions(self.argnums, len(args), what)
        for position in chosen:
            for leaf in trees.leaves(args[position]):
                check_differentiable(leaf, f"argument {position}", what)
        return chosen

    def _of_chosen(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], chosen: Sequence[int]
    ) -> Function:
        """The function of the chosen arguments alone."""

        def call(*moving: Any) -> Any:
            passed = list(args)
            for position, argument in zip(chosen, moving, strict=True):
                passed[position] = argument
            return self.function(*passed, **kwargs)

        return call

    def _arranged(
        self, blocks: Sequence[Sequence[Tensor]], output: Any, moving: Sequence[Any]
    ) -> Any:
        """Blocks, one for each pair of an output and an input, as outputs that hold inputs."""
        rows: list[Any] = []
        for row in blocks:
            each = iter(row)
            parts = [trees.mapped(argument, lambda leaf: next(each)) for argument in moving]  # noqa: B023
            rows.append(parts[0] if isinstance(self.argnums, int) else tuple(parts))
        return trees.rebuilt(output, rows)


class _ByRows(_Jacobian):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        chosen = self._chosen(args, "jacrev")
        moving = [args[position] for position in chosen]
        function = self._of_chosen(args, kwargs, chosen)
        output, pullback, *aux = vjp(function, *moving, has_aux=self.has_aux)
        ends, inputs = check_tensors(output, "jacrev"), trees.leaves(moving)
        basis = trees.rebuilt(output, _basis(ends))

        def pull(seeds: Any) -> list[Any]:
            return trees.leaves(pullback(seeds))

        rows = vmap(pull, chunk_size=self.chunk_size)(basis)
        blocks: list[list[Tensor]] = []
        start = 0
        for end in ends:
            size = prod(end.shape)
            blocks.append(
                [
                    part.narrow(0, start, size).reshape(*end.shape, *leaf.shape)
                    for part, leaf in zip(rows, inputs, strict=True)
                ]
            )
            start += size
        found = self._arranged(blocks, output, moving)
        return (found, *aux) if self.has_aux else found


class _ByColumns(_Jacobian):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        chosen = self._chosen(args, "jacfwd")
        moving = tuple(args[position] for position in chosen)
        function = self._of_chosen(args, kwargs, chosen)
        inputs = trees.leaves(moving)

        def push(*directions: Any) -> Any:
            tangents = trees.rebuilt(moving, directions)
            _, slopes, *aux = jvp(function, moving, tangents, has_aux=self.has_aux)
            return slopes, aux

        out_dims: Any = (0, [None] if self.has_aux else [])
        run = vmap(push, 0, out_dims, self.randomness, chunk_size=self.chunk_size)
        slopes, aux = run(*_basis(inputs))
        columns = check_tensors(slopes, "jacfwd")
        blocks: list[list[Tensor]] = []
        for column in columns:
            row: list[Tensor] = []
            start = 0
            for leaf in inputs:
                size = prod(leaf.shape)
                part = column.narrow(0, start, size)
                last = part.permute(*range(1, part.ndim), 0)
                row.append(last.reshape(*column.shape[1:], *leaf.shape))
                start += size
            blocks.append(row)
        found = self._arranged(blocks, slopes, moving)
        return (found, *aux) if self.has_aux else found


def _basis(tensors: Sequence[Tensor]) -> list[Tensor]:
    """For each tensor a batch of tensors like it: in the n-th example of all these batches the
    n-th of all elements is 1, everything else 0.
    """
    total = sum(prod(tensor.shape) for tensor in tensors)
    batches: list[Tensor] = []
    start = 0
    for tensor in tensors:
        size = prod(tensor.shape)
        unit = eye(total, dtype=tensor.dtype, device=tensor.device)
        batches.append(unit.narrow(1, start, size).reshape(total, *tensor.shape))
        start += size
    return batches


def jacrev(
    func: Function,
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
) -> Transformed:
    """The function that returns the Jacobian of `func`, by reverse mode.

    The derivative of an output of shape S by an argument of shape T has shape [*S, *T]. Outputs in
    tuples, lists and dictionaries give such, each holding the arguments' structure. `chunk_size`
    limits how many rows are computed at a time.
    """
    return _ByRows(func, argnums, has_aux, chunk_size, "error")


def jacfwd(
    func: Function,
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    randomness: str = "error",
) -> Transformed:
    """As `jacrev`, by forward mode; `randomness` as for `vmap`."""
    return _ByColumns(func, argnums, has_aux, chunk_size, randomness)


def hessian(func: Function, argnums: Argnums = 0) -> Transformed:
    """The function that returns the second derivatives of `func`: `jacfwd` of `jacrev`."""
    return jacfwd(jacrev(func, argnums), argnums)
