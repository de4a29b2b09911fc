"""The order in which examples are read, as in `torch.utils.data`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from picograd.errors import OptionError
from picograd.frontend.methods.generators import Generator, numpy_generator
from picograd.frontend.problems import located


class HasLength(Protocol):
    """Whatever tells how many examples it holds."""

    def __len__(self) -> int: ...


def permutation(count: int, generator: Generator | None) -> list[int]:
    """0 to count - 1 in random order."""
    return [int(index) for index in numpy_generator(generator).permutation(count)]


class Sampler:
    """Base of samplers: yields the numbers of examples."""

    def __iter__(self) -> Iterator[int]:
        raise located(
            OptionError(
                f"{type(self).__name__} has no order",
                code="PG804",
                expected="a method __iter__(self)",
                found="none in the class",
                hint="define how the sampler yields the numbers of examples",
            )
        )


class SequentialSampler(Sampler):
    """The examples in their order."""

    def __init__(self, data_source: HasLength) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """The examples in a new random order each time; with `replacement` any of them again."""

    def __init__(
        self,
        data_source: HasLength,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source, self.replacement = data_source, replacement
        self.generator = generator
        self._num_samples = num_samples

    def __iter__(self) -> Iterator[int]:
        count = len(self.data_source)
        if self.replacement:
            drawn = numpy_generator(self.generator).integers(0, count, len(self))
            yield from (int(index) for index in drawn)
            return
        left = len(self)
        while left > 0:
            yield from permutation(count, self.generator)[:left]
            left -= count

    def __len__(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples


class SubsetRandomSampler(Sampler):
    """These examples in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        return (self.indices[place] for place in permutation(len(self.indices), self.generator))

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Examples drawn with probabilities that are proportional to weights."""

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.weights, self.num_samples = np.asarray(weights, np.float64), num_samples
        self.replacement, self.generator = replacement, generator

    def __iter__(self) -> Iterator[int]:
        rng = numpy_generator(self.generator)
        shares = self.weights / self.weights.sum()
        drawn = rng.choice(len(shares), self.num_samples, self.replacement, shares)
        return (int(index) for index in drawn)

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler:
    """Lists of `batch_size` numbers; the last one is shorter, or left out by `drop_last`."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        if batch_size < 1:
            raise located(
                OptionError(
                    "a batch holds examples",
                    code="PG802",
                    expected="batch_size >= 1",
                    found=batch_size,
                    hint="pass how many examples one step gets",
                )
            )
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # pyright: ignore[reportArgumentType]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
