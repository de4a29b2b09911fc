"""The makers of edge cases: what each appends verifies, runs, and is what it says it is."""

import numpy as np
import pytest

from picograd.check.generation.makers import MAKERS
from picograd.check.generation.makers_chains import CHAINS
from picograd.check.generation.makers_edges import EDGES
from picograd.check.generation.programs import random_samples
from picograd.check.generation.sketch import DTYPES, NARROW_DTYPES
from picograd.compiler.diagnostics import verify_module
from picograd.dialects.dtypes import type_of
from picograd.dialects.literals import array_of
from picograd.dialects.tensor import ConstantOp, ScatterOp
from picograd.semantics.evaluate import evaluate


@pytest.mark.parametrize("dtypes", [DTYPES, NARROW_DTYPES], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", [*EDGES, *CHAINS])
def test_what_a_maker_appends_verifies_and_runs(name: str, dtypes: tuple[object, ...]) -> None:
    for sample in random_samples(25, 3, makers=(name,), dtypes=dtypes, most_ops=5):  # pyright: ignore
        verify_module(sample.module)
        if dtypes is DTYPES and name != "out_of_range":
            assert evaluate(sample.module, sample.inputs)


def test_names_are_of_one_kind_only() -> None:
    assert len({*MAKERS, *EDGES, *CHAINS}) == len(MAKERS) + len(EDGES) + len(CHAINS)


def test_they_make_empty_values_equal_indices_and_extreme_numbers() -> None:
    def ops(name: str):
        return [
            op
            for sample in random_samples(40, 5, makers=(name,), most_ops=6)
            for op in sample.module.walk()
        ]

    sizes = [type_of(op.results[0]).get_shape() for op in ops("nothing") if op.results]
    assert sum(0 in shape for shape in sizes) > 40
    indices = [
        array_of(op.index.owner.value)
        for op in ops("duplicates")
        if isinstance(op, ScatterOp) and isinstance(op.index.owner, ConstantOp)
    ]
    assert sum(len(np.unique(index)) < index.size for index in indices) > 20
    numbers = {array_of(op.value).item() for op in ops("extremes") if isinstance(op, ConstantOp)}
    assert {2**31 - 1, -(2**31), 2**63 - 1} <= numbers
