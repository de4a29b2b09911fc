"""Three ways of making the demo's training step: compiled, eager, and plain NumPy."""

from collections.abc import Mapping
from typing import Any

import numpy as np

import picograd
from picograd import nn
from picograd.compiler.pass_list import Passes
from picograd.study.benches.measure import OWN_PASSES, Action
from picograd.study.benches.numpy_mlp import Floats, NumpyMLP
from picograd.study.demos.digits import BATCH, LEARNING_RATE, Trainer, split_digits


def numpy_twin(model: nn.Module) -> NumpyMLP:
    """A NumPy model that starts from the same weights."""
    parameters: list[Floats] = [np.array(one.detach().numpy()) for one in model.parameters()]
    return NumpyMLP(parameters[0::2], parameters[1::2], BATCH, LEARNING_RATE)


def contenders(seed: int = 0, passes: Passes | None = None) -> Mapping[str, Action]:
    """One call of each is one step of training on the CPU, on a batch that is at hand already.

    `passes` adds a contender that is compiled with these passes.
    """
    images, labels = next(split_digits(seed).batches(0, seed))
    batch = picograd.tensor(images, device="cpu"), picograd.tensor(labels, device="cpu")
    compiled: Any = picograd.compile(Trainer("cpu", seed).step, device="cpu")
    own: Any = picograd.compile(Trainer("cpu", seed).step, device="cpu", passes=passes)
    with_own_passes = {} if passes is None else {OWN_PASSES: lambda: own(*batch)}
    eager = Trainer("cpu", seed)
    numpy = numpy_twin(eager.model)
    return {
        "compiled": lambda: compiled(*batch),
        **with_own_passes,
        "eager (cached)": lambda: eager.step(*batch),
        "NumPy": lambda: numpy.step(images, labels),
    }
