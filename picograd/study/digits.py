"""The demo's workload: a classifier of handwritten digits, and its training on any device.

64 → 128 → 64 → 10 with ReLU, cross entropy, Adam at 1e-3, batches of 64 images, 360 images held
out by a seeded shuffle (the file's order separates writers, and would cost 7 points of accuracy).
The whole training step, with its backward pass and the optimizer's update, is one compiled graph.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import picograd
from picograd import Tensor, nn, optim
from picograd.backends import runtime
from picograd.data import hold_out, load_digits

PIXELS, WIDTHS, CLASSES = 64, (128, 64), 10
BATCH = 64
HELD_OUT = 360
LEARNING_RATE = 1e-3
MAX_EPOCHS = 20

# Of the pixels of all images, scaled to 0…1.
PIXEL_MEAN, PIXEL_DEVIATION = np.float32(0.305), np.float32(0.376)

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Digits:
    """The data set, split: float32[n, 64] images of about zero mean, int64[n] labels."""

    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels

    def batches(self, epoch: int, seed: int) -> Iterator[tuple[Images, Labels]]:
        """The epoch's whole batches in an order of its own; what does not fill one sits out."""
        order = np.random.default_rng((seed, epoch)).permutation(len(self.train_images))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            yield self.train_images[rows], self.train_labels[rows]

    @property
    def steps_an_epoch(self) -> int:
        """How many whole batches there are."""
        return len(self.train_images) // BATCH


def split_digits(seed: int) -> Digits:
    """Load the digits and hold some out, the same ones for the same seed."""
    images, labels = load_digits()
    scaled = (images - PIXEL_MEAN) / PIXEL_DEVIATION
    split = hold_out(scaled, labels, HELD_OUT, seed)
    return Digits(
        split.x.astype(np.float32), split.y, split.x_test.astype(np.float32), split.y_test
    )


class Classifier(nn.Module):
    """Two hidden layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(PIXELS, WIDTHS[0])
        self.second = nn.Linear(WIDTHS[0], WIDTHS[1])
        self.last = nn.Linear(WIDTHS[1], CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits[n, 10] of images[n, 64]."""
        hidden = self.first(images).relu()
        features = self.second(hidden).relu()
        return self.last(features)


class Trainer:
    """A model, its optimizer, and one step of training."""

    def __init__(self, device: str, seed: int) -> None:
        picograd.manual_seed(seed)
        # Drawn on the CPU, so that every device starts from the same weights.
        self.model = Classifier().to(device)
        self.optimizer = optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        self.loss_function = nn.CrossEntropyLoss()

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Forward, backward, update: the loss."""
        self.optimizer.zero_grad()
        loss = self.loss_function(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def accuracy(self, images: Images, labels: Labels, device: str) -> float:
        """The share of images that the model names rightly."""
        with picograd.no_grad():
            predicted = self.model(picograd.tensor(images, device=device)).argmax(1)
        return float(np.mean(np.equal(predicted.numpy(), labels)))


@dataclass(frozen=True)
class Training:
    """What training on one device came to; `losses` holds one value a step."""

    device: str
    adapter: str
    losses: NDArray[np.float64]
    test_accuracy: float
    compile_seconds: float
    train_seconds: float
    images_per_second: float
    kernels_unfused: int
    kernels: int
    bytes_unplanned: int
    bytes_planned: int


def train(
    device: str, epochs: int, seed: int, dump: Path | None, on_step: Callable[[str], None]
) -> Training:
    """Train on one device; `on_step` is told after every step what to say of it.

    Raises DeviceError when there is no such device.
    """
    adapter = runtime.device(device).adapter
    digits = split_digits(seed)
    trainer = Trainer(device, seed)
    step: Any = picograd.compile(trainer.step, device=device, dump=dump)
    losses: list[float] = []
    start = time.perf_counter()
    for epoch in range(epochs):
        pending: list[Tensor] = []
        for images, labels in digits.batches(epoch, seed):
            batch = picograd.tensor(images, device=device), picograd.tensor(labels, device=device)
            pending.append(step(*batch))
            on_step(f"loss {losses[-1]:.4f}" if losses else "")
        # Read once an epoch: reading makes the host wait for the device.
        losses += [float(loss.item()) for loss in pending]
    report = step.report
    seconds = time.perf_counter() - start - report.compile_seconds
    return Training(
        device=device,
        adapter=adapter,
        losses=np.array(losses),
        test_accuracy=trainer.accuracy(digits.test_images, digits.test_labels, device),
        compile_seconds=report.compile_seconds,
        train_seconds=seconds,
        images_per_second=len(losses) * BATCH / seconds,
        kernels_unfused=report.kernels_unfused,
        kernels=report.kernels,
        bytes_unplanned=report.bytes_unplanned,
        bytes_planned=report.bytes_planned,
    )
