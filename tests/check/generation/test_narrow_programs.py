"""Random programs of narrow dtypes: every device gives what the tensor level means."""

from __future__ import annotations

import os

import numpy as np
import pytest

from picograd.backends.runtime import device
from picograd.check.generation.programs import random_samples
from picograd.check.generation.sketch import NARROW_DTYPES
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module
from picograd.dialects import dtypes, new_context
from picograd.dialects.dtypes import DType
from picograd.dialects.tensor import UnaryKind
from picograd.passes import PASSES
from picograd.passes.canonicalize import Canonicalize
from picograd.passes.legalize_types import LegalizeTypes
from picograd.semantics.bounds import ACCURACY, compare
from picograd.semantics.evaluate import entry_of, evaluate

FAMILIES: dict[str, tuple[DType, ...]] = {
    "integers": (dtypes.float32, *(dtypes.int8, dtypes.uint8, dtypes.int16) * 3),
    "halves": (dtypes.float16, dtypes.bfloat16),
    "mixed": NARROW_DTYPES,
}
PROGRAMS = 12
EXACT = (UnaryKind.NEG, UnaryKind.ABS, UnaryKind.SIGN, UnaryKind.NOT)
"""The ops of one operand that integers have."""
SEED = int(os.environ.get("PICOGRAD_TEST_SEED", "0"))
"""Another one draws other programs."""


@pytest.mark.parametrize("name", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("family", FAMILIES)
def test_devices_agree_with_the_reference(family: str, name: str) -> None:
    on = device(name)
    decided = 0
    for sample in random_samples(PROGRAMS, seed=41 + SEED, dtypes=FAMILIES[family]):
        executable = compile_module(sample.module, name)
        outputs = executable.run([on.upload(array) for array in sample.inputs])
        found = [on.download(output) for output in outputs]
        # A chance program may hang on decisions; what is decided must agree.
        report = compare(sample.module, sample.inputs, found, ACCURACY[name], cap=1.0)
        assert report.ok, f"{sample}\n{report}"
        decided += report.undetermined <= 0.25 * report.elements
    assert decided >= PROGRAMS // 2


@pytest.mark.parametrize("target", ["cpu", "gpu"])
@pytest.mark.parametrize("family", FAMILIES)
def test_legalize_types_keeps_the_meaning(family: str, target: str) -> None:
    for sample in random_samples(3 * PROGRAMS, seed=43 + SEED, dtypes=FAMILIES[family]):
        module = sample.module.clone()
        LegalizeTypes(target=target).apply(new_context(), module)
        module.verify()
        types = [dtypes.type_of(argument) for argument in entry_of(module).args]
        held = [
            array.astype(dtypes.dtype_of(type).numpy)
            for array, type in zip(sample.inputs, types, strict=True)
        ]
        found = evaluate(module, held)
        expected = evaluate(sample.module, sample.inputs)
        back = [a.astype(b.dtype) for a, b in zip(found, expected, strict=True)]
        report = compare(sample.module, sample.inputs, back, cap=1.0)
        assert report.ok, f"{sample}\n{report}"


@pytest.mark.parametrize("name", ["canonicalize", "cse", "dce"])
@pytest.mark.parametrize("family", FAMILIES)
def test_passes_over_tensors_keep_the_meaning(family: str, name: str) -> None:
    """They see narrow dtypes before they are legalized: numbers without a sign, sums that wrap."""
    for sample in random_samples(5 * PROGRAMS, seed=47 + SEED, dtypes=FAMILIES[family]):
        module = sample.module.clone()
        PASSES[name]().apply(new_context(), module)
        module.verify()
        report = compare(sample.module, sample.inputs, evaluate(module, sample.inputs), cap=1.0)
        assert report.ok, f"{sample}\n{report}"


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("dtype", [dtypes.uint8, dtypes.int8, dtypes.int16], ids=str)
def test_two_unary_ops_of_narrow_integers_mean_what_they_say(kind: UnaryKind, dtype: DType) -> None:
    """Exhaustively, for rules that take two of them as one."""
    type = f"tensor<256x{dtype.ir}>"
    values = np.arange(256).astype(dtype.numpy)
    for outer in EXACT:
        module = parse_module(f"""
            func.func @main(%x: {type}) -> {type} {{
              %a = pico.unary {kind} %x : {type}
              %b = pico.unary {outer} %a : {type}
              func.return %b : {type}
            }}""")
        expected = evaluate(module, [values])
        Canonicalize().apply(new_context(), module)
        np.testing.assert_array_equal(evaluate(module, [values]), expected)
