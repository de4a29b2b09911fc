"""Losses as modules, as in `torch.nn`."""

from __future__ import annotations

from picograd.frontend.tensor import Tensor
from picograd.nn import functional
from picograd.nn.module import Module


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction


class CrossEntropyLoss(_Loss):
    """The cross entropy of scores and class indices (or probabilities)."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(x, target, self.reduction)


class NLLLoss(_Loss):
    """The negative log-probability of the classes."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return functional.nll_loss(x, target, self.reduction)


class MSELoss(_Loss):
    """The squared difference."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(x, target, self.reduction)
