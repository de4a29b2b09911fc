"""Every tensor op, compiled by the GPU's pipeline and run on the GPU, within its error budget."""

from collections.abc import Iterator

import numpy as np
import pytest

from picograd.backends.wgsl.device import GpuDevice
from picograd.compiler.executable import compile_module
from picograd.dialects import dtypes
from picograd.errors import IndexOutOfRange
from picograd.semantics.accuracy import GPU
from picograd.semantics.bounds import compare
from picograd.semantics.evaluate import evaluate
from picograd.semantics.samples import Sample, all_samples, out_of_range_samples

pytestmark = pytest.mark.gpu

# Of their own, or as int64 in 32 bits. Narrow dtypes, which become these, are tried on every device
# together, in tests/backends/test_every_op.py.
HELD = {dtypes.float32, dtypes.int32, dtypes.int64, dtypes.bool_}


def fits(sample: Sample) -> bool:
    """Whether the GPU can hold the sample: its dtypes, and integers of at most 32 bits."""
    return sample.dtypes <= HELD and all(has_32_bits(array) for array in sample.inputs)


def has_32_bits(array: np.ndarray) -> bool:
    """Whether no int64 value needs more than 32 bits."""
    if array.dtype != np.int64 or not array.size:
        return True
    return array.min() >= -(2**31) and array.max() < 2**31


SAMPLES = [sample for sample in all_samples() if fits(sample)]
OPS = sorted({sample.op.name for sample in SAMPLES})


def samples_of(name: str) -> Iterator[Sample]:
    return (sample for sample in SAMPLES if sample.op.name == name)


def test_most_samples_run_here() -> None:
    wide = [sample for sample in all_samples() if sample.dtypes <= {*HELD, dtypes.float64}]
    assert len(SAMPLES) > 0.7 * len(wide)


@pytest.mark.parametrize("name", OPS)
def test_an_op_computes_what_it_should(name: str) -> None:
    device = GpuDevice()
    for sample in samples_of(name):
        module = sample.module()
        if not all(has_32_bits(array) for array in evaluate(module, list(sample.inputs))):
            continue
        executable = compile_module(module, "gpu")
        results = executable.run([device.upload(array) for array in sample.inputs])
        found = [device.download(result) for result in results]
        # WGSL promises nothing about infinities and NaN, so their elements may all be undecided;
        # of the few elements of an extreme sample, one may be.
        cap = 1.0 if sample.has_nonfinite else 0.2
        comparison = compare(module, sample.inputs, found, GPU, cap=cap)
        assert comparison.ok, f"{sample.name}: {comparison}"


@pytest.mark.parametrize("sample", [s for s in out_of_range_samples() if fits(s)], ids=str)
def test_an_index_out_of_range_is_reported_at_the_next_download(sample: Sample) -> None:
    device = GpuDevice()
    executable = compile_module(sample.module(), "gpu")
    (result,) = executable.run([device.upload(array) for array in sample.inputs])
    other = device.upload(np.arange(3, dtype=np.int32))
    with pytest.raises(IndexOutOfRange, match="out of range"):
        executable.device.download(result)
    np.testing.assert_array_equal(executable.device.download(other), [0, 1, 2])
