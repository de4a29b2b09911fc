"""Tests run on the reference unless they ask for `device`, which names every device in turn."""

from tests.default_device import device, reference_by_default

__all__ = ["device", "reference_by_default"]
