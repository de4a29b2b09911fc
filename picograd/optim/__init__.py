"""Optimizers, as in `torch.optim`."""

from picograd.optim.adam import Adam, AdamW
from picograd.optim.optimizer import Optimizer
from picograd.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]
