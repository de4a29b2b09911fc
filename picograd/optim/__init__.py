"""Optimizers, as in `torch.optim`."""

from typing import TYPE_CHECKING

from picograd.frontend.missing import missing_names
from picograd.optim import lr_scheduler
from picograd.optim.adadelta import Adadelta
from picograd.optim.adam import Adam, AdamW
from picograd.optim.optimizer import Optimizer
from picograd.optim.rmsprop import Adagrad, RMSprop
from picograd.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "lr_scheduler",
]

if not TYPE_CHECKING:
    __getattr__ = missing_names("torch.optim", __all__)
