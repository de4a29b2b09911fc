"""Delta debugging on lists of numbers: what is left is needed, item by item, and found quickly."""

from collections.abc import Sequence

import numpy as np
import pytest

from picograd.check.reduce.chunks import fewest


def counted(needed: set[int]) -> tuple[list[int], list[Sequence[int]]]:
    """What is left of a hundred numbers when `needed` must be among them, and what was tried."""
    tried: list[Sequence[int]] = []

    def happens(items: Sequence[int]) -> bool:
        tried.append(items)
        return needed <= set(items)

    return fewest(range(100), happens), tried


@pytest.mark.parametrize("needed", [{0}, {99}, {37}, {3, 4}, {0, 99}, {10, 50, 51, 90}])
def test_exactly_what_is_needed_is_left(needed: set[int]) -> None:
    left, _ = counted(needed)
    assert left == sorted(needed)


def test_a_few_neighbours_are_found_in_few_steps() -> None:
    _, tried = counted({41, 42, 43})
    assert len(tried) < 60


def test_nothing_is_left_of_what_happens_anyway() -> None:
    left, tried = counted(set())
    assert left == [] and len(tried) == 1


def test_nothing_goes_where_all_is_needed() -> None:
    assert fewest("abcde", lambda items: len(items) == 5) == list("abcde")
    assert fewest([], lambda items: False) == []
    assert fewest(["a"], lambda items: bool(items)) == ["a"]


def test_random_needs_are_met_and_no_item_can_go(rng: np.random.Generator) -> None:
    for _ in range(20):
        alternatives = [set(rng.choice(60, 3).tolist()) for _ in range(3)]

        def happens(items: Sequence[int], alternatives: list[set[int]] = alternatives) -> bool:
            return any(needed <= set(items) for needed in alternatives)

        left = fewest(range(60), happens)
        assert happens(left)
        assert not any(happens([n for n in left if n != gone]) for gone in left)
