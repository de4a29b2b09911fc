"""Every op on every device, on its samples, within the budget of the device's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from picograd.backends.runtime import device
from picograd.compiler.executable import compile_module
from picograd.dialects.dtypes import float64, int64
from picograd.dialects.tensor import OPS, TensorOp
from picograd.errors import IndexOutOfRange, PicogradError
from picograd.semantics.bounds import ACCURACY, CAP, compare
from picograd.semantics.evaluate import evaluate
from picograd.semantics.samples import SAMPLES, Sample, out_of_range_samples

DEVICES = ["reference", "cpu", pytest.param("gpu", marks=pytest.mark.gpu)]


FIRST = {"cpu": 0, "gpu": 2}


def chosen(op: type[TensorOp], name: str) -> list[Sample]:
    """What runs on a device of the samples that it has the dtypes for.

    Compiling each takes a while: on cpu and gpu those with hard values, one of each kind and
    dtypes, and a quarter of the others, another one on each.
    """
    samples = [sample for sample in SAMPLES[op] if fits(sample, name)]
    if name == "reference" or len(samples) < 12:
        return samples
    taken: list[Sample] = []
    seen: set[object] = set()
    for number, sample in enumerate(samples, FIRST[name]):
        about = kind_and_dtypes(sample, op)
        if number % 4 == 0 or "special" in sample.name or about not in seen:
            taken.append(sample)
            seen.add(about)
    return taken


def kind_and_dtypes(sample: Sample, op: type[TensorOp]) -> object:
    tried = next(each for each in sample.module().walk() if isinstance(each, op))
    return getattr(tried, "kind", None), *sample.dtypes


def run(sample: Sample, name: str) -> list:
    on = device(name)
    executable = compile_module(sample.module(), name)
    results = executable.run([on.upload(array) for array in sample.inputs])
    return [on.download(result) for result in results]


def fits(sample: Sample, name: str) -> bool:
    """Whether a device has the sample's dtypes: the GPU lacks float64, its int64 hold 32 bits."""
    if name != "gpu":
        return True
    if float64 in sample.dtypes or (int64 in sample.dtypes and " shr" in sample.name):
        return False
    arrays = [*sample.inputs, *evaluate(sample.module(), sample.inputs)]
    integers = [array for array in arrays if array.dtype == np.int64 and array.size]
    return all(array.min() >= -(2**31) and array.max() < 2**31 for array in integers)


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_samples_keep_their_budget(op: type[TensorOp], name: str):
    tried = elements = undetermined = 0
    for sample in chosen(op, name):
        outputs = run(sample, name)
        report = compare(sample.module(), sample.inputs, outputs, ACCURACY[name], cap=1.0)
        assert report.ok, f"{sample}: {report}"
        tried += 1
        # WGSL promises nothing about NaN and infinity: samples that hold them are undetermined.
        if name != "gpu" or not sample.has_nonfinite:
            elements += report.elements
            undetermined += report.undetermined
    assert undetermined <= CAP * elements, f"{undetermined} of {elements}: use other inputs"
    assert tried >= 3


@pytest.mark.parametrize("name", DEVICES)
def test_indices_out_of_range_raise(name: str):
    for sample in out_of_range_samples():
        with pytest.raises(IndexOutOfRange):
            run(sample, name)


@pytest.mark.gpu
def test_the_gpu_names_what_it_cannot_hold():
    sample = next(s for s in SAMPLES[OPS[3]] if float64 in s.dtypes)
    with pytest.raises(PicogradError, match="float64"):
        run(sample, "gpu")
