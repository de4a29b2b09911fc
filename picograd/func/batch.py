"""`vmap`: a function of one example becomes one of a whole batch.

Each value is one tensor with the batch as its first axis, though the function sees an example. An
op becomes one op for the batch by its row in `semantics.batching`; what depends on no argument
stays a single value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from xdsl.ir import Attribute

from picograd.dialects.dtypes import AnyTensor, dtype_of, tensor_type
from picograd.dialects.tensor import RandomBitsOp, TensorOp
from picograd.errors import AxisError, OptionError, ShapeError
from picograd.frontend.autodiff.levels import Level
from picograd.frontend.autodiff.tape import Var
from picograd.frontend.core import TensorCore
from picograd.frontend.functions.joining import cat
from picograd.frontend.problems import located
from picograd.frontend.storage.cells import Lifted, Value
from picograd.frontend.tensor import Tensor
from picograd.func import trees
from picograd.func.transformed import Function, Transformed, check_tensors, device_of
from picograd.semantics.batching import BATCHING, BatchCall, NeverBatched
from picograd.semantics.builder import Array

RANDOMNESS = ("error", "different", "same")


@dataclass(frozen=True, slots=True, eq=False)
class Batched(Lifted):
    """One value for each example, or one for all of them."""

    var: Var
    is_batch: bool
    example_type: AnyTensor

    @property
    def type(self) -> AnyTensor:
        return self.example_type


class BatchLevel(Level):
    """Values for a whole batch."""

    what: ClassVar[str] = "vmap"

    def __init__(self, device: str, size: int, randomness: str) -> None:
        super().__init__(device)
        self.size = size
        self.randomness = randomness

    def lifted(self, outer: Var) -> Batched:
        return Batched(outer, False, self.parent.type_of(outer))

    def batch(self, outer: Var) -> Batched:
        """A value whose first axis is the batch."""
        type = self.parent.type_of(outer)
        return Batched(outer, True, tensor_type(type.get_shape()[1:], dtype_of(type)))

    def lowered(self, value: Value) -> Var:
        assert isinstance(value, Batched)
        return value.var

    def apply(
        self,
        op: type[TensorOp],
        operands: Sequence[Value],
        properties: Mapping[str, Attribute],
        name_hint: str | None,
    ) -> Batched:
        values = [operand for operand in operands if isinstance(operand, Batched)]
        flags = [value.is_batch for value in values]
        outer = [value.var for value in values]
        draws = op is RandomBitsOp and self.randomness == "different"
        if not any(flags) and not draws:
            return self.lifted(self.parent.emit(op, outer, properties, name_hint))
        rule = BATCHING[op]
        assert not isinstance(rule, NeverBatched)
        # The op's own errors speak of examples: let it look at their types first.
        op.infer([value.type for value in values], properties)
        return self.batch(rule(self.parent, BatchCall(op, properties, outer, flags, self.size)))

    def revealed(self, value: Value) -> Array | None:
        assert isinstance(value, Batched)
        return None if value.is_batch else super().revealed(value)

    @property
    def unseen(self) -> str:
        if not self.around.runs_now:
            return self.around.unseen
        return "inside vmap, where it has a value for each example of the batch"

    def random_words(self, words: int) -> int:
        if self.randomness == "error":
            raise located(
                OptionError(
                    "a random function is called inside vmap",
                    code="PG509",
                    expected="randomness='different' or 'same', or no random numbers",
                    found="randomness='error', the default",
                    hint="vmap(f, randomness='different') draws for each example, 'same' once for "
                    "all of them",
                )
            )
        each = self.size if self.randomness == "different" else 1
        return self.around.random_words(words * each)


class _Mapped(Transformed):
    """The function that `vmap` returns."""

    def __init__(
        self,
        function: Function,
        in_dims: Any,
        out_dims: Any,
        randomness: str,
        chunk_size: int | None,
    ) -> None:
        super().__init__(function)
        self.in_dims = in_dims
        self.out_dims = out_dims
        self.randomness = randomness
        self.chunk_size = chunk_size

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        dims = trees.spread(_as_tuple(self.in_dims, args), args, "in_dims")
        leaves = trees.leaves(args)
        size = _batch_size(leaves, dims)
        if self.chunk_size is None or self.chunk_size >= size:
            return self._run(args, kwargs, leaves, dims, size)
        parts: list[Any] = []
        for start in range(0, size, self.chunk_size):
            length = min(self.chunk_size, size - start)
            cut = [
                leaf if dim is None else leaf.narrow(dim, start, length)
                for leaf, dim in zip(leaves, dims, strict=True)
            ]
            parts.append(self._run(args, kwargs, cut, dims, length))
        return self._joined(parts)

    def _run(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        leaves: Sequence[Any],
        dims: Sequence[int | None],
        size: int,
    ) -> Any:
        level = BatchLevel(device_of(leaves), size, self.randomness)
        values = [
            None if dim is None else _batch_first(level, leaf.read(), dim)
            for leaf, dim in zip(leaves, dims, strict=True)
        ]
        with level.running():
            inside = [
                leaf if value is None else Tensor(level.argument_cell(level.batch(value)))
                for leaf, value in zip(leaves, values, strict=True)
            ]
            result = self.function(*trees.rebuilt(args, inside), **kwargs)
            ends = check_tensors(result, "vmap")
            found = [cast(Batched, end.read().value) for end in ends]
        out_dims = trees.spread(self.out_dims, result, "out_dims")
        outputs = [
            end.wrap(_placed(level, value, dim))
            for end, value, dim in zip(ends, found, out_dims, strict=True)
        ]
        return trees.rebuilt(result, outputs)

    def _joined(self, parts: Sequence[Any]) -> Any:
        dims = trees.spread(self.out_dims, parts[0], "out_dims")
        pieces = zip(*(trees.leaves(part) for part in parts), strict=True)
        outputs = [
            each[0] if dim is None else cat(list(each), dim)
            for each, dim in zip(pieces, dims, strict=True)
        ]
        return trees.rebuilt(parts[0], outputs)


def _as_tuple(in_dims: Any, args: tuple[Any, ...]) -> Any:
    """A list of dimensions is accepted where the arguments are a tuple."""
    return tuple(cast(Any, in_dims)) if isinstance(in_dims, list) else in_dims


def _batch_size(leaves: Sequence[Any], dims: Sequence[Any]) -> int:
    """The size that all mapped axes share. Raises when they do not, or when there are none."""
    sizes: dict[int, int] = {}
    for position, (leaf, dim) in enumerate(zip(leaves, dims, strict=True)):
        if dim is None:
            continue
        if not isinstance(dim, int) or not isinstance(leaf, TensorCore):
            raise located(
                OptionError(
                    f"vmap: in_dims names an axis of input {position}, which is no tensor"
                    if isinstance(dim, int)
                    else "vmap: in_dims holds something other than axes",
                    code="PG508",
                    expected="an axis for each tensor to be mapped, None for everything else",
                    found=f"{dim!r} for a {type(leaf).__name__}",
                    hint="write None in in_dims for what is the same for all examples",
                )
            )
        if not -leaf.ndim <= dim < leaf.ndim:
            raise located(
                AxisError(
                    f"vmap: in_dims names axis {dim} of input {position}, which has {leaf.ndim}",
                    code="PG508",
                    expected=f"an axis of a tensor of shape {list(leaf.shape)}",
                    found=dim,
                    hint="give every mapped tensor a batch axis, or write None in in_dims",
                )
            )
        sizes[position] = leaf.shape[dim]
    if not sizes:
        raise located(
            OptionError(
                "vmap: no input is mapped",
                code="PG508",
                expected="at least one tensor with an axis in in_dims",
                found="None for all inputs" if dims else "a call without positional arguments",
                hint="map at least one argument, by position, or call the function itself",
            )
        )
    if len(set(sizes.values())) > 1:
        raise located(
            ShapeError(
                "vmap: the mapped axes have different sizes",
                code="PG102",
                expected="one batch size for all inputs",
                found=", ".join(f"{size} for input {n}" for n, size in sizes.items()),
                hint="check in_dims, and that all inputs have as many examples",
            )
        )
    return next(iter(sizes.values()))


def _batch_first(level: BatchLevel, value: Var, dim: int) -> Var:
    rank = len(level.parent.shape_of(value))
    axis = dim % rank
    return level.parent.permute(value, [axis, *(a for a in range(rank) if a != axis)])


def _placed(level: BatchLevel, value: Batched, dim: Any) -> Var:
    """An output with its batch axis where `out_dims` wants it."""
    ops, var = level.parent, value.var
    if dim is None:
        if not value.is_batch:
            return var
        raise located(
            OptionError(
                "vmap: out_dims is None for an output that differs between examples",
                code="PG508",
                expected="an axis for the batch",
                found=f"an example's output of shape {list(value.type.get_shape())}",
                hint="write the axis at which the batch shall stand, such as 0",
            )
        )
    rank = len(value.type.get_shape()) + 1
    if not isinstance(dim, int) or not -rank <= dim < rank:
        raise located(
            AxisError(
                f"vmap: out_dims names no axis of an output with {rank} axes, the batch included",
                code="PG508",
                expected=f"an axis from {-rank} to {rank - 1}, or None",
                found=dim,
                hint="count the axes of the output with the batch axis among them",
            )
        )
    if not value.is_batch:
        var = ops.broadcast(var, (level.size, *ops.shape_of(var)))
    axis = dim % rank
    return ops.permute(var, [*range(1, axis + 1), 0, *range(axis + 1, rank)])


def vmap(
    func: Function,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Transformed:
    """The function that applies `func` to every example of a batch, in one go.

    `in_dims` names the axis of each positional argument along which the examples lie, with the
    arguments' tuples, lists and dictionaries or one number for a whole branch; None: the same
    for all examples. Keyword arguments are the same for all. `out_dims` says where the batch
    stands in each output. `randomness` is "error", "different" (each example draws its own
    numbers) or "same". `chunk_size` limits how many examples are computed at a time.
    """
    if randomness not in RANDOMNESS:
        raise located(
            OptionError(
                "vmap: unknown randomness",
                code="PG509",
                expected=" or ".join(repr(choice) for choice in RANDOMNESS),
                found=repr(randomness),
                hint="choose whether examples draw different random numbers or the same",
            )
        )
    if chunk_size is not None and chunk_size < 1:
        raise located(
            OptionError(
                "vmap: chunk_size is a number of examples",
                code="PG802",
                expected="1 or more, or None for all at once",
                found=chunk_size,
                hint="leave chunk_size out unless the batch does not fit into memory",
            )
        )
    return _Mapped(func, in_dims, out_dims, randomness, chunk_size)
