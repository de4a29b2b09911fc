"""Functions of one tensor, element by element."""

from __future__ import annotations

import math

import numpy as np

from picograd.check.functions.cases import elementwise_cases
from picograd.check.functions.table import ErrorCase, Function, by_name

_erf = np.vectorize(math.erf, otypes=[np.float64])

_NOT_ENOUGH = ErrorCase("no tensor", (), TypeError)

FUNCTIONS: tuple[Function, ...] = (
    Function(
        "torch.exp",
        by_name("torch.exp"),
        np.exp,
        lambda rng: elementwise_cases(rng),
        (_NOT_ENOUGH,),
    ),
    Function(
        "torch.log",
        by_name("torch.log"),
        np.log,
        lambda rng: elementwise_cases(rng, domain=(0.1, 4)),
        (_NOT_ENOUGH,),
    ),
    Function(
        "torch.abs",
        by_name("torch.abs"),
        np.abs,
        lambda rng: elementwise_cases(rng, kinks=(0,), overflow=True),
        (_NOT_ENOUGH,),
    ),
)
