"""What published code looks for under `torch.utils`."""

from picograd import data

__all__ = ["data"]
