"""Every row of the table of functions, on every device, eagerly and compiled, against NumPy.

One test runs the cases of a row on one device in one mode; compiled, they are one function, forward
and backward. Messages name function, case, inputs, expected and found.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, lru_cache

import numpy as np
import pytest

import picograd
from picograd.backends import runtime
from picograd.check.functions import FUNCTIONS
from picograd.check.functions.expected import Expected, expect, samples_of
from picograd.check.functions.judging import differences, report
from picograd.check.functions.running import Found, call_wrongly, run_compiled, run_eagerly
from picograd.check.functions.table import Function, base_of, by_name
from picograd.dialects.literals import Array
from picograd.errors import DeviceError, PicogradError

# Compiling takes the time. The reference runs every case of a row. Compiled, gpu runs half of them,
# and cpu the others, with those that a GPU has no dtypes for: all of them without a GPU. Eagerly
# every op is a program of its own, and both run a fifth. Forms in place are functions of other rows
# and a store: a fourth, compiled only. Other rows run other cases. `make samples` sets
# PICOGRAD_ALL_CASES=1: everything runs everywhere.
ALL_CASES = os.environ.get("PICOGRAD_ALL_CASES") == "1"
ROWS = {row.name: row for row in FUNCTIONS}
GPU = pytest.mark.gpu
IN_PLACE_RUNS = {("reference", "eager"), ("cpu", "compiled"), ("gpu", "compiled")}
RUNS = [
    pytest.param(name, device, mode, marks=[GPU] if device == "gpu" else [])
    for name in ROWS
    for device, mode in (
        ("reference", "eager"),
        ("cpu", "compiled"),
        ("gpu", "compiled"),
        ("cpu", "eager"),
        ("gpu", "eager"),
    )
    if ALL_CASES or not name.endswith("_") or (device, mode) in IN_PLACE_RUNS
]
DEVICES = ["reference", "cpu", pytest.param("gpu", marks=GPU)]


@pytest.fixture(autouse=True)
def reference_by_default() -> Iterator[None]:
    picograd.set_default_device("reference")
    yield
    picograd.set_default_device(None)


@lru_cache(maxsize=4)
def expected_of(name: str) -> list[Expected]:
    return [expect(sample) for sample in samples_of(ROWS[name])]


@cache
def has_gpu() -> bool:
    try:
        runtime.device("gpu")
    except DeviceError:
        return False
    return True


def runnable(row: Function, device: str, mode: str) -> list[Expected]:
    """The cases of a row that a device runs in a mode, of those that it has the dtypes for."""
    if device in row.devices:
        pytest.skip(f"{row.name} does not run on {device}: {row.devices[device]}")
    every = expected_of(row.name)
    if device == "reference":
        return every
    possible = [one for one in every if "gpu" not in row.devices and fits_32_bits(one)]
    if ALL_CASES:
        return possible if device == "gpu" else every
    of_gpu = share(row.name, mode, possible, shift=1) if has_gpu() else []
    if device == "gpu":
        return of_gpu
    if mode == "eager" or row.name.endswith("_"):
        return share(row.name, mode, every)
    taken = set(map(id, of_gpu))
    return [one for one in every if id(one) not in taken] or every


def share(name: str, mode: str, cases: Sequence[Expected], shift: int = 0) -> list[Expected]:
    """Some of the cases of a row, at least one of them, other ones of other rows."""
    parts = 4 if name.endswith("_") else 5 if mode == "eager" else 2
    parts = max(1, min(parts, len(cases)))
    return list(cases[(list(ROWS).index(name) + shift) % parts :: parts])


def fits_32_bits(expected: Expected) -> bool:
    """GPUs have neither float64 nor integers beyond 32 bits."""
    case, limits = expected.sample.case, np.iinfo(np.int32)
    bases = [base_of(given) for given in case.inputs]
    integers = [base for base in bases if base.dtype == np.int64]
    return (
        all(base.dtype != np.float64 for base in bases)
        and "torch.float64" not in case.options.values()
        and all(base.min(initial=0) >= limits.min for base in integers)
        and all(base.max(initial=0) <= limits.max for base in integers)
    )


@pytest.mark.parametrize(("name", "device", "mode"), RUNS)
def test_results_and_gradients(name: str, device: str, mode: str) -> None:
    cases = runnable(ROWS[name], device, mode)
    samples = [one.sample for one in cases]
    picograd.set_default_device(device)
    found: list[Found] = (run_eagerly if mode == "eager" else run_compiled)(samples)
    accuracy = "gpu" if device == "gpu" else "cpu"
    wrong = [
        message
        for one, got in zip(cases, found, strict=True)
        for message in differences(one, got, accuracy, finite_only=device == "gpu")
    ]
    assert not wrong, report(wrong)
    if mode == "eager" and device == "reference":
        assert_small_errors_are_noticed(cases, found)


def assert_small_errors_are_noticed(cases: Sequence[Expected], found: Sequence[Found]) -> None:
    """Results and gradients that are off by one part in ten thousand are outside their budgets.

    Where all are 0, infinite, NaN or of less digits there is nothing to be off.
    """
    wrong, could = False, False
    for one, got in zip(cases, found, strict=True):
        arrays = [*got.results, *got.gradients]
        precise = {"float32", "float64"}.issuperset({*got.dtypes, *(a.dtype.name for a in arrays)})
        if precise and any(np.any(np.isfinite(array) & (array != 0)) for array in arrays):
            results = tuple(slightly_off(array) for array in got.results)
            gradients = tuple(slightly_off(array) for array in got.gradients)
            off = replace(got, results=results, gradients=gradients)
            could, wrong = True, wrong or any(differences(one, off, "cpu"))
    assert wrong or not could, "budgets are so wide that an error of 1e-4 goes unnoticed"


def slightly_off(array: Array) -> Array:
    return array * array.dtype.type(1 + 1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", [row.name for row in FUNCTIONS if row.errors])
def test_mistakes(name: str, device: str) -> None:
    row = ROWS[name]
    if device in row.devices:
        pytest.skip(f"{row.name} does not run on {device}: {row.devices[device]}")
    picograd.set_default_device(device)
    for error in row.errors:
        with pytest.raises(error.raises, match=error.match or None) as raised:
            call_wrongly(picograd, row, error)
            print(f"nothing was raised by {row.name}, {error.label!r}")
        mistake = raised.value
        if type(mistake) is not TypeError:  # Python's own, of arguments that a call lacks
            assert isinstance(mistake, PicogradError), f"{error.label}: {mistake!r}"
            assert mistake.hint, f"{error.label}: {mistake}"


@pytest.mark.parametrize("name", [row.name for row in FUNCTIONS if row.also])
def test_other_names_are_the_same_function(name: str) -> None:
    """Every name that a row claims, with the arguments of its first cases."""
    row = ROWS[name]
    for sample in samples_of(row)[:6]:
        (found,) = run_eagerly([sample])
        for other in row.also:
            (same,) = run_eagerly([replace(sample, row=replace(row, call=by_name(other)))])
            for ours, theirs in zip(same.results, found.results, strict=True):
                np.testing.assert_array_equal(ours, theirs, err_msg=f"{other}: {sample}")
