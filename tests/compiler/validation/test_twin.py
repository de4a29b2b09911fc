"""Twins are small, go through the same passes, and are tiled where the original is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

import picograd
from picograd import Tensor, nn
from picograd.check.generation.programs import random_inputs, random_samples
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pass_list import as_passes
from picograd.compiler.pipelines import pipeline
from picograd.compiler.validation.inputs import draw_inputs, fitted
from picograd.compiler.validation.small_passes import small_passes, small_target
from picograd.compiler.validation.tiles_seen import Cut, Remainder, cuts_of
from picograd.compiler.validation.twin import Twin, twin
from picograd.dialects.loop import ParallelOp
from picograd.passes import PASSES, Level, Pass
from picograd.semantics.bounds import compare
from picograd.semantics.counters import count
from picograd.semantics.evaluate import entry_of, evaluate
from picograd.study.demos.digits import WORKLOAD
from picograd.targets import lookup


@cache
def digits_step() -> ModuleOp:
    session = WORKLOAD.begin("cpu", 0)
    batch = next(session.batches(0))
    step = picograd.compile(session.step, device="cpu")
    return step.trace(*map(picograd.tensor, batch)).module


def traced(function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> ModuleOp:
    arrays = [picograd.zeros(shape) for shape in shapes]
    return picograd.compile(function, device="cpu").trace(*arrays).module


def gpt_block() -> ModuleOp:
    attention = nn.MultiheadAttention(96, 6, batch_first=True)
    norm, feed = nn.LayerNorm(96), nn.Linear(96, 384)

    def block(x: Tensor) -> Tensor:
        hidden = x + attention(norm(x), norm(x), norm(x), need_weights=False)[0]
        return feed(hidden).relu().sum()

    return traced(block, (8, 64, 96))


def convolution() -> ModuleOp:
    layers = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 48, 3, stride=2)
    )
    return traced(layers, (16, 3, 40, 40))


def work(module: ModuleOp) -> int:
    return count(module).operations


def lowered(small: Twin) -> ModuleOp:
    """The twin after its passes, which mean what it did before them."""
    module = small.module.clone()
    run_pipeline(module, small.passes)
    ordinary = draw_inputs(small.module, 3)[0]
    outputs = evaluate(module, fitted(ordinary, entry_of(module)))
    report = compare(small.module, ordinary, outputs)
    assert not report.excesses, report
    return module


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_the_twin_of_a_training_step_is_tiled_as_the_step_is(device: str) -> None:
    small = twin(digits_step(), pipeline(device))
    assert small.kept == ()
    assert work(small.module) * 10 < work(digits_step())
    assert len(entry_of(small.module).body.block.ops) == len(entry_of(digits_step()).body.block.ops)
    original, seen = cuts_of(digits_step(), pipeline(device)), cuts_of(small.module, small.passes)
    assert kinds(seen) >= kinds(original)
    assert any(kind.several and kind.rest != "0" for kind in kinds(original)) == (device == "cpu")
    mappings = {
        op.mapping.data
        for op in lowered(small).walk()
        if isinstance(op, ParallelOp) and op.mapping is not None
    }
    assert mappings == ({"threads"} if device == "cpu" else {"grid", "workgroup"})


def kinds(cuts: Sequence[Cut] | frozenset[Cut]) -> set[Remainder]:
    return {kind for cut in cuts for kind in cut.remainders()}


@pytest.mark.parametrize(
    ("program", "device"), [(gpt_block, "cpu"), (convolution, "cpu"), (convolution, "gpu")]
)
def test_twins_of_networks_run(program: Callable[[], ModuleOp], device: str) -> None:
    module = program()
    small = twin(module, pipeline(device))
    assert work(small.module) * 20 < work(module)
    lowered(small)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_every_pipeline_runs_on_the_twins_of_random_programs(device: str) -> None:
    for sample in random_samples(15, 8, sizes=(20, 7, 1), makers=("matmul", "reduce", "binary")):
        small = twin(sample.module, pipeline(device))
        run_pipeline(small.module.clone(), small.passes)
        evaluate(small.module, random_inputs(small.module, 0))


def test_remainders() -> None:
    assert cut(64, 16) == {("0", True)}
    assert cut(65, 16) == {("1", True)}
    assert cut(79, 16) == {("tile - 1", True)}
    assert cut(70, 16) == {("other", True)}
    assert cut(10, 16) == cut(16, 16) == {("0", False)}
    # Two kinds are one where a tile has two elements.
    assert cut(5, 2) == {("1", True), ("tile - 1", True), ("other", True)}


def cut(extent: int, tile: int) -> set[tuple[str, bool]]:
    return {(kind.rest, kind.several) for kind in Cut(0, extent, tile).remainders()}


@pytest.mark.parametrize("size", [96, 97, 103, 101])
def test_dimensions_keep_the_kind_of_their_remainder(size: int) -> None:
    passes = pipeline("cpu").replace("tile_loops", 'tile_loops{sizes="i=8" exact=true}', number=2)
    steps = [n for n, step in enumerate(passes) if getattr(step, "sizes", "") == "i=8"]
    module = traced(lambda x: x.exp() + 1.0, (size,))
    small = twin(module, passes)
    assert small.kept == ()
    before, after = cuts_of(module, passes), cuts_of(small.module, small.passes)
    assert kinds(c for c in before if c.step in steps) <= kinds(c for c in after if c.step in steps)  # pyright: ignore
    assert max(c.extent for c in after) < 30


def test_tile_sizes_shrink_together() -> None:
    passes = as_passes(
        'tile_loops{sizes="j=144 i=7"},stage_operands{operand="w" layout="j=48"},'
        'tile_loops{sizes="j=48" exact=true},vectorize_loops{reduce="k=16"},unroll_tiles{width=16},'
        "tree_reduce{threads=128},parallelize_loops{grain=100}"
    )
    small, remarks = small_passes(passes)
    assert remarks == ()
    tiny = "cpu:vector_bits=128,vector_registers=16,l1_bytes=512,l2_bytes=1024,l3_bytes=4096"
    options = [str(step).replace(tiny, "TINY") for step in small]
    assert 'sizes="j=24 i=3"' in options[0]
    assert 'layout="j=8"' in options[1]
    assert 'sizes="j=8"' in options[2]
    assert 'reduce="k=4"' in options[3]
    assert "width=4" in options[4]
    assert "threads=8" in options[5]
    assert "grain=0" in options[6]


def test_a_machine_that_is_small_already_stays() -> None:
    target = lookup(small_target("cpu:cores=1,l1_bytes=256,vector_bits=512,fma=false"))
    assert (target.cores, target.l1_bytes, target.vector_bits, target.fma) == (1, 256, 128, False)
    assert lookup(small_target("gpu:storage_buffers=4")).storage_buffers == 4


@dataclass(frozen=True)
class Fails(Pass):
    """A pass that raises on what is as large as the original."""

    name: ClassVar[str] = "fails"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR
    limit: int = 1000

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise ZeroDivisionError


def test_what_does_not_shrink_is_said() -> None:
    module = traced(lambda x: x.reshape(40, 60).sum() + x.sum(), (60, 40))
    small = twin(module, pipeline("cpu").before("canonicalize", Fails()))
    assert "axis 0 of %x, of size 60, now 60: pico.reshape cuts axes" in small.kept[0]
    assert "limit=1000 of fails: nobody knows what it is compared with" in small.kept
    assert "the module cannot be tiled: a pass raised ZeroDivisionError" in small.kept


@dataclass(frozen=True)
class WantsLarge(Fails):
    """A pass that raises on what is smaller than it was written for."""

    name: ClassVar[str] = "wants_large"
    limit: int = 16

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if work(op) < 1000:
            raise ZeroDivisionError


def test_passes_that_take_nothing_smaller_are_left_the_module() -> None:
    module = traced(lambda x: x.exp() + 1.0, (3000,))
    passes = pipeline("cpu").before("canonicalize", WantsLarge())
    small = twin(module, passes)
    assert small.module.is_structurally_equivalent(module)
    assert small.passes == passes
    assert small.kept == (
        "nothing is smaller: no op, or no pass, takes the sizes that were tried",
        "a smaller one cannot be tiled: a pass raised ZeroDivisionError",
    )


def test_every_option_that_shrinks_is_one() -> None:
    for step in PASSES.values():
        small_passes([step()])
