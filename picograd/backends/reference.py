"""The device `reference`: NumPy evaluates the module as it is, at whatever level it stands."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp, TensorType

from picograd.backends.loans import lent_bytes
from picograd.backends.runtime import (
    Array,
    Buffer,
    Device,
    Program,
    SharingDevice,
    own_buffer,
    poison,
)
from picograd.dialects.dtypes import from_ir, from_numpy, tensor_type
from picograd.quick_dataclasses import dataclass
from picograd.semantics.evaluate import evaluate


@dataclass(eq=False)
class ReferenceBuffer:
    """A NumPy array."""

    array: Array
    device: Device

    @property
    def type(self) -> TensorType[Any]:
        """Shape and element type of the array."""
        return tensor_type(self.array.shape, from_numpy(self.array.dtype))

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return self.array.nbytes


class ReferenceProgram(Program):
    """A module, evaluated op by op at every run."""

    def __init__(self, module: ModuleOp, sanitize: bool = False) -> None:
        self.module = module
        self.sanitize = sanitize
        self.texts: Mapping[str, str] = {}
        self.launches = 0

    @property
    def scratch_bytes(self) -> int:
        """None: what NumPy allocates is its own affair."""
        return 0

    def run(self, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        results = evaluate(
            self.module, [_array(buffer) for buffer in inputs], sanitize=self.sanitize
        )
        for result, output in zip(results, outputs, strict=True):
            np.copyto(_array(output), result, casting="no")


class ReferenceDevice(SharingDevice):
    """NumPy: slow, and the meaning of everything else."""

    name = "reference"
    adapter = f"NumPy {np.__version__}"

    def allocate(self, type: TensorType[Any]) -> ReferenceBuffer:
        array = np.empty(type.get_shape(), from_ir(type.element_type).numpy)
        poison(array)
        return ReferenceBuffer(array, self)

    def upload(self, array: Array) -> ReferenceBuffer:
        from_numpy(array.dtype)
        return ReferenceBuffer(np.array(array, order="C"), self)

    def download(self, buffer: Buffer) -> Array:
        return _array(buffer).copy()

    def lend(self, buffer: Buffer) -> object:
        array = _array(buffer)
        return lent_bytes(buffer, array.ctypes.data, array.nbytes, array.flags.writeable)

    def borrow(self, array: Array) -> ReferenceBuffer | None:
        return ReferenceBuffer(array, self) if array.flags.c_contiguous else None

    def overwrite(self, buffer: Buffer, value: Buffer) -> None:
        np.copyto(_array(buffer), _array(value))

    def load(
        self, module: ModuleOp, *, cached: bool = True, sanitize: bool = False
    ) -> ReferenceProgram:
        return ReferenceProgram(module, sanitize)


def _array(buffer: Buffer) -> Array:
    return own_buffer(buffer, ReferenceBuffer, "reference").array
