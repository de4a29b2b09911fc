"""Running a module that was read from text, at whatever level it stands."""

import argparse
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import MemRefType, ModuleOp, StringAttr, TensorType
from xdsl.ir import Attribute

from picograd.backends.runtime import device as find_device
from picograd.cli.files import UsageError
from picograd.compiler.executable import compile_module, sanitized
from picograd.compiler.pipelines import pipeline
from picograd.dialects import dtypes
from picograd.dialects.buffer import inputs_of
from picograd.passes import Level, Pass, level_of
from picograd.semantics.evaluate import entry_of, evaluate

Array = NDArray[Any]


def seeded_inputs(module: ModuleOp, seed: int) -> dict[str, Array]:
    """Random arguments for the module's entry, by name: normal floats, integers from 0 to 3.

    Small integers, because those that enter a program are mostly labels and indices.
    """
    rng = np.random.default_rng(seed)
    function = entry_of(module)
    attributes = function.arg_attrs.data if function.arg_attrs else ()
    inputs: dict[str, Array] = {}
    for argument in inputs_of(function):
        number = argument.index
        name = attributes[number].data.get("pico.name") if attributes else None
        label = name.data if isinstance(name, StringAttr) else argument.name_hint
        inputs[label or f"arg{number}"] = _random_array(rng, argument.type)
    return inputs


def _random_array(rng: np.random.Generator, type: Attribute) -> Array:
    if not isinstance(type, TensorType | MemRefType):
        raise UsageError(
            "the entry takes an argument that is no array",
            code="PG608",
            expected="tensor<…> or memref<…> arguments",
            found=str(type),
            hint="make inputs in Python, and call picograd.semantics.evaluate",
        )
    array = cast(TensorType[Attribute] | MemRefType[Attribute], type)
    shape = array.get_shape()
    if min(shape, default=0) < 0:
        raise UsageError(
            "the entry takes an argument without a fixed shape",
            code="PG608",
            expected="sizes that are numbers",
            found=str(array),
            hint="write the sizes out; a program is compiled once for each shape",
        )
    dtype = dtypes.from_ir(array.element_type)
    if dtype.is_float:
        return rng.standard_normal(shape).astype(dtype.numpy)
    return rng.integers(0, 2 if dtype.is_bool else 4, shape).astype(dtype.numpy)


def run_on_device(
    module: ModuleOp, device: str, inputs: Sequence[Array], *, sanitize: bool | None = None
) -> list[Array]:
    """The module's outputs: evaluated on `reference`, else compiled from its level on down.

    With `sanitize` every access to memory is checked; None asks the environment.
    """
    if device == "reference":
        return evaluate(module, inputs, sanitize=sanitized() if sanitize is None else sanitize)
    passes = rest_of_pipeline(module, device)
    executable = compile_module(module.clone(), device, passes=passes, sanitize=sanitize)
    place = find_device(device)
    outputs = executable.run([place.upload(array) for array in inputs])
    return [place.download(output) for output in outputs]


def add_sanitize_option(parser: argparse.ArgumentParser, when: str = "") -> None:
    """Let a command that runs programs take `--sanitize`; None stands for its absence."""
    parser.add_argument(
        "--sanitize",
        action="store_true",
        default=None,
        help=f"{when}check every access to memory; PICOGRAD_SANITIZE=1 does the same",
    )


def rest_of_pipeline(module: ModuleOp, device: str) -> tuple[Pass, ...]:
    """The part of the device's pipeline that starts at the module's level.

    Passes of that level may have run on it already; running them again is harmless.
    """
    depths = {level: depth for depth, level in enumerate(Level)}
    passes = pipeline(device)
    level = level_of(module)
    for number, step in enumerate(passes):
        if depths[step.level_in] >= depths[level]:
            return passes[number:]
    return ()


def describe_array(array: Array) -> str:
    """Type, shape and range of an array, in one line."""
    text = f"{array.dtype}{list(array.shape)}"
    if array.size == 0:
        return text
    if not np.all(np.isfinite(array)):
        return f"{text}, not all finite"
    if array.dtype == np.bool_:
        return f"{text}, {np.count_nonzero(array)} true"
    return f"{text}, from {array.min():.6g} to {array.max():.6g}"
