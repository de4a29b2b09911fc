"""Storage cells: the mutable boxes behind tensors.

Values never change: a device buffer that a tensor holds is not written again, and an SSA value
cannot be. Mutation puts another value into the cell, and every tensor that views the cell sees
it.
"""

from __future__ import annotations

from typing import TypeAlias

from xdsl.ir import SSAValue

from picograd.backends.runtime import Buffer
from picograd.dialects.dtypes import AnyTensor

Value: TypeAlias = Buffer | SSAValue
"""What a cell holds: memory on a device, or a value of the graph being traced."""


class Cell:
    """The storage that a tensor and its views share.

    `version` counts changes in place, as PyTorch's `_version`. `trace` is the trace that made the
    cell, or None for storage that outlives traces. `name` is what dumps call it.
    """

    __slots__ = ("__weakref__", "device", "name", "trace", "type", "value", "version")

    def __init__(
        self, value: Value, type: AnyTensor, device: str, trace: object | None = None
    ) -> None:
        self.value = value
        self.type = type
        self.device = device
        self.version = 0
        self.trace = trace
        self.name: str | None = None
