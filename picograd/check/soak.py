"""A soak: thousands of compiled calls from several threads, and hundreds of compilations, in which
memory must not grow.

    python -m picograd.check.soak [--calls N] [--compilations N] [--threads N]

Each half warms up before its memory is looked at: caches fill, pools get their blocks, the
interpreter its pages. Then it runs on in equal parts. Memory that leaks grows in every part;
what a pool, a cache or a fragmented heap takes comes now and then. So the least growth of a part
is what counts, and it is told for 1,000 calls or 100 compilations.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from mmap import PAGESIZE
from pathlib import Path
from typing import Any

import numpy as np

import picograd
from picograd import Tensor, nn, optim
from picograd.compiler.executable import clear_cache
from picograd.quick_dataclasses import dataclass

_STATM = Path("/proc/self/statm")
_PARTS = 4
MOST_A_CALL = 100.0
"""Bytes that a call may leave behind: a lost buffer, tensor or array takes more."""
MOST_A_COMPILATION = 48 * 1024.0
"""Bytes that a compilation may leave behind once programs are forgotten: a lost graph takes several
times that. Types, layouts and the like stay, in caches that end somewhere."""


@dataclass(frozen=True)
class Growth:
    """How memory grew in the parts of a half after warming up."""

    what: str
    number: int
    """Calls or compilations in a part."""
    parts: tuple[int, ...]
    """Bytes by which each part grew; parts may shrink."""
    most: float
    """Bytes that each may leave behind."""

    @property
    def each(self) -> float:
        """Bytes that one leaves behind, as far as the parts agree."""
        return max(0, min(self.parts)) / self.number

    @property
    def is_fine(self) -> bool:
        return self.each <= self.most

    def __str__(self) -> str:
        parts = " ".join(f"{part / 1024:+.0f}" for part in self.parts)
        verdict = "fine" if self.is_fine else f"more than {self.most:.0f} are lost memory"
        return (
            f"{self.what}: {self.number} a part, KiB by part {parts}: "
            f"{self.each:.0f} bytes each, {verdict}"
        )


def resident() -> int:
    """Bytes of this process that lie in memory, once garbage has been collected."""
    gc.collect()
    return int(_STATM.read_text(encoding="ascii").split()[1]) * PAGESIZE


def grow(what: str, number: int, most: float, run: Callable[[int], None]) -> Growth:
    """Run `number` in warming up, then as many again in each part."""
    run(number)
    sizes = [resident()]
    for _ in range(_PARTS):
        run(number)
        sizes.append(resident())
    parts = tuple(after - before for before, after in pairwise(sizes))
    return Growth(what, number, parts, most)


def soak_calls(calls: int, threads: int) -> Growth:
    """Training steps, reads of data, random numbers and errors, in several threads at once."""
    workers = [_Worker(seed) for seed in range(threads)]

    def run(number: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(worker.call_often, number // threads) for worker in workers]:
                done.result()

    return grow("calls", calls // (_PARTS + 1), MOST_A_CALL, run)


class _Worker:
    """One thread's model and what it calls in turn."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._x = rng.standard_normal((32, 20)).astype(np.float32)
        self._labels = rng.integers(0, 5, 32)
        self._model = nn.Sequential(nn.Linear(20, 48), nn.GELU(), nn.Dropout(0.1), nn.Linear(48, 5))
        self._optimizer = optim.AdamW(self._model.parameters(), lr=1e-3)
        step: Any = picograd.compile(self._step)
        model: Any = picograd.compile(self._model)
        pick: Any = picograd.compile(_pick)
        self._wide = nn.Linear(96, 128)  # enough to be laid out once for all calls
        self._predict: Any = picograd.compile(self._wide)
        self._calls: list[Callable[[], object]] = [
            lambda: step(self._given(), picograd.tensor(self._labels)),
            lambda: model(self._given()).detach().numpy(),
            lambda: _refused(pick, self._given()),
            lambda: (self._given() * 2 + 1).sum().item(),
            self._eager,
            self._predicted,
        ]

    def call_often(self, times: int) -> None:
        """So many calls, of each kind in turn."""
        for number in range(times):
            self._calls[number % len(self._calls)]()

    def _given(self) -> Tensor:
        return picograd.tensor(self._x)

    def _step(self, x: Tensor, labels: Tensor) -> Tensor:
        self._optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self._model(x), labels)
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def _predicted(self) -> None:
        """Weights are the same in two calls, and others in the third."""
        with picograd.no_grad():
            self._wide.weight.mul_(-1)
            x = picograd.ones(32, 96)
            first, again = self._predict(x), self._predict(x)
            if not (first == again).all():
                raise AssertionError("the same weights gave other results")

    def _eager(self) -> None:
        x = self._given().requires_grad_()
        (x.tanh() @ x.T).mean().backward()


def _pick(x: Tensor, index: Tensor) -> Tensor:
    return picograd.gather(x, 0, index)


def _refused(pick: Callable[..., Tensor], x: Tensor) -> None:
    """A call that ends in an error leaves nothing behind either."""
    try:
        pick(x, picograd.full((1, 20), x.shape[0]))
    except IndexError:
        return
    raise AssertionError("an index out of range was not refused")


def soak_compilations(number: int) -> Growth:
    """Functions that are compiled, called once and dropped, no two of them alike."""
    made = 0

    def run(number: int) -> None:
        nonlocal made
        for _ in range(number):
            made += 1
            _compile_one(made)
        clear_cache()

    return grow("compilations", number // (_PARTS + 1), MOST_A_COMPILATION, run)


def _compile_one(number: int) -> None:
    x = picograd.ones(2 + number % 13, 3 + number)

    def function(x: Tensor) -> Tensor:
        return picograd.softmax(x * float(number), -1).sum(0)

    compiled: Any = picograd.compile(function)
    if compiled(x).shape != (3 + number,):
        raise AssertionError("a result has another shape")


def main(arguments: list[str] | None = None) -> int:
    """Run both halves and tell; 1 where memory grew."""
    parser = argparse.ArgumentParser(prog="python -m picograd.check.soak", description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--compilations", type=int, default=400)
    parser.add_argument("--threads", type=int, default=3)
    given = parser.parse_args(arguments)
    found = [soak_calls(given.calls, given.threads), soak_compilations(given.compilations)]
    for growth in found:
        print(growth)
    return 0 if all(growth.is_fine for growth in found) else 1


if __name__ == "__main__":
    sys.exit(main())
