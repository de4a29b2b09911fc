"""Random modules without Hypothesis: valid, varied, and the same for the same seed."""

from picograd.check.generation.programs import random_samples
from picograd.compiler.diagnostics import verify_module
from picograd.dialects.dtypes import float32
from picograd.dialects.tensor import PermuteOp, TensorOp, ints
from picograd.semantics.evaluate import evaluate


def test_modules_are_valid_varied_and_repeatable() -> None:
    first = list(random_samples(40, seed=3))
    again = list(random_samples(40, seed=3))
    assert [(str(a.module), a.seed) for a in first] == [(str(b.module), b.seed) for b in again]
    kinds: set[str] = set()
    for sample in first:
        verify_module(sample.module)
        evaluate(sample.module, sample.inputs)
        kinds |= {op.name for op in sample.module.walk() if isinstance(op, TensorOp)}
    assert len(kinds) > 8
    assert len({str(sample.module) for sample in first}) > 35


def test_one_sample_does_not_depend_on_how_many_are_drawn() -> None:
    (few,) = random_samples(1, seed=5)
    many = list(random_samples(9, seed=5))
    assert str(few.module) == str(many[0].module)
    assert str(few.module) != str(next(random_samples(1, seed=6)).module)


def test_kinds_of_ops_and_dtypes_may_be_chosen() -> None:
    for sample in random_samples(20, seed=1, makers=("binary",), dtypes=(float32,), sizes=(2, 3)):
        for op in sample.module.walk():
            if isinstance(op, TensorOp):
                assert "i32" not in str(op.result.type)


def test_permutes_do_not_only_swap_neighbours() -> None:
    """A permutation that is its own inverse cannot tell whoever reads it backwards."""
    samples = random_samples(40, seed=0, makers=("permute",), sizes=(3,))
    permutations = [
        ints(op.permutation)
        for sample in samples
        for op in sample.module.walk()
        if isinstance(op, PermuteOp)
    ]
    one_way = [p for p in permutations if [p[axis] for axis in p] != sorted(p)]
    assert len(one_way) > len(permutations) // 8
