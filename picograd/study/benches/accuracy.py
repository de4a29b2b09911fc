"""How far the elementary functions of float32 are from the truth, over all numbers if asked.

The truth is NumPy's float64, whose own error is a few billionths of a float32's last place. The
distance is counted in units of the last place of the true result, of a subnormal one in units of
2^-149; infinity counts as 2^128. NaN must be NaN, and signs, those of zeros too, must be right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import picograd
from picograd import Tensor
from picograd.quick_dataclasses import dataclass

Float64: TypeAlias = NDArray[np.float64]
Float32: TypeAlias = NDArray[np.float32]

PATTERNS = 1 << 32
"""How many float32 there are, NaN included."""

_CHUNK = 1 << 18
"""Numbers at a time: what the second cache holds."""


@dataclass(frozen=True)
class Function:
    """A function, its truth, and what is promised of it."""

    compute: Callable[[Tensor], Tensor]
    exact: Callable[[Float64], Float64]
    promised: float
    """Units in the last place."""
    of_input: bool = False
    """Whether they are those of the input, as where a result is a difference of larger numbers."""


@dataclass
class Accuracy:
    """What was found of a function."""

    name: str
    promised: float
    numbers: int = 0
    worst: float = 0.0
    """The greatest distance, in units of the last place."""
    at: float = math.nan
    """The input where it is."""
    total: float = 0.0
    rounded: int = 0
    """Results that no float32 is nearer to the truth than."""
    wrong: int = 0
    """Results that are NaN where the truth is none, or the reverse, or have the wrong sign."""
    wrong_at: float = math.nan

    @property
    def holds(self) -> bool:
        """Whether what was found is what is promised."""
        return self.worst <= self.promised and not self.wrong


def _erf(x: Float64) -> Float64:
    return np.fromiter(map(math.erf, x.tolist()), np.float64, x.size)


def _sigmoid(x: Float64) -> Float64:
    power = np.exp(-np.abs(x))
    return np.where(x > 0, 1.0, power) / (1.0 + power)


def _gelu(x: Float64) -> Float64:
    return np.where(np.isneginf(x), np.nan, 0.5 * x * (1 + _erf(x / math.sqrt(2))))


def _power(y: float) -> Function:
    return Function(lambda x: x**y, lambda x: np.power(x, np.float64(np.float32(y))), 1.5)


FUNCTIONS: dict[str, Function] = {
    "exp": Function(lambda x: x.exp(), np.exp, 1.1),
    "log": Function(lambda x: x.log(), np.log, 1.0),
    "tanh": Function(lambda x: x.tanh(), np.tanh, 1.5),
    "sigmoid": Function(lambda x: x.sigmoid(), _sigmoid, 2.5),
    "erf": Function(lambda x: x.erf(), _erf, 1.3),
    "gelu": Function(lambda x: x.gelu(), _gelu, 2.0, of_input=True),
    "sin": Function(lambda x: x.sin(), np.sin, 3.0),
    "cos": Function(lambda x: x.cos(), np.cos, 3.0),
    "sqrt": Function(lambda x: x.sqrt(), np.sqrt, 0.5),
    "rsqrt": Function(lambda x: x.rsqrt(), lambda x: 1 / np.sqrt(x), 1.5),
    "pow 2.5": _power(2.5),
    "pow -0.3": _power(-0.3),
    "pow 7": _power(7.0),
}
"""By name; of powers, x to some exponents."""


def measure(name: str, *, every: int = 1, start: int = 0, device: str = "cpu") -> Accuracy:
    """Look at every so many-th float32, by bit pattern, from the pattern `start` on."""
    function = FUNCTIONS[name]
    compiled = picograd.compile(function.compute, device)
    found = Accuracy(name, function.promised)
    for x in _numbers(every, start):
        # The last chunk is filled up, so that one shape is compiled.
        whole = np.resize(x, _CHUNK)
        result = compiled(picograd.tensor(whole, device=device)).numpy()[: x.size]
        with np.errstate(all="ignore"):
            _judge(found, function, x, result)
    return found


def _numbers(every: int, start: int) -> Iterator[Float32]:
    for first in range(start, PATTERNS, every * _CHUNK):
        last = min(first + every * _CHUNK, PATTERNS)
        yield np.arange(first, last, every, dtype=np.uint32).view(np.float32)


def _judge(found: Accuracy, function: Function, x: Float32, result: Float32) -> None:
    exact = function.exact(x.astype(np.float64))
    nan = np.isnan(exact)
    wrong = (np.isnan(result) != nan) | (~nan & (np.signbit(result) != np.signbit(exact)))
    distance = distances(result, exact, x.astype(np.float64) if function.of_input else exact)
    distance[nan | wrong] = 0.0
    worst = int(distance.argmax())
    if distance[worst] > found.worst:
        found.worst, found.at = float(distance[worst]), float(x[worst])
    if wrong.any() and not found.wrong:
        found.wrong_at = float(x[wrong.argmax()])
    found.wrong += int(wrong.sum())
    found.numbers += x.size
    found.total += float(distance.sum())
    found.rounded += int((distance <= 0.5).sum())


def distances(result: Float32, exact: Float64, unit_of: Float64) -> NDArray[Any]:
    """Between a result and the truth, in units of the last place that a number has as float32."""
    limit = 2.0**128
    size = np.clip(np.abs(unit_of), 2.0**-126, limit / 2)
    unit = np.exp2(np.floor(np.log2(size)) - 23)
    return np.abs(_finite(result.astype(np.float64), limit) - _finite(exact, limit)) / unit


def _finite(values: Float64, limit: float) -> Float64:
    return np.clip(values, -limit, limit)
