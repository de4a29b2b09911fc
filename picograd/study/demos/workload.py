"""What the demos train: a model, its data, and what is asked of it, trained alike on any device.

A workload is described once; `train` runs it on a device, and `picograd demo` compares the devices.
The whole training step, with its backward pass and the optimizer's update, is one compiled graph.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import picograd
from picograd import Tensor
from picograd.backends import runtime
from picograd.quick_dataclasses import dataclass

Batch = tuple[NDArray[Any], ...]


class Session(Protocol):
    """One training on one device: model, optimizer and data. It starts from the seed alone."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The epoch's batches, equal on all devices. It may set the learning rate first."""
        ...

    @property
    def step(self) -> Callable[..., Tensor]:
        """Forward, backward, update, for the tensors of a batch: the loss. It is compiled."""
        ...

    def score(self) -> float:
        """What the model is judged by when training is over."""
        ...

    def remark(self) -> str:
        """What else is worth showing of the trained model, such as a sample; or nothing."""
        ...


@dataclass(frozen=True)
class Workload:
    """A model to train, and what is asked of it."""

    name: str
    """As in `picograd demo NAME`."""
    title: str
    summary: str
    """What is trained, for the command's help."""
    begin: Callable[[str, int], Session]
    """A session on a device, from a seed. Raises DeviceError when there is no such device."""
    most_epochs: int
    steps_an_epoch: Callable[[int], int]
    """How many batches an epoch has, for a seed."""
    items: str
    """What a batch holds: "images"."""
    items_a_step: int
    score_name: str
    score_key: str
    """The score's name in the table, and in the JSON file."""
    show_score: Callable[[float], str]
    shortcoming: Callable[[float], str | None]
    """What a score falls short of, in words that follow the device's name; None when it is met."""
    early_steps: int = 100
    early_budget: float = 1e-5
    loss_budget: float = 1e-3
    """The largest differences that two devices' loss curves may show, in the early steps and in
    all: rounding differs between devices, and training amplifies it slowly."""


@dataclass(frozen=True)
class Training:
    """What training on one device came to; `losses` holds one value a step."""

    device: str
    adapter: str
    losses: NDArray[np.float64]
    score: float
    compile_seconds: float
    train_seconds: float
    items_per_second: float
    kernels_unfused: int
    kernels: int
    bytes_unplanned: int
    bytes_planned: int
    remark: str = ""


def train(
    workload: Workload,
    device: str,
    epochs: int,
    seed: int,
    dump: Path | None,
    on_step: Callable[[str], None],
) -> Training:
    """Train on one device; `on_step` is told after every step what to say of it.

    Raises DeviceError when there is no such device.
    """
    adapter = runtime.device(device).adapter
    session = workload.begin(device, seed)
    step: Any = picograd.compile(session.step, device=device, dump=dump)
    losses: list[float] = []
    start = time.perf_counter()
    for epoch in range(epochs):
        pending: list[Tensor] = []
        for batch in session.batches(epoch):
            pending.append(step(*(picograd.tensor(array, device=device) for array in batch)))
            on_step(f"loss {losses[-1]:.4f}" if losses else "")
        # Read once an epoch: reading makes the host wait for the device.
        losses += [float(loss.item()) for loss in pending]
    report = step.report
    seconds = time.perf_counter() - start - report.compile_seconds
    return Training(
        device=device,
        adapter=adapter,
        losses=np.array(losses),
        score=session.score(),
        compile_seconds=report.compile_seconds,
        train_seconds=seconds,
        items_per_second=len(losses) * workload.items_a_step / seconds,
        kernels_unfused=report.kernels_unfused,
        kernels=report.kernels,
        bytes_unplanned=report.bytes_unplanned,
        bytes_planned=report.bytes_planned,
        remark=session.remark(),
    )
