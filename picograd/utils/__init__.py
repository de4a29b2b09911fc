"""What published code looks for under `torch.utils`."""

from picograd.utils import data

__all__ = ["data"]
