"""Data sets that are asked for one example at a time, as in `torch.utils.data`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Generic, Protocol, TypeVar, cast

from picograd.data.samplers import permutation
from picograd.errors import OptionError, ShapeError
from picograd.frontend.functions.random import Generator
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor

T_co = TypeVar("T_co", covariant=True)


class Sized(Protocol[T_co]):
    """What has a length and elements by number: a Dataset, a list, an array."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> T_co: ...


class Dataset(Generic[T_co]):
    """Base of data sets: a subclass defines `__len__` and `__getitem__`."""

    def __getitem__(self, index: int) -> T_co:
        raise located(
            OptionError(
                f"{type(self).__name__} cannot be indexed",
                code="PG804",
                expected="a method __getitem__(self, index), and __len__(self)",
                found="neither in the class",
                hint="define how the data set reads one example",
            )
        )

    def __add__(self, other: Sized[Any]) -> ConcatDataset:
        return ConcatDataset([cast(Any, self), other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Rows of tensors of equal length."""

    def __init__(self, *tensors: Tensor) -> None:
        lengths = [tensor.shape[0] if tensor.ndim else None for tensor in tensors]
        if len(set(lengths)) != 1 or None in lengths:
            raise located(
                ShapeError(
                    "the tensors of a data set are equally long",
                    code="PG812",
                    expected="one size of the first axis",
                    found=[list(tensor.shape) for tensor in tensors],
                    hint="pass one row of every tensor for each example",
                )
            )
        self.tensors = tensors

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)


class Subset(Dataset[T_co]):
    """The examples of a data set that have these numbers."""

    def __init__(self, dataset: Sized[T_co], indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> T_co:
        return self.dataset[self.indices[index]]


class ConcatDataset(Dataset[Any]):
    """Data sets one after another."""

    def __init__(self, datasets: Sequence[Sized[Any]]) -> None:
        self.datasets = list(datasets)
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1] if self.cumulative_sizes else 0

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        index %= len(self)
        for dataset in self.datasets:
            if index < len(dataset):
                return dataset[index]
            index -= len(dataset)
        raise AssertionError("the sizes of the data sets have changed")


def random_split(
    dataset: Sized[T_co], lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset[T_co]]:
    """Disjoint random parts of these lengths, which are numbers of examples or shares of them.

    Shares add up to 1; what rounding down leaves is dealt out one by one from the first part on.
    """
    count = len(dataset)
    if abs(sum(lengths) - 1) < 1e-6 and all(0 <= length <= 1 for length in lengths):
        sizes = [int(count * share) for share in lengths]
        for number in range(count - sum(sizes)):
            sizes[number % len(sizes)] += 1
    else:
        sizes = [int(length) for length in lengths]
    if sum(sizes) != count or any(size < 0 for size in sizes):
        raise located(
            OptionError(
                "the parts do not make up the data set",
                code="PG105",
                expected=f"lengths that add up to {count}, or shares that add up to 1",
                found=list(lengths),
                hint="pass for instance [0.8, 0.2]",
            )
        )
    order = permutation(count, generator)
    ends = list(accumulate(sizes))
    return [Subset(dataset, order[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
