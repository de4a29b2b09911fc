"""Neural network modules, as in `torch.nn`."""

from picograd.nn import functional, init
from picograd.nn.layers import (
    GELU,
    Embedding,
    Flatten,
    Identity,
    LayerNorm,
    Linear,
    LogSoftmax,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from picograd.nn.losses import CrossEntropyLoss, MSELoss, NLLLoss
from picograd.nn.module import Module, ModuleList, Parameter, Sequential

__all__ = [
    "GELU",
    "CrossEntropyLoss",
    "Embedding",
    "Flatten",
    "Identity",
    "LayerNorm",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "Module",
    "ModuleList",
    "NLLLoss",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
    "init",
]
