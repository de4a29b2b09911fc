"""Numbers that may change from call to call, for use inside of compiled functions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from picograd.frontend.core import Operand
from picograd.frontend.modes.mode import SETTINGS, RuntimeValue
from picograd.frontend.promotion import number_dtype
from picograd.frontend.tensor import Tensor


def live_number(
    name: str, now: float, make: Callable[[Sequence[float]], float], key: Hashable
) -> Operand:
    """The number itself; inside of a compiled function, a 0-d input that is asked for at each call.

    It promotes like a Python number. `make` gets the numbers among the arguments of the call;
    equal keys are the same input.
    """
    trace = SETTINGS.trace
    if trace is None:
        return now
    number = RuntimeValue(name, number_dtype(now), (), make, key)
    tensor = Tensor(trace.new_cell(trace.runtime(number)))
    tensor.number = number
    return tensor


def setting(name: str, read: Callable[[], float], key: Hashable) -> Operand:
    """A number that lives in a Python object, such as a learning rate: read anew at each call."""
    return live_number(name, read(), lambda numbers: read(), key)
