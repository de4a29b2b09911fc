"""Delta debugging: few of many items that are enough for something to happen.

Source: A. Zeller and R. Hildebrandt, Simplifying and Isolating Failure-Inducing Input (2002): the
algorithm ddmin.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def fewest(items: Sequence[T], happens: Callable[[Sequence[T]], bool]) -> list[T]:
    """A part of the items with which it happens, and of which no item alone can be left out.

    It is taken for granted that it happens with all of them. Parts are tried from halves down to
    single items: with one part only, then without one part; so what hangs on a few neighbours in a
    long list is found in as many steps as the length has digits in base 2. The order is kept.
    """
    kept = list(items)
    if kept and happens([]):
        return []
    parts = 2
    while len(kept) >= 2:
        chunks = _split(kept, parts)
        alone = next((chunk for chunk in chunks if happens(chunk)), None)
        if alone is not None:
            kept, parts = list(alone), 2
            continue
        rest = _without_one(chunks, happens) if parts > 2 else None
        if rest is not None:
            kept, parts = rest, max(parts - 1, 2)
        elif parts < len(kept):
            parts = min(len(kept), 2 * parts)
        else:
            break
    return kept


def _split(items: Sequence[T], parts: int) -> list[Sequence[T]]:
    """The items in so many chunks of neighbours, of nearly equal length."""
    cuts = [len(items) * number // parts for number in range(parts + 1)]
    return [items[low:high] for low, high in pairwise(cuts)]


def _without_one(
    chunks: Sequence[Sequence[T]], happens: Callable[[Sequence[T]], bool]
) -> list[T] | None:
    """The chunks without the last one that can be left out; None where each is needed."""
    for gone in reversed(range(len(chunks))):
        rest = [item for number, chunk in enumerate(chunks) if number != gone for item in chunk]
        if happens(rest):
            return rest
    return None
