"""The limits of number types, under PyTorch's names: `finfo` for floats, `iinfo` for integers."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import ml_dtypes
import numpy as np

from picograd.dialects.dtypes import DType, float32
from picograd.errors import DTypeError
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class FloatLimits:
    """What a float dtype can hold."""

    dtype: str
    bits: int
    eps: float
    """The distance from 1 to the next number."""
    max: float
    min: float
    tiny: float
    """The smallest positive number of full precision."""
    resolution: float
    """The decimal precision, as a power of ten."""

    @property
    def smallest_normal(self) -> float:
        return self.tiny


@dataclass(frozen=True)
class IntLimits:
    """What an integer dtype can hold."""

    dtype: str
    bits: int
    max: int
    min: int


@cache
def finfo(dtype: DType = float32) -> FloatLimits:
    """The limits of a float dtype. Raises DTypeError for others."""
    if not dtype.is_float:
        raise DTypeError(
            f"finfo is for floats, and {dtype.name} is none",
            code="PG201",
            expected="a float dtype, such as float32",
            found=dtype.name,
            hint="use iinfo for integers",
        )
    info = cast(Any, ml_dtypes.finfo(dtype.numpy))
    return FloatLimits(
        dtype=dtype.name,
        bits=8 * dtype.itemsize,
        eps=float(info.eps),
        max=float(info.max),
        min=float(info.min),
        tiny=float(info.tiny),
        resolution=10.0 ** -int(info.precision),
    )


@cache
def iinfo(dtype: DType) -> IntLimits:
    """The limits of an integer dtype. Raises DTypeError for others."""
    if not dtype.is_int:
        raise DTypeError(
            f"iinfo is for integers, and {dtype.name} is none",
            code="PG201",
            expected="an integer dtype, such as int64",
            found=dtype.name,
            hint="use finfo for floats",
        )
    info = np.iinfo(dtype.numpy.name)
    return IntLimits(dtype.name, 8 * dtype.itemsize, int(info.max), int(info.min))
