"""Integer arithmetic, proved by exhaustion: all pairs of small numbers and of those at the ends."""

from itertools import product

import numpy as np
import pytest

from picograd.backends.runtime import device as find_device
from picograd.compiler.driver import run_pipeline
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.inputs import fitted
from picograd.dialects.dtypes import DType, int8, int16, int32, int64, uint8
from picograd.dialects.limits import iinfo
from picograd.dialects.literals import Array
from picograd.dialects.tensor import BinaryOp
from picograd.dialects.tensor_base import binary_kind
from picograd.semantics.evaluate import entry_of, evaluate
from picograd.semantics.samples.sample import Sample

KINDS = ("floordiv", "remainder", "shl", "shr", "maximum", "minimum", "add", "sub", "mul")


def pairs(dtype: DType) -> tuple[Array, Array]:
    """Every small number, and every one near the ends of the type, with every other."""
    limits = iinfo(dtype)
    least, most = int(limits.min), int(limits.max)
    numbers = {*range(max(-9, least), 10), 31, 32, 33, *range(least, least + 3)}
    numbers |= set(range(most - 2, most + 1))
    both = np.array(list(product(sorted(numbers), repeat=2)), dtype.numpy)
    return np.ascontiguousarray(both[:, 0]), np.ascontiguousarray(both[:, 1])


def expected(kind: str, a: int, b: int, dtype: DType) -> int:
    """What the tensor level says of two numbers, in Python's own integers."""
    bits = dtype.itemsize * 8
    unsigned = a % 2**bits
    match kind:
        case "floordiv":
            value = a // b if b else 0
        case "remainder":
            value = a % b if b else 0
        case "shl":
            value = a << b if 0 <= b < bits else 0
        case "shr":
            value = unsigned >> b if 0 <= b < bits else 0
        case "maximum" | "minimum":
            value = max(a, b) if kind == "maximum" else min(a, b)
        case _:
            value = {"add": a + b, "sub": a - b, "mul": a * b}[kind]
    value %= 2**bits
    return value - 2**bits if dtype.is_signed and value >= 2 ** (bits - 1) else value


@pytest.mark.parametrize("dtype", [int8, uint8, int16, int32, int64], ids=lambda d: d.name)
@pytest.mark.parametrize("kind", KINDS)
def test_integers_are_python_integers_that_wrap(kind: str, dtype: DType) -> None:
    a, b = pairs(dtype)
    module = Sample(kind, BinaryOp, {"kind": binary_kind(kind)}, (a, b)).module()
    wanted = [expected(kind, int(x), int(y), dtype) for x, y in zip(a, b, strict=True)]
    (reference,) = evaluate(module, [a, b])
    assert reference.tolist() == wanted
    loops = module.clone()
    run_pipeline(loops, pipeline("cpu"))
    # Memory has no numbers without sign: the same bits.
    (evaluated,) = evaluate(loops, fitted([a, b], entry_of(loops)))
    assert evaluated.astype(dtype.numpy).tolist() == wanted
    cpu = find_device("cpu")
    (result,) = compile_module(module, "cpu").run([cpu.upload(a), cpu.upload(b)])
    assert cpu.download(result).tolist() == wanted


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_integers_of_the_gpu_are_python_integers_that_wrap(kind: str) -> None:
    a, b = pairs(int32)
    module = Sample(kind, BinaryOp, {"kind": binary_kind(kind)}, (a, b)).module()
    gpu = find_device("gpu")
    (result,) = compile_module(module, "gpu").run([gpu.upload(a), gpu.upload(b)])
    wanted = [expected(kind, int(x), int(y), int32) for x, y in zip(a, b, strict=True)]
    assert gpu.download(result).tolist() == wanted
