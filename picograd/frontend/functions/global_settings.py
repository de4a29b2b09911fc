"""PyTorch's global settings that published programs make before they begin.

Those that picograd has one way of doing are checked and change nothing, which each of them says.
"""

from __future__ import annotations

from picograd.backends.runtime import opened_devices
from picograd.dialects.dtypes import DType
from picograd.errors import OptionError
from picograd.frontend.functions.random import default_generator
from picograd.frontend.problems import located
from picograd.frontend.promotion import DEFAULT_FLOAT


def get_default_dtype() -> DType:
    """The dtype of new floating point tensors: float32."""
    return DEFAULT_FLOAT


def set_default_dtype(dtype: DType) -> None:
    """New floating point tensors are float32; another default is refused."""
    if dtype is not DEFAULT_FLOAT:
        raise located(
            OptionError(
                "the default dtype cannot be changed",
                code="PG801",
                expected=DEFAULT_FLOAT.name,
                found=dtype.name,
                hint="pass dtype=… where tensors are made, or convert: model.double(), x.double()",
            )
        )


def initial_seed() -> int:
    """The seed of the generator that random functions use by default."""
    return default_generator.seed


def set_float32_matmul_precision(precision: str) -> None:
    """float32 is always computed with all its bits, whatever is allowed."""
    if precision not in ("highest", "high", "medium"):
        raise located(
            OptionError(
                "there is no such precision",
                code="PG801",
                expected="'highest', 'high' or 'medium'",
                found=repr(precision),
                hint="'highest' is what picograd does; it makes no use of the others",
            )
        )


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Every kernel is deterministic: it gives the same bits for the same operands each time."""


def empty_cache() -> None:
    """Give memory back to the system that waits for the next tensor or call, as
    `torch.cuda.empty_cache` does. A device keeps 1 GiB at most.
    """
    for device in opened_devices():
        device.empty_cache()
