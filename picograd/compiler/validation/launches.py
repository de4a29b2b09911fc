"""What kernels made of their arrays in earlier evaluations: a pass changes few kernels of many.

known = KnownLaunches()
evaluate(function, inputs, launch=known.run)     # a pass runs
known.renew()
evaluate(function, inputs, launch=known.run)     # runs the kernels that the pass changed

A kernel that says the same, and finds the same bits in its arrays, leaves the same bits there. So
nothing is judged less: what is not run again was run after an earlier pass. Kernels that raise are
not remembered. To an evaluator that does not look for races a barrier says nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from hashlib import blake2b
from typing import TypeAlias

import numpy as np

from picograd.dialects.literals import Array
from picograd.dialects.loop import BarrierOp, KernelOp
from picograd.passes.rewriting.structure import structural_key
from picograd.semantics.loop import run_kernel

Written: TypeAlias = dict[int, Array]
"""By the numbers of a kernel's arrays, the contents of those that it changed."""


class KnownLaunches:
    """Runs kernels; repeats from memory what it ran since the renewal before the last."""

    def __init__(self) -> None:
        self._last: dict[Hashable, Written] = {}
        self._now: dict[Hashable, Written] = {}
        self._keys: dict[tuple[KernelOp, bool], int] = {}
        self._numbers: dict[Hashable, int] = {}
        """A number for each different kernel: what a kernel says takes its time to hash."""

    def renew(self) -> None:
        """Forget what was not needed since this was called last; kernels may change now."""
        self._last, self._now, self._keys = self._now, {}, {}

    def run(
        self, kernel: KernelOp, arrays: Sequence[Array], *, widen: bool, sanitize: bool
    ) -> None:
        """Run one kernel as `run_kernel` does, or do to the arrays what it did to such arrays."""
        if (kernel, sanitize) not in self._keys:
            skipped = () if sanitize else (BarrierOp,)
            says = structural_key(kernel, without=frozenset({"sym_name"}), skipped=skipped)
            number = self._numbers.setdefault(says, len(self._numbers))
            self._keys[kernel, sanitize] = number
        before = [_digest(array) for array in arrays]
        key = (self._keys[kernel, sanitize], widen, sanitize, tuple(before), _overlaps(arrays))
        written = self._now.get(key, self._last.get(key))
        if written is None:
            run_kernel(kernel, arrays, widen=widen, sanitize=sanitize)
            written = {
                number: array.copy()
                for number, (array, old) in enumerate(zip(arrays, before, strict=True))
                if _digest(array) != old
            }
        else:
            for number, contents in written.items():
                arrays[number][...] = contents
        self._now[key] = written


def _digest(array: Array) -> Hashable:
    bits = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return array.shape, array.dtype, blake2b(bits.tobytes(), digest_size=16).digest()


def _overlaps(arrays: Sequence[Array]) -> tuple[Hashable, ...]:
    """How arrays lie in one another's memory, where they do: a store to one changes the other."""
    spans = [np.lib.array_utils.byte_bounds(array) for array in arrays]
    found: list[Hashable] = []
    for i, (first, end) in enumerate(spans):
        for j, (other, other_end) in enumerate(spans[:i]):
            if first < other_end and other < end:
                found.append((i, j, first - other, arrays[i].strides, arrays[j].strides))
    return tuple(found)
