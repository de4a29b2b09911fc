"""kernel_by_kernel: kernels that are finished one by one are what they become together."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from picograd.backends.runtime import Compiling, Image
from picograd.check.generation.programs import random_samples
from picograd.compiler.driver import count_ops, run_pipeline
from picograd.compiler.kernel_by_kernel import run_kernel_by_kernel, split
from picograd.compiler.pass_list import as_passes
from picograd.compiler.pipelines import pipeline, tuned_pipeline
from picograd.dialects.loop import KernelOp
from picograd.errors import PassError
from picograd.passes import PASSES
from picograd.passes.unroll_tiles import UnrollTiles


class Collected(Compiling):
    """Notes what it is given, as it is then."""

    def __init__(self) -> None:
        self.kernels: list[str] = []

    def kernel(self, op: Operation) -> None:
        self.kernels.append(str(op))

    def finish(self, module: ModuleOp) -> Image:
        raise NotImplementedError

    def stop(self) -> None:
        pass


def test_they_become_what_they_become_together() -> None:
    head, tail = split(pipeline("cpu"))
    assert tail[0].name == "merge_axes" and len(tail) > 8
    for sample in random_samples(6, 5, fewest_ops=4, most_ops=10):
        together, apart = sample.module, sample.module.clone()
        wanted = run_pipeline(together, pipeline("cpu"))
        records = run_pipeline(apart, head)
        facts = frozenset[str]().union(*(step.establishes for step in head))
        collected = Collected()
        records += run_kernel_by_kernel(apart, tail, collected, facts=facts, verify=True)
        apart.verify()
        assert str(apart) == str(together)
        assert collected.kernels == [str(op) for op in apart.ops if isinstance(op, KernelOp)]
        if collected.kernels:
            told = [(one.spelling, one.ops_before, one.ops_after) for one in records]
            assert told == [(one.spelling, one.ops_before, one.ops_after) for one in wanted]
            assert records[-1].ops_after == count_ops(apart)


@pytest.mark.parametrize(
    "steps",
    [
        'tile_loops{sizes="i=4"}',
        'hoist_reduce{loop="k" above="i"}',
        'stage_operands{operand="x" at="i"}',
    ],
)
def test_a_pass_that_is_told_of_a_loop_sees_all_kernels(steps: str) -> None:
    head, tail = split(as_passes(f"merge_axes,{steps},unroll_tiles", PASSES))
    assert [step.name for step in tail] == ["unroll_tiles"] and len(head) == 2


def test_notes_of_tuned_schedules_are_made_before() -> None:
    head, tail = split(tuned_pipeline("cpu", "x"))
    assert head[-1].name == "choose_schedules" and tail
    assert split(pipeline("gpu"))[0] and not split(pipeline("reference"))[1]


def test_a_pass_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = next(iter(random_samples(1, 5, fewest_ops=4, most_ops=10)))
    head, tail = split(pipeline("cpu"))
    run_pipeline(sample.module, head)

    def fail(*_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(UnrollTiles, "apply", fail)
    with pytest.raises(PassError, match="unroll_tiles"):
        run_kernel_by_kernel(sample.module, tail, Collected(), facts=None, verify=False)
