"""The rows of the table: which workloads, at which sizes, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from picograd.quick_dataclasses import dataclass
from picograd.study.benches.cpu.contenders import TUNED
from picograd.study.benches.cpu.workloads import WORKLOADS, Sizes


@dataclass(frozen=True)
class Asked:
    """What a row has to reach. × is the best peer's time over ours."""

    times: float | None = None
    share: float | None = None
    """Of the machine's limit."""
    aim_times: float | None = None
    aim_share: float | None = None
    peer: str = ""
    """The peer that it is compared with, where it is not the best one."""

    def __str__(self) -> str:
        times = [] if self.times is None else [f"{self.times:g} ×"]
        share = [] if self.share is None else [f"{self.share:.0%}"]
        aims = [f"{self.aim_times:g} ×"] if self.aim_times else []
        aims += [f"{self.aim_share:.0%}"] if self.aim_share else []
        text = " and ".join([*share, *times]) or "—"
        return text + (f" (aim {', '.join(aims)})" if aims else "")


@dataclass(frozen=True)
class Row:
    """One workload at one size."""

    name: str
    workload: str
    sizes: Sizes
    asked: Asked = Asked()
    asked_together: Asked = Asked()
    """On two threads and more."""
    quick: bool = True
    """Whether a quick look includes it."""

    def flops(self) -> int | None:
        """Of a call."""
        count = WORKLOADS[self.workload].flops
        return None if count is None else count(self.sizes)

    def nbytes(self) -> int | None:
        """That a call has to read or write."""
        count = WORKLOADS[self.workload].nbytes
        return None if count is None else count(self.sizes)

    def asks(self, threads: int) -> Asked:
        """What it has to reach on so many threads."""
        return self.asked if threads == 1 else self.asked_together


def neighbours(row: Row) -> list[Row]:
    """The row with one of its sizes one smaller, one larger, and three quarters as large."""
    found: list[Row] = []
    workload = WORKLOADS[row.workload]
    for place, what in enumerate(workload.sizes):
        size = row.sizes[place]
        if what in workload.fixed:
            continue
        for other in sorted({size - 1, size + 1, size * 3 // 4} - {0, size}):
            sizes = (*row.sizes[:place], other, *row.sizes[place + 1 :])
            found.append(Row(f"{row.name}, {what} {other}", row.workload, sizes))
    return found


TOGETHER = Asked(0.95, aim_times=1.05)


def _squares() -> Iterator[Row]:
    asked = Asked(1.0, 0.95, aim_share=0.98)
    for size in (512, 1024, 2048):
        for form in ("NN", "NT", "TN"):
            name = f"matmul {size} {form}"
            sizes = (size, size, size)
            yield Row(name, f"matmul {form}", sizes, asked, TOGETHER, quick=size < 2048)


def _layers(model: str, shapes: Sequence[tuple[int, int, int]]) -> Iterator[Row]:
    """A linear layer's product and those of its gradients; weights are [outputs, inputs]."""
    for rows, inputs, outputs in shapes:
        name = f"{model} {rows}×{inputs} {inputs}×{outputs}"
        for what, form, sizes in (
            ("", "NT", (rows, outputs, inputs)),
            (", gradient of x", "NN", (rows, inputs, outputs)),
            (", gradient of W", "TN", (outputs, inputs, rows)),
        ):
            yield Row(name + what, f"matmul {form}", sizes, TOGETHER, TOGETHER, quick=not what)


def _all_rows() -> Iterator[Row]:
    yield from _squares()
    yield from _layers("MLP", [(128, 784, 512), (128, 512, 512), (128, 512, 10)])
    yield from _layers(
        "GPT", [(2048, 384, 1152), (2048, 384, 1536), (2048, 1536, 384), (2048, 384, 384)]
    )
    for rows, inputs, outputs in ((128, 512, 768), (16, 1536, 1536)):
        name = f"layer {rows}×{inputs} {inputs}×{outputs}, weight kept"
        yield Row(name, "layer", (rows, outputs, inputs), TOGETHER, TOGETHER)
    product = Asked(1.0, aim_times=1.2)
    yield Row("batched 96×(256×64 64×256)", "batched", (96, 256, 256, 64), product)
    yield Row("matrix-vector 4096²", "matvec", (4096, 4096), product)
    yield Row("vector-matrix 4096²", "vecmat", (4096, 4096), product)
    yield Row(
        "gelu(x@W+b) 128×784 784×512",
        "gelu(x@W+b)",
        (128, 512, 784),
        Asked(1.05, aim_times=1.1),
    )
    matrix = (4096, 1024)
    fast = Asked(1.2, aim_times=1.5)
    for workload, asked in (
        ("softmax", Asked(1.6, aim_times=1.8)),
        ("layernorm", Asked(1.15, aim_times=1.25)),
        ("variance", Asked()),
        ("cross entropy", fast),
        ("column sum", fast),
        ("column mean", fast),
        ("row sum", Asked()),
        ("full sum", Asked()),
        ("argmax rows", fast),
        ("argmax columns", fast),
        ("cumsum", Asked()),
    ):
        yield Row(f"{workload} 4096×1024", workload, matrix, asked)
    yield Row("transpose copy 2048²", "transpose copy", (2048, 2048))
    yield Row(
        "8-op chain, 16 Mi elements",
        "chain",
        (1 << 24,),
        Asked(1.5, aim_times=1.8, peer=f"torch.compile, {TUNED}"),
        quick=False,
    )
    step = Asked(1.05, aim_times=1.15)
    yield Row("MLP 784-512-512-10 step, batch 128", "MLP step", (128, 784, 512, 10), step, step)
    yield Row("GPT forward", "GPT forward", GPT, Asked(1.0, aim_times=1.25), quick=False)
    yield Row("GPT training step", "GPT step", GPT, Asked(1.3, aim_times=2), quick=False)


GPT = (6, 384, 6, 256, 8, 65)
"""Layers, width, heads, places, batch and letters."""
ROWS = tuple(_all_rows())
MEMORY = Row("GPT training step, peak memory", "GPT step", GPT, quick=False)
"""A row of its own kind: bytes rather than seconds."""


def select(words: Sequence[str], rows: Sequence[Row]) -> list[Row]:
    """The rows whose names contain one of the words; all of them if there are none."""
    return [row for row in rows if not words or any(word in row.name for word in words)]
