"""The courses' graphs: what each rung of the ladder is worth, for networks of several sizes.

A step of training and a forward pass of a multilayer perceptron, in each mode; then what passes are
worth to the traced modes: fusion, reuse of buffers, and keeping what was compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, TypeAlias

import picograd
from picograd import Tensor, nn, optim
from picograd.backends.runtime import device as find_device
from picograd.compiler.executable import clear_cache
from picograd.compiler.pipelines import pipeline
from picograd.frontend.modes.ladder import Rung
from picograd.quick_dataclasses import dataclass
from picograd.study.benches.charts import Figure, Line, Panel
from picograd.study.benches.measure import Action, Spread, spreads

INPUTS, CLASSES, BATCH = 64, 10, 32
PATIENCE = 2.0
"""Seconds after which a contender that is slow has had turns enough."""

MODES = tuple(str(rung) for rung in Rung)
WORKLOADS = ("training step", "forward")
REUSE = ("reuse_in_place", "plan_buffers")
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "all passes": (),
    "no fusion": ("fuse",),
    "no buffer reuse": REUSE,
    "neither": ("fuse", *REUSE),
}
"""The passes that each contender of the second comparison does without."""
NOT_KEPT = "not kept"


@dataclass(frozen=True)
class Size:
    """So many hidden layers of so many features."""

    width: int
    depth: int

    def __str__(self) -> str:
        return f"{self.width} × {self.depth}"


@dataclass(frozen=True)
class Memory:
    """What one compiled step needs beside its inputs and results."""

    kernels: int
    nbytes: int


@dataclass(frozen=True)
class Point:
    """All that was measured for one size."""

    size: Size
    modes: dict[str, dict[str, Spread]]
    """By workload and mode."""
    passes: dict[str, Spread]
    """The training step, by what it does without."""
    memory: dict[str, Memory]


Value: TypeAlias = Callable[[Point], float]
"""What a line of the figure shows of each point."""


@dataclass(frozen=True)
class Sweep:
    """Sizes in two directions that share one corner."""

    widths: Sequence[int]
    depths: Sequence[int]

    def across(self) -> list[Size]:
        """The sizes of which the width grows."""
        return [Size(width, self.depths[0]) for width in self.widths]

    def down(self) -> list[Size]:
        """The sizes of which the depth grows."""
        return [Size(self.widths[0], depth) for depth in self.depths]

    def sizes(self) -> list[Size]:
        """All sizes, each once."""
        return list(dict.fromkeys([*self.across(), *self.down()]))


FULL = Sweep((32, 64, 128, 256, 512), (2, 4, 8))
QUICK = Sweep((4, 8), (1, 2))


class Perceptron(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        widths = [INPUTS, *[size.width] * size.depth]
        hidden: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            hidden += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*hidden, nn.Linear(size.width, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """Scores[n, 10] of x[n, 64]."""
        return self.layers(x)


class Workload:
    """A network of one size on one device, its batch, and what is done with them."""

    def __init__(self, device: str, size: Size, seed: int = 0) -> None:
        picograd.manual_seed(seed)
        self.device = device
        # Drawn on the CPU, so that every device gets the same numbers.
        self.model = Perceptron(size).to(device)
        self.optimizer = optim.SGD(self.model.parameters(), lr=1e-3)
        self.x = picograd.randn(BATCH, INPUTS, device="cpu").to(device)
        self.labels = picograd.randint(0, CLASSES, (BATCH,), device="cpu").to(device)

    def train(self, x: Tensor, labels: Tensor) -> Tensor:
        """One step of training: the loss."""
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def predict(self, x: Tensor) -> Tensor:
        """The model's scores."""
        with picograd.no_grad():
            return self.model(x)


def measure(
    device: str, sweep: Sweep, rounds: int, modes: Sequence[str], on_size: Callable[[Size], None]
) -> list[Point]:
    """All sizes, one after another; `on_size` is told before each."""
    points: list[Point] = []
    for size in sweep.sizes():
        on_size(size)
        points.append(measure_size(device, size, rounds, modes))
    return points


def measure_size(device: str, size: Size, rounds: int, modes: Sequence[str]) -> Point:
    """Everything about one size. The contenders of one comparison share a model."""
    workload, finish = Workload(device, size), find_device(device).synchronize
    step: Any = picograd.compile(workload.train, device=device)
    forward: Any = picograd.compile(workload.predict, device=device)
    batch = workload.x, workload.labels
    actions: dict[str, Action] = {
        "training step": lambda: step(*batch),
        "forward": lambda: forward(workload.x),
    }
    by_mode = {
        name: spreads(
            {mode: in_mode(mode, action) for mode in modes},
            rounds,
            finish=finish,
            patience=PATIENCE,
        )
        for name, action in actions.items()
    }
    variants: dict[str, Any] = {
        name: picograd.compile(
            workload.train, device=device, passes=pipeline(device).without(*names)
        )
        for name, names in LEFT_OUT.items()
    }

    def compile_again() -> object:
        clear_cache()
        again: Any = picograd.compile(workload.train, device=device)
        return again(*batch)

    contenders: dict[str, Action] = {
        name: lambda compiled=compiled: compiled(*batch) for name, compiled in variants.items()
    }
    contenders[NOT_KEPT] = compile_again
    passes = spreads(contenders, rounds, finish=finish, patience=PATIENCE)
    memory = {
        name: Memory(compiled.report.kernels, compiled.report.bytes_planned)
        for name, compiled in variants.items()
    }
    return Point(size, by_mode, passes, memory)


def in_mode(mode: str, action: Action) -> Action:
    """The action, done in a mode."""

    def run() -> object:
        with picograd.set_mode(mode):
            return action()

    return run


def out_of_order(points: Iterable[Point]) -> list[str]:
    """Where a higher rung is slower than the one below it by more than the turns scatter."""
    found: list[str] = []
    for point in points:
        for workload, by_mode in point.modes.items():
            # The reference computes in NumPy: its place among the others is an accident.
            ladder = [mode for mode in MODES if mode in by_mode and mode != "reference"]
            for slower, faster in pairwise(ladder):
                if by_mode[faster].is_above(by_mode[slower]):
                    found.append(f"{point.size}, {workload}: {faster} takes longer than {slower}")
    return found


def as_data(points: Iterable[Point]) -> list[dict[str, object]]:
    """The points as JSON has them."""
    return [asdict(point) for point in points]


def figure(points: Sequence[Point], sweep: Sweep, title: str, subtitle: str) -> Figure:
    """Time against width and depth for both workloads, then what passes are worth."""
    by_size = {point.size: point for point in points}
    directions = {
        f"features in each of {sweep.depths[0]} hidden layers": sweep.across(),
        f"hidden layers of {sweep.widths[0]} features": sweep.down(),
    }

    def panel(title: str, unit: str, label: str, values: Mapping[str, Value]) -> Panel:
        sizes = directions[label]
        axis = "width" if sizes == sweep.across() else "depth"
        lines = [
            Line(name, [(getattr(size, axis), value(by_size[size])) for size in sizes])
            for name, value in values.items()
        ]
        return Panel(title, label, unit, lines)

    def time_in(workload: str, mode: str) -> Value:
        return lambda point: 1e3 * point.modes[workload][mode].median

    def time_without(name: str) -> Value:
        return lambda point: 1e3 * point.passes[name].median

    def kibibytes(name: str) -> Value:
        return lambda point: max(1, point.memory[name].nbytes) / 1024  # 0 has no logarithm

    modes = points[0].modes["training step"]
    panels = [
        panel(f"One {workload}", "ms", label, {mode: time_in(workload, mode) for mode in modes})
        for workload in WORKLOADS
        for label in directions
    ]
    across, down = directions
    times = {name: time_without(name) for name in points[0].passes}
    memory = {name: kibibytes(name) for name in points[0].memory}
    panels.append(panel("A compiled training step without some passes", "ms", across, times))
    panels.append(panel("Memory between its kernels", "KiB", down, memory))
    return Figure(title, subtitle, panels)
