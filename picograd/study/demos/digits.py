"""The first demo's workload: a classifier of handwritten digits.

64 → 128 → 64 → 10 with ReLU, cross entropy, Adam at 1e-3, batches of 64 images, 360 images held
out by a seeded shuffle (the file's order separates writers, and would cost 7 points of accuracy).
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

import picograd
from picograd import Tensor, nn, optim
from picograd.data import hold_out, load_digits
from picograd.quick_dataclasses import dataclass
from picograd.study.demos.workload import Batch, Workload

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


class Session(Trainer):
    """A training of the demo: the trainer with its data."""

    def __init__(self, device: str, seed: int) -> None:
        super().__init__(device, seed)
        self.device, self.seed, self.digits = device, seed, split_digits(seed)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The epoch's batches."""
        return self.digits.batches(epoch, self.seed)

    def score(self) -> float:
        """The share of held-out images that the model names rightly."""
        return self.accuracy(self.digits.test_images, self.digits.test_labels, self.device)

    def remark(self) -> str:
        """Nothing."""
        return ""


def accuracy_below(required: float) -> Callable[[float], str | None]:
    """What an accuracy falls short of, in words; nothing when it is as high as required."""

    def judge(accuracy: float) -> str | None:
        if accuracy >= required:
            return None
        return (
            f"names {accuracy:.2%} of the held-out images rightly, and {required:.0%} is asked for"
        )

    return judge


WORKLOAD = Workload(
    name="digits",
    title="Handwritten digits: one compiled training step a batch",
    summary="a classifier of handwritten digits with two hidden layers, to 96%",
    begin=Session,
    most_epochs=MAX_EPOCHS,
    steps_an_epoch=lambda seed: split_digits(seed).steps_an_epoch,
    items="images",
    items_a_step=BATCH,
    score_name="accuracy on held-out images",
    score_key="test_accuracy",
    show_score="{:.2%}".format,
    shortcoming=accuracy_below(0.96),
)
