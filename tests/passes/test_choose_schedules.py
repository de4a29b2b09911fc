"""choose_schedules: what may be chosen, what comes of it, and that results stay right."""

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

import picograd
from picograd import Tensor
from picograd.check.differential import run_on
from picograd.check.generation.options import random_choices
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.executable import compile_module
from picograd.compiler.pass_list import Pipeline, as_passes
from picograd.compiler.pipelines import pipeline
from picograd.dialects import new_context
from picograd.dialects.loop import AllocOp, KernelOp, LoopOp, ParallelOp, StoreOp
from picograd.errors import OptionError
from picograd.passes.choose_schedules import ChooseSchedules, digest_of, parse_table, spelled
from picograd.passes.schedule.choices import NONE, SCHEDULE, Choices, choices_for, parse_choices
from tests.thread_counts import same_at_any_count

AVX512 = "cpu:vector_bits=512,vector_registers=32,l1_bytes=32768,l2_bytes=1048576,l3_bytes=33554432"


def traced(function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> ModuleOp:
    tensors = [picograd.zeros(shape) for shape in shapes]
    return picograd.compile(function, "cpu").trace(*tensors).module


def with_choices(choices: str, target: str = "cpu") -> Pipeline:
    steps = pipeline("cpu") if target == "cpu" else pipeline("cpu").aimed_at(target)
    return steps.after("merge_axes", ChooseSchedules(choices))


def lowered(module: ModuleOp, choices: str) -> ModuleOp:
    module = module.clone()
    run_pipeline(module, with_choices(choices, AVX512))
    return module


def test_a_note_for_a_kernel_is_found_by_name_by_digest_or_by_a_star() -> None:
    text = """
    loop.kernel @NAME(%x: memref<8xf32>, %y: memref<8xf32>) {
      loop.parallel %i = 0 to 8 {
        %v = loop.load %x[%i] : memref<8xf32>
        loop.store %v, %y[%i] : f32, memref<8xf32>
      }
    }"""
    module = parse_module(text.replace("NAME", "one") + text.replace("NAME", "two"))
    one, two = (op for op in module.ops if isinstance(op, KernelOp))
    digest = digest_of(one)
    assert digest == digest_of(two) and len(digest) == 64
    assert digest != digest_of(next(iter(parse_module(text.replace("8", "9")).ops)))  # type: ignore
    ChooseSchedules(f"two: rows=2; {digest}: rows=3; *: rows=4").apply(new_context(), module)
    assert choices_for(one) == Choices(rows=3) and choices_for(two) == Choices(rows=2)
    inner = next(op for op in two.walk() if isinstance(op, StoreOp))
    assert choices_for(inner) == Choices(rows=2)
    ChooseSchedules("two: ; *: rows=4 pack=none").apply(new_context(), module)
    assert choices_for(one) == Choices(rows=4, pack="none") and choices_for(two).rows == 2
    assert 'attributes {schedule = "rows=4 pack=none"}' in str(module)
    assert str(parse_module(str(module))) == str(module)
    before = str(module)
    ChooseSchedules().apply(new_context(), module)
    assert str(module) == before
    assert digest_of(one) == digest  # a note is no part of it
    assert choices_for(module) is NONE


def test_tables_and_choices_are_read_as_they_are_spelled() -> None:
    table = parse_table("matmul: rows=6 vectors=4;\n *: grain=40 prefetch=off ;")
    assert table == {
        "matmul": Choices(rows=6, vectors=4),
        "*": Choices(grain=40, prefetch="off"),
    }
    assert parse_table(spelled(table)) == table
    (step,) = as_passes(str(ChooseSchedules(spelled(table))))
    assert step == ChooseSchedules(spelled(table))
    rng = Random(3)
    for _ in range(50):
        drawn = random_choices(rng)
        assert parse_choices(str(drawn)) == drawn and NONE.but(drawn) == drawn
        for name in drawn.made:
            assert name not in drawn.without(name).made


@pytest.mark.parametrize(
    "text",
    [
        "rows=4",
        "m: rows",
        "m: rows=4 rows=5",
        "m: lines=4",
        "m: rows=0",
        "m: rows=-1",
        "m: rows=1000",
        "m: rows=²",
        "m: pack=all",
        "m: rows=1; m: rows=2",
        ": rows=1",
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="cannot be read") as caught:
        ChooseSchedules(text).apply(new_context(), ModuleOp([]))
    assert caught.value.code == "PG703" and caught.value.expected and caught.value.hint


def test_each_choice_is_followed() -> None:
    product = traced(lambda a, b: a @ b, (600, 700), (700, 900))

    def tiles(choices: str) -> set[int]:
        """How many vectors of sums the loops of the product carry."""
        module = lowered(product, choices)
        sums = (op.parent_op() for op in module.walk() if op.name == "math.fma")
        return {len(op.results) for op in sums if op is not None}

    assert 4 * 3 in tiles("*: rows=4 vectors=3") and 3 * 2 in tiles("*: rows=3 vectors=2")

    def copies(choices: str) -> int:
        return sum(isinstance(op, AllocOp) for op in lowered(product, choices).walk())

    small = "*: rows=1 vectors=1"
    assert [copies(f"{small} pack={what}") for what in ("none", "left", "both")] == [0, 1, 2]
    blocks = lowered(product, "*: depth=176 width=256 height=192 rows=6 vectors=1")
    # Blocks are even: three of 600 rows, in sixes, and three or four of 900 columns in sixteens.
    steps = {dim.step for op in blocks.walk() if isinstance(op, LoopOp) for dim in op.dims}
    assert {176, 204, 240} <= steps

    chain = traced(lambda x: (x * 2.0 + 1.0).relu(), (1 << 20,))
    assert "step 96 " in str(lowered(chain, "*: vectors=6"))
    chunks = {
        op.dims[0].step
        for grain in (5, 40)
        for op in lowered(chain, f"*: grain={grain}").walk()
        if isinstance(op, ParallelOp) and op.mapping is not None
    }
    assert len(chunks) == 2
    assert "{stream}" in str(lowered(chain, "*: stores=streamed"))
    assert "{stream}" not in str(lowered(chain, "*: stores=cached"))

    sums = traced(lambda x: x.sum(1), (300, 5000))
    assert "vector<16xf32>" in str(lowered(sums, "*: accumulators=1 repeat=4"))
    alone = str(lowered(sums, "*: accumulators=2 streams=1"))
    assert alone.count("math") + alone.count("arith.addf") < str(
        lowered(sums, "*: accumulators=2 streams=4")
    ).count("arith.addf")
    assert "repeat = 4" in str(lowered(sums, "*: repeat=4 accumulators=1 streams=1"))

    rows = traced(lambda x: x.softmax(1), (3000, 1024))
    assert "fetch_l" in str(lowered(rows, "*: grain=40"))
    assert "fetch_l" not in str(lowered(rows, "*: prefetch=off"))


PROGRAMS: dict[str, tuple[Callable[..., Tensor], tuple[tuple[int, ...], ...]]] = {
    "bias, tanh": (
        lambda a, b, c: (a @ b.T + c).tanh(),
        ((37, 90), (67, 90), (67,)),
    ),
    "TN": (lambda a, b: a.T @ b, ((90, 31), (90, 49))),
    "columns": (lambda x: x.sum(0), ((300, 1100),)),
    "rows": (lambda x: (x - x.max(1, keepdim=True)[0]).exp().sum(1), ((45, 700),)),
    "chain": (lambda x, y: ((x * y + x).tanh() - y).relu(), ((5, 999), (5, 999))),
    "matrix-vector": (lambda a, b: a @ b, ((203, 517), (517,))),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_results_are_right_whatever_is_chosen(name: str, rng: np.random.Generator) -> None:
    function, shapes = PROGRAMS[name]
    module = traced(function, *shapes)
    inputs = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    draw = Random(int(rng.integers(1 << 32)))
    small = "cpu:l1_bytes=2048,l2_bytes=16384,l3_bytes=131072"
    choices = random_choices(draw)
    target = small + draw.choice(("", ",vector_bits=128,vector_registers=16"))
    outcome = run_on("cpu", module, inputs, passes=with_choices(f"*: {choices}", target))
    assert outcome.ok, f"{choices} for {target}: {outcome.explain()}"


def test_threads_make_no_difference_for_a_choice(rng: np.random.Generator) -> None:
    module = traced(lambda a, b: a @ b, (150, 300), (300, 200))
    executable = compile_module(
        module, "cpu", passes=with_choices("*: depth=96 height=24 rows=6 pack=both grain=5")
    )
    place = executable.device
    buffers = [
        place.upload(rng.standard_normal(shape).astype(np.float32))
        for shape in ((150, 300), (300, 200))
    ]
    same_at_any_count(lambda: [place.download(executable.run(buffers)[0])])


def test_a_note_means_nothing_on_a_gpu() -> None:
    module = traced(lambda a, b: a @ b, (64, 64), (64, 64))
    plain, noted = module.clone(), module.clone()
    run_pipeline(plain, pipeline("gpu"))
    step = ChooseSchedules("*: rows=2 vectors=1 depth=32 grain=5")
    run_pipeline(noted, pipeline("gpu").after("lower_buffers_to_loops", step))
    for kernel in noted.ops:
        kernel.attributes.pop(SCHEDULE, None)
    assert str(noted) == str(plain)
