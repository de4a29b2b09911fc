"""Batches of a data set, as `torch.utils.data.DataLoader` makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from picograd.data.datasets import Sized, TensorDataset
from picograd.data.samplers import BatchSampler, HasLength, RandomSampler, SequentialSampler
from picograd.errors import DTypeError, OptionError
from picograd.frontend.functions.creation import tensor
from picograd.frontend.functions.joining import stack
from picograd.frontend.functions.random import Generator
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Examples as one batch: tensors and arrays are stacked, numbers become tensors.

    Tuples, lists and dictionaries keep their structure, strings stay a list.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(batch)
    if isinstance(first, np.ndarray | np.generic):
        return tensor(np.stack([np.asarray(one) for one in batch]))
    if isinstance(first, bool | int | float):
        return tensor(list(batch))
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        keys = cast("Mapping[Any, Any]", first).keys()
        return {key: default_collate([one[key] for one in batch]) for key in keys}
    if isinstance(first, tuple | list):
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        kind = cast(Any, type(cast(object, first)))
        if hasattr(kind, "_fields"):
            return kind(*parts)
        return tuple(parts) if isinstance(first, tuple) else parts
    raise located(
        DTypeError(
            "examples of this kind do not make a batch",
            code="PG812",
            expected="tensors, arrays, numbers, strings, or tuples, lists and dictionaries of them",
            found=type(cast(object, first)).__name__,
            hint="pass a collate_fn that makes a batch of a list of examples",
        )
    )


class DataLoader:
    """Iterates over batches of a data set, in a new order each time if `shuffle` is set.

    Everything is read in this process: `num_workers` above 0 raises an error. A TensorDataset's
    batches are picked at once instead of row by row.
    """

    def __init__(
        self,
        dataset: Sized[Any],
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
    ) -> None:
        if num_workers:
            raise located(
                OptionError(
                    "the DataLoader reads in its own process",
                    code="PG802",
                    expected="num_workers=0",
                    found=num_workers,
                    hint="leave num_workers out; keep what is read in memory where that is slow",
                )
            )
        exclusive = batch_sampler is not None and (
            batch_size != 1 or shuffle or sampler is not None or drop_last
        )
        if exclusive or (shuffle and sampler is not None) or (batch_size is None and drop_last):
            raise located(
                OptionError(
                    "settings of the DataLoader exclude one another",
                    code="PG803",
                    expected="a batch_sampler alone, or a sampler without shuffle",
                    found=f"batch_size={batch_size}, shuffle={shuffle}, drop_last={drop_last}, "
                    f"sampler={sampler is not None}, batch_sampler={batch_sampler is not None}",
                    hint="leave out what the sampler decides already",
                )
            )
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.collate_fn = collate_fn
        if sampler is None:
            sized = cast(HasLength, dataset)
            sampler = (
                RandomSampler(sized, generator=generator) if shuffle else SequentialSampler(sized)
            )
        self.sampler = sampler
        self.batch_sampler: Iterable[Sequence[int]] | None = batch_sampler
        if batch_sampler is None and batch_size is not None:
            self.batch_sampler = BatchSampler(sampler, batch_size, drop_last)

    def __iter__(self) -> Iterator[Any]:
        if self.batch_sampler is None:
            for index in self.sampler:
                one = self.dataset[index]
                yield one if self.collate_fn is None else self.collate_fn(one)
            return
        for indices in self.batch_sampler:
            yield self._batch(list(indices))

    def _batch(self, indices: list[int]) -> Any:
        if self.collate_fn is not None:
            return self.collate_fn([self.dataset[index] for index in indices])
        tensors = _plain_tensors(self.dataset)
        if tensors:
            index = tensor(indices, device=tensors[0].device)
            return [rows.index_select(0, index) for rows in tensors]
        batch = default_collate([self.dataset[index] for index in indices])
        return list(cast("tuple[Any, ...]", batch)) if type(batch) is tuple else batch

    def __len__(self) -> int:
        batches = self.sampler if self.batch_sampler is None else self.batch_sampler
        return len(batches)  # pyright: ignore[reportArgumentType]


def _plain_tensors(dataset: Sized[Any]) -> tuple[Tensor, ...]:
    """The tensors of a TensorDataset that has no way of its own to pick examples."""
    if isinstance(dataset, TensorDataset):
        plain = type(dataset).__getitem__ is TensorDataset.__getitem__
        return dataset.tensors if plain else ()
    return ()
