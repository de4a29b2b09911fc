"""Data sets, samplers and batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd import data
from picograd.errors import DTypeError, OptionError, ShapeError


class Squares(data.Dataset[tuple[int, float]]):
    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> tuple[int, float]:
        return index, index * index / 2


def test_batches_of_numbers() -> None:
    batches = list(data.DataLoader(Squares(), batch_size=3))
    assert len(data.DataLoader(Squares(), 3)) == len(batches) == 3
    assert [type(batch) for batch in batches] == [list] * 3
    assert batches[0][0].dtype is torch.int64 and batches[0][1].dtype is torch.float32
    assert [batch[0].tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    dropped = data.DataLoader(Squares(), 3, drop_last=True)
    assert len(dropped) == len(list(dropped)) == 2


def test_shuffling_is_seeded() -> None:
    def order(seed: int) -> list[list[int]]:
        loader = data.DataLoader(
            Squares(), 7, shuffle=True, generator=torch.Generator().manual_seed(seed)
        )
        return [batch[0].tolist() for _ in range(2) for batch in loader]

    first, second = order(1)
    assert sorted(first) == sorted(second) == list(range(7)) and first != second
    assert order(1) == [first, second] and order(2) != [first, second]


def test_tensors_are_picked_at_once(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((5, 2)), rng.integers(0, 3, 5)
    dataset = data.TensorDataset(torch.tensor(x), torch.tensor(y))
    assert len(dataset) == 5 and dataset[1][1].item() == y[1]
    found = list(data.DataLoader(dataset, 2))
    np.testing.assert_array_equal(np.concatenate([b[0].numpy() for b in found]), x)
    slow = list(data.DataLoader(dataset, 2, collate_fn=data.default_collate))
    np.testing.assert_array_equal(found[1][1].numpy(), slow[1][1].numpy())
    with pytest.raises(ShapeError, match="equally long"):
        data.TensorDataset(torch.ones(2), torch.ones(3))


def test_collating_keeps_structure() -> None:
    batch = data.default_collate(
        [
            {"a": (1, "x"), "b": [np.float64(2), torch.ones(2)]},
            {"a": (3, "y"), "b": [4.0, torch.zeros(2)]},
        ]
    )
    assert batch["a"][0].tolist() == [1, 3] and batch["a"][1] == ["x", "y"]
    assert batch["b"][0].dtype is torch.float64 and batch["b"][1].shape == (2, 2)
    with pytest.raises(DTypeError, match="do not make a batch"):
        data.default_collate([object()])


def test_samplers() -> None:
    generator = torch.Generator().manual_seed(3)
    assert list(data.SequentialSampler(range(3))) == [0, 1, 2]
    drawn = list(data.RandomSampler(range(3), True, 20, generator))
    assert len(drawn) == 20 and set(drawn) == {0, 1, 2}
    twice = list(data.RandomSampler(range(3), num_samples=5, generator=generator))
    assert len(twice) == 5 and sorted(twice[:3]) == [0, 1, 2]
    assert sorted(data.SubsetRandomSampler([4, 7, 9], generator)) == [4, 7, 9]
    heavy = data.WeightedRandomSampler([0, 1, 0], 4, generator=generator)
    assert list(heavy) == [1, 1, 1, 1] and len(heavy) == 4
    own = data.DataLoader(Squares(), sampler=[3, 1])
    assert [batch[0].item() for batch in own] == [3, 1]
    lists = data.DataLoader(Squares(), batch_sampler=[[0, 6], [2]])
    assert [batch[0].tolist() for batch in lists] == [[0, 6], [2]] and len(lists) == 2
    alone = data.DataLoader(Squares(), batch_size=None)
    assert next(iter(alone)) == (0, 0.0) and len(alone) == 7


def test_parts() -> None:
    parts = data.random_split(range(10), [0.75, 0.25], torch.Generator().manual_seed(0))
    assert [len(part) for part in parts] == [8, 2]
    assert sorted([*parts[0], *parts[1]]) == list(range(10))
    assert [len(part) for part in data.random_split(range(4), [1, 3])] == [1, 3]
    both: Any = Squares() + data.Subset(range(100), [50])
    assert len(both) == 8 and both[6] == (6, 18.0) and both[-1] == 50
    with pytest.raises(IndexError):
        both[8]
    with pytest.raises(OptionError, match="do not make up"):
        data.random_split(range(4), [1, 2])


def test_what_is_refused() -> None:
    with pytest.raises(OptionError, match="in its own process"):
        data.DataLoader(Squares(), num_workers=2)
    with pytest.raises(OptionError, match="exclude one another"):
        data.DataLoader(Squares(), shuffle=True, sampler=[0])
    with pytest.raises(OptionError, match="exclude one another"):
        data.DataLoader(Squares(), 2, batch_sampler=[[0]])
    with pytest.raises(OptionError, match="a batch holds examples"):
        data.DataLoader(Squares(), 0)
    with pytest.raises(OptionError, match="cannot be indexed"):
        data.Dataset()[0]
    with pytest.raises(OptionError, match="has no order"):
        iter(data.Sampler())
