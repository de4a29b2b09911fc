"""Every op has a row in every table, and samples that catch mistakes."""

from __future__ import annotations

import numpy as np
import pytest

from picograd.dialects.dtypes import DTYPES, is_float_array
from picograd.dialects.tensor import (
    OPS,
    BinaryKind,
    CompareKind,
    ReduceKind,
    ScatterKind,
    TensorOp,
    UnaryKind,
)
from picograd.semantics.bounds import BOUNDS
from picograd.semantics.samples import SAMPLES, all_samples
from picograd.semantics.tensor import EVALUATE

TABLES = {"EVALUATE": EVALUATE, "BOUNDS": BOUNDS, "SAMPLES": SAMPLES}


@pytest.mark.parametrize("table", TABLES)
def test_every_op_has_a_row_in_every_table(table: str):
    missing = [op.name for op in OPS if op not in TABLES[table]]
    assert not missing, f"{table} lacks a row for {', '.join(missing)}"
    assert len(TABLES[table]) == len(OPS)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_every_op_has_at_least_six_samples(op: type[TensorOp]):
    samples = SAMPLES[op]
    assert len(samples) >= 6
    assert all(sample.op is op for sample in samples)
    for sample in samples:
        sample.module().verify()


@pytest.mark.parametrize("op", [op for op in OPS if "kind" in SAMPLES[op][0].properties])
def test_every_kind_has_at_least_six_samples(op: type[TensorOp]):
    counts: dict[str, int] = {}
    for sample in SAMPLES[op]:
        kind = sample.properties["kind"].data  # type: ignore[attr-defined]
        counts[kind] = counts.get(kind, 0) + 1
    assert set(counts) == set(type(next(iter(counts))))  # type: ignore[call-overload]
    assert min(counts.values()) >= 6, counts


def test_kinds_are_all_known():
    assert len(UnaryKind) == 17 and len(BinaryKind) == 14 and len(CompareKind) == 6
    assert len(ReduceKind) == 6 and len(ScatterKind) == 2


def test_samples_hold_the_hard_cases():
    shapes = {array.shape for sample in all_samples() for array in sample.inputs}
    assert {(), (0,), (1,), (7,), (3, 5)} <= shapes
    floats = [a for s in all_samples() for a in s.inputs if is_float_array(a) and a.size]
    assert any(np.isnan(a).any() for a in floats)
    assert any(np.isinf(a).any() for a in floats)
    assert any((np.signbit(a) & (a == 0)).any() for a in floats)
    assert any(sample.has_nonfinite for sample in all_samples())
    names = {dtype.name for sample in all_samples() for dtype in sample.dtypes}
    assert names == {dtype.name for dtype in DTYPES}


def test_samples_do_not_change_from_run_to_run():
    from_module = {sample.name: sample for sample in all_samples()}
    again = from_module["pico.unary exp float32 3x5"].inputs[0]
    assert again.sum() == pytest.approx(again.astype(np.float64).sum(), rel=1e-5)
    assert len({sample.name for sample in all_samples()}) > 900
