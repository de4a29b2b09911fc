"""A demo's workload: a small convolutional network that reads handwritten digits.

Twice a 3×3 convolution, ReLU and a pool that halves the image (8×8 → 4×4 → 2×2), with 16 and 32
channels, then dropout and a linear layer; cross entropy, Adam, batches of 64 images. The learning
rate falls to nothing along half a cosine, so that the last epochs settle instead of jumping about.
"""

from collections.abc import Iterator
from math import cos, pi

import numpy as np

import picograd
from picograd import Tensor, nn, optim
from picograd.study.demos.digits import BATCH, CLASSES, accuracy_below, split_digits
from picograd.study.demos.workload import Batch, Workload

SIDE, CHANNELS = 8, (16, 32)
LEARNING_RATE = 4e-3
EPOCHS = 20
DROPPED = 0.5
"""The share of features that a step of training does without: there are few images."""


class ConvNet(nn.Module):
    """Two convolutions with pools, dropout, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, CHANNELS[0], 3, padding=1)
        self.second = nn.Conv2d(CHANNELS[0], CHANNELS[1], 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(DROPPED)
        self.last = nn.Linear(CHANNELS[1] * (SIDE // 4) ** 2, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits[n, 10] of images[n, 64]."""
        edges = self.pool(self.first(images.reshape(-1, 1, SIDE, SIDE)).relu())
        shapes = self.pool(self.second(edges).relu())
        return self.last(self.dropout(shapes.flatten(1)))


class Session:
    """A model, its optimizer and its data on a device."""

    def __init__(self, device: str, seed: int) -> None:
        picograd.manual_seed(seed)
        self.device, self.seed, self.digits = device, seed, split_digits(seed)
        # Drawn on the CPU, so that every device starts from the same weights.
        self.model = ConvNet().to(device)
        self.optimizer = optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        self.loss_function = nn.CrossEntropyLoss()

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The epoch's batches, at the epoch's learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 + cos(pi * epoch / EPOCHS)) / 2
        return self.digits.batches(epoch, self.seed)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Forward, backward, update: the loss."""
        self.optimizer.zero_grad()
        loss = self.loss_function(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def score(self) -> float:
        """The share of held-out images that the model names rightly."""
        self.model.eval()
        with picograd.no_grad():
            images = picograd.tensor(self.digits.test_images, device=self.device)
            predicted = self.model(images).argmax(1)
        return float(np.mean(np.equal(predicted.numpy(), self.digits.test_labels)))

    def remark(self) -> str:
        """Nothing."""
        return ""


WORKLOAD = Workload(
    name="convnet",
    title="A small convolutional network: one compiled training step a batch",
    summary="a convolutional network that reads handwritten digits, to 98%",
    begin=Session,
    most_epochs=EPOCHS,
    steps_an_epoch=lambda seed: split_digits(seed).steps_an_epoch,
    items="images",
    items_a_step=BATCH,
    score_name="accuracy on held-out images",
    score_key="test_accuracy",
    show_score="{:.2%}".format,
    shortcoming=accuracy_below(0.98),
)
