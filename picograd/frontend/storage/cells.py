"""Storage cells: the mutable boxes behind tensors.

Values never change: an SSA value cannot, and a device buffer is not written again as long as
anybody but one cell holds it (`donation` tells when compiled code may write over the one that it
replaces). Mutation puts another value into the cell, and every tensor that views the cell sees it.
Cells that share their memory with NumPy arrays are another kind: see `shared`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

from xdsl.ir import SSAValue

from picograd.backends.runtime import Buffer
from picograd.dialects.dtypes import AnyTensor


class Lifted(ABC):
    """A value inside of a function transformation: what it stands for around it, and more."""

    @property
    @abstractmethod
    def type(self) -> AnyTensor:
        """The type that the transformed function sees."""


Value: TypeAlias = Buffer | SSAValue | Lifted
"""What a cell holds: memory on a device, a value of the graph being traced, or a lifted one."""


class Moves:
    """How often a tensor came to show other storage, or storage to hold another type.

    Who has seen where tensors lie need not look again as long as the number is the same.
    """

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


MOVES = Moves()
"""Of all tensors."""


class Cell:
    """The storage that a tensor and its views share.

    `version` counts changes in place, as PyTorch's `_version`. `trace` is the trace or
    transformation that made the cell, or None for storage that outlives them all. `name` is what
    dumps call it. `era` counts changes that `version` does not tell, for those who keep what they
    made of the contents.
    """

    __slots__ = ("__weakref__", "device", "era", "name", "trace", "type", "value", "version")

    def __init__(
        self, value: Value, type: AnyTensor, device: str, trace: object | None = None
    ) -> None:
        self.value = value
        self.type = type
        self.device = device
        self.version = self.era = 0
        self.trace = trace
        self.name: str | None = None

    def rehouse(self, value: Value, type: AnyTensor, device: str) -> None:
        """Hold a value, perhaps of another type, that arrays over the old one do not share."""
        self.value, self.type, self.device = value, type, device
        self.begin_era()
        MOVES.count += 1

    def begin_era(self) -> None:
        """Note that the contents may have changed without a change of `version`, or that `version`
        went back: equal versions before and after tell nothing.
        """
        self.era += 1
