"""Reading and writing safetensors files, through the library of that name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors

from picograd.dialects.dtypes import DTYPES, DType
from picograd.errors import DTypeError, OptionError, StateError
from picograd.frontend.functions.creation import builder_for, finish
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.nn.modules.module import IncompatibleKeys, Module

# How the format calls each dtype.
_CODES = {
    "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "bool": "BOOL",
    "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "uint8": "U8",
}  # fmt: skip
_BY_CODE: dict[str, DType] = {_CODES[d.name]: d for d in DTYPES if d.name in _CODES}

# The library is written in Rust and tells no types.
_library: Any = safetensors


def save(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file. Raises OptionError for what is no tensor."""
    arrays: list[object] = []  # kept until they are written: the library gets their addresses
    specs: dict[str, Any] = {}
    for name, value in tensors.items():
        if not isinstance(cast(object, value), Tensor):
            raise located(
                OptionError(
                    f"{name!r} is no tensor",
                    code="PG807",
                    expected="a dictionary of names and tensors, such as model.state_dict()",
                    found=type(value).__name__,
                    hint="keep numbers and settings in the metadata, as text",
                )
            )
        array = np.ascontiguousarray(value.detach().numpy())
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        arrays.append(little)
        specs[name] = _library.TensorSpec(
            dtype=value.dtype.name,
            shape=list(value.shape),
            data_ptr=little.ctypes.data,
            data_len=little.nbytes,
        )
    return bytes(_library.serialize(specs, metadata=dict(metadata) if metadata else None))


def save_file(
    tensors: Mapping[str, Tensor],
    filename: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors into a safetensors file, which is replaced as a whole or not at all."""
    data, path = save(tensors, metadata), Path(filename)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(data: bytes, device: str | None = None) -> dict[str, Tensor]:
    """The tensors in the bytes of a safetensors file. Raises StateError for bytes that are none."""
    return _loaded(data, device, "the bytes")


def load_file(filename: str | os.PathLike[str], device: str | None = None) -> dict[str, Tensor]:
    """The tensors in a safetensors file, on a device.

    Raises StateError for a file that is damaged or of another format, and DTypeError for dtypes
    that picograd lacks.
    """
    return _loaded(Path(filename).read_bytes(), device, str(filename))


def _loaded(data: bytes, device: str | None, what: str) -> dict[str, Tensor]:
    try:
        entries = cast("list[tuple[str, dict[str, Any]]]", _library.deserialize(data))
    except _library.SafetensorError as error:
        raise located(
            StateError(
                f"{what} cannot be read as safetensors",
                code="PG807",
                expected="a file that save_file wrote, whole",
                found=f"{len(data)} bytes: {error}",
                hint="copy the file again; files of torch.save must be converted in PyTorch",
            )
        ) from error
    tensors: dict[str, Tensor] = {}
    for name, entry in sorted(entries, key=lambda item: item[0]):
        dtype = _BY_CODE.get(entry["dtype"])
        if dtype is None:
            raise located(
                DTypeError(
                    f"`{name}` has a dtype that picograd lacks",
                    code="PG208",
                    expected="one of " + ", ".join(_BY_CODE),
                    found=entry["dtype"],
                    hint="convert it where the file was made",
                )
            )
        little = np.frombuffer(entry["data"], dtype.numpy.newbyteorder("<"))
        array = little.astype(dtype.numpy, copy=False).reshape(entry["shape"])
        ops = builder_for(device)
        tensors[name] = finish(ops, ops.constant(array))
    return tensors


def save_model(
    model: Module, filename: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a module's state into a safetensors file."""
    save_file(model.state_dict(), filename, metadata)


def load_model(
    model: Module, filename: str | os.PathLike[str], strict: bool = True
) -> IncompatibleKeys:
    """Load a module's state from a safetensors file, as `load_state_dict` does."""
    return model.load_state_dict(load_file(filename), strict)
