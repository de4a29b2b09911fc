"""`torch.cuda` as on a machine without CUDA: published programs ask it, and go on with the CPU.

picograd's GPU is the device "gpu", whoever made it. What only a CUDA device has is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from picograd.frontend.functions.random import manual_seed
from picograd.frontend.missing import missing_names

__all__ = [
    "device_count",
    "empty_cache",
    "is_available",
    "is_bf16_supported",
    "manual_seed",
    "manual_seed_all",
    "synchronize",
]

manual_seed_all = manual_seed


def is_available() -> bool:
    """False: picograd's GPU is called "gpu"."""
    return False


def is_bf16_supported() -> bool:
    """False: there is no CUDA device."""
    return False


def device_count() -> int:
    """0: there is no CUDA device."""
    return 0


def empty_cache() -> None:
    """Nothing: there is no CUDA device."""


def synchronize(device: str | None = None) -> None:
    """Nothing: reading a tensor waits for what computes it, on every device."""


if not TYPE_CHECKING:
    __getattr__ = missing_names("torch.cuda", __all__)
