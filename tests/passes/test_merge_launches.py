"""merge_launches: kernels that hand each other parts of buffers run a part at a time."""

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

import picograd as pg
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pipelines import pipeline
from picograd.dialects.buffer import ArenaOp, PlaceOp
from picograd.dialects.loop import AllocOp, KernelOp, LaunchOp, ParallelOp, memref_type
from picograd.passes.loops.launch_numbers import launch_numbers
from picograd.passes.merge_launches import MergeLaunches
from picograd.semantics.evaluate import evaluate

TWO_CORES = "cpu:cores=2"
SMALL = MergeLaunches(least=64, most=2048, target=TWO_CORES)


def chain(first: str, second: str, x: str = "4x5x6", h: str = "4x5x6", y: str = "4x5x6") -> str:
    """A program of two kernels: `first` makes h of x, `second` makes y of h."""
    nbytes = 4 * int(np.prod([int(size) for size in h.split("x")]))
    x, h, y = (f"memref<{shape}xf32>" for shape in (x, h, y))
    return (
        f"""
loop.kernel @first(%x: {x}, %h: {h}) {{
{first}
}}
loop.kernel @second(%h: {h}, %y: {y}) {{
{second}
}}
func.func @main(%x: {x}, %y: {y} {{buffer.output}}) {{
  %arena = buffer.arena : memref<{nbytes}xi8>
  %h = buffer.place %arena at 0 : memref<{nbytes}xi8> to {h}
  loop.launch @first(%x, %h) : {x}, {h}
  loop.launch @second(%h, %y) : {h}, {y}
  func.return
}}""".replace("X", x)
        .replace("H", h)
        .replace("Y", y)
    )


DOUBLE = """
  loop.parallel (%i, %j, %k) = (0, 0, 0) to (4, 5, 6) {
    %v = loop.load %x[%i, %j, %k] : X
    %w = arith.addf %v, %v : f32
    loop.store %w, %h[%i, %j, %k] : f32, H
  }"""
SQUARE = """
  loop.parallel (%i, %j, %k) = (0, 0, 0) to (4, 5, 6) {
    %v = loop.load %h[PLACE] : H
    %w = arith.mulf %v, %v : f32
    loop.store %w, %y[%i, %j, %k] : f32, Y
  }"""
SUM = """
  loop.parallel (%n, %m) = (0, 0) to (4, 6) {
    %s = loop.reduce add %r = 0 to 5 : f32 {
      %v = loop.load %h[%n, %r, %m] : H
      loop.yield %v : f32
    }
    loop.store %s, %y[%n, %m] : f32, Y
  }"""


def square(place: str) -> str:
    """The second kernel, reading h at a place."""
    return SQUARE.replace("PLACE", place)


def merged(text: str, step: MergeLaunches = SMALL) -> ModuleOp:
    """A program after the pass, which computes what it did before."""
    module = parse_module(text)
    before = module.clone()
    run_pipeline(module, [step])
    inputs = [np.random.default_rng(1).standard_normal(shape) for shape in _shapes(before)]
    inputs = [one.astype(np.float32) for one in inputs]
    for have, want in zip(evaluate(module, inputs), evaluate(before, inputs), strict=True):
        np.testing.assert_array_equal(have, want)
    return module


def _shapes(module: ModuleOp) -> list[tuple[int, ...]]:
    main = list(module.ops)[-1]
    attributes = main.arg_attrs.data  # pyright: ignore[reportAttributeAccessIssue]
    return [
        memref_type(argument).get_shape()
        for argument, notes in zip(main.regions[0].block.args, attributes, strict=True)
        if "buffer.output" not in notes.data
    ]


def launches(module: ModuleOp) -> list[str]:
    """The kernels in the order in which they run."""
    return [op.kernel.string_value() for op in module.walk() if isinstance(op, LaunchOp)]


def outer_loops(module: ModuleOp) -> list[int]:
    """The extents of the outermost loop of a program with one kernel."""
    (kernel,) = [op for op in module.ops if isinstance(op, KernelOp)]
    (loop,) = kernel.body.block.ops
    assert isinstance(loop, ParallelOp)
    return [dim.extent or 0 for dim in loop.dims]


def test_what_is_handed_on_becomes_a_part_and_leaves_the_arena() -> None:
    module = merged(
        chain(DOUBLE, SUM, y="4x6"), MergeLaunches(least=64, most=128, target=TWO_CORES)
    )
    assert launches(module) == ["first_second"]
    assert outer_loops(module) == [4]
    (alloc,) = [op for op in module.walk() if isinstance(op, AllocOp)]
    assert memref_type(alloc.memref).get_shape() == (5, 6)
    (arena,) = [op for op in module.walk() if isinstance(op, ArenaOp)]
    assert arena.nbytes == 0
    assert not [op for op in module.walk() if isinstance(op, PlaceOp)]


@pytest.mark.parametrize(
    ("place", "h", "most", "loops"),
    [
        ("%i, %j, %k", "4x5x6", 200, [4]),
        ("%i, %j, %k", "4x5x6", 64, [4, 5]),
        # The loop over columns is not shared: its iterations lie in one cache line.
        ("%i, 4 - %j, %k", "4x5x6", 200, [4]),
        ("%i, 4 - %j, 5 - %k", "4x5x6", 200, [4]),
    ],
)
def test_as_few_loops_as_fit_are_shared(place: str, h: str, most: int, loops: list[int]) -> None:
    module = merged(
        chain(DOUBLE, square(place), h=h), MergeLaunches(least=16, most=most, target=TWO_CORES)
    )
    assert launches(module) == ["first_second"]
    assert outer_loops(module) == loops


def test_a_nest_all_of_whose_loops_are_shared() -> None:
    total = """
  loop.parallel %n = 0 to 4 {
    %s = loop.reduce add (%r, %m) = (0, 0) to (5, 6) : f32 {
      %v = loop.load %h[%n, %r, %m] : H
      loop.yield %v : f32
    }
    loop.store %s, %y[%n, 0] : f32, Y
  }"""
    step = MergeLaunches(least=64, most=128, target=TWO_CORES)
    module = merged(chain(DOUBLE, total, y="4x1"), step)
    assert launches(module) == ["first_second"]
    assert outer_loops(module) == [4]


def test_notes_that_all_kernels_have_stay() -> None:
    text = chain(DOUBLE, square("%i, %j, %k"))
    noted = text.replace("{\n\n", 'attributes {at = ["net.py:3"], own = N} {\n\n')
    noted = noted.replace("own = N", "own = 1 : i64", 1).replace("own = N", "own = 2 : i64", 1)
    module = merged(noted, MergeLaunches(least=16, most=200, target=TWO_CORES))
    (kernel,) = [op for op in module.ops if isinstance(op, KernelOp)]
    assert set(kernel.attributes) == {"at"}


def test_programs_with_memory_of_several_kinds_stay() -> None:
    text = chain(DOUBLE, square("%i, %j, %k"))
    arena = "  %arena = buffer.arena"
    text = text.replace(arena, "  %other = buffer.arena : memref<16xi8>\n" + arena)
    step = MergeLaunches(least=16, most=200, target=TWO_CORES)
    assert launches(merged(text, step)) == ["first", "second"]


def test_loops_may_come_in_any_order() -> None:
    turned = """
  loop.parallel (%a, %b, %c) = (0, 0, 0) to (5, 4, 6) {
    %v = loop.load %h[%b, %a, %c] : H
    loop.store %v, %y[%a, %b, %c] : f32, Y
  }"""
    module = merged(
        chain(DOUBLE, turned, y="5x4x6"), MergeLaunches(least=64, most=128, target=TWO_CORES)
    )
    assert outer_loops(module) == [4]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("3 - %i, 4 - %j, %k", "other iterations wrote it"),
        ("%j mod 4, %i, %k", "the axes are walked by other loops"),
        ("0, 4 - %j, %k", "all iterations read what the first one wrote"),
    ],
)
def test_what_other_iterations_write_keeps_launches_apart(place: str, why: str) -> None:
    step = MergeLaunches(least=16, most=128, target=TWO_CORES)
    assert launches(merged(chain(DOUBLE, square(place)), step)) == ["first", "second"], why


@pytest.mark.parametrize(("rows", "y"), [(3, "3x5x6"), (4, "4x5x6")])
def test_loops_that_end_elsewhere_keep_launches_apart(rows: int, y: str) -> None:
    """One launch writes four rows, and another reads three of them."""
    text = chain(DOUBLE, square("%i, 4 - %j, %k").replace("(4, 5, 6)", f"({rows}, 5, 6)"), y=y)
    found = launches(merged(text, MergeLaunches(least=16, most=128, target=TWO_CORES)))
    assert found == (["first_second"] if rows == 4 else ["first", "second"])


def test_a_loop_that_a_product_uses_an_operand_in_again_is_not_shared() -> None:
    product = """
  loop.parallel (%i, %j, %k) = (0, 0, 0) to (4, 5, 6) {
    %s = loop.reduce add %r = 0 to 6 : f32 {
      %v = loop.load %h[%i, %j, %r] : H
      %w = loop.load %h[%i, PLACE, %r] : H
      %p = arith.mulf %v, %w : f32
      loop.yield %p : f32
    }
    loop.store %s, %y[%i, %j, %k] : f32, Y
  }"""
    text = chain(DOUBLE, product.replace("PLACE", "%k mod 5"))
    assert outer_loops(merged(text, MergeLaunches(least=16, most=200, target=TWO_CORES))) == [4]
    # It would take the loop over j as well, which the second operand does not depend on.
    assert launches(merged(text, MergeLaunches(least=16, most=64, target=TWO_CORES))) == [
        "first",
        "second",
    ]


def test_little_is_not_worth_it() -> None:
    text = chain(DOUBLE, square("%i, %j, %k"))
    for step in (
        MergeLaunches(least=200, most=128, target=TWO_CORES),
        MergeLaunches(least=16, most=480, target=TWO_CORES),
        MergeLaunches(least=16, most=200, target="cpu:cores=8"),
        MergeLaunches(least=16, most=200, target="gpu"),
    ):
        assert launches(merged(text, step)) == ["first", "second"]


BETWEEN = """
loop.kernel @scale(%x: memref<4x5x6xf32>, %h: memref<4x5x6xf32>) {
  loop.parallel (%i, %j, %k) = (0, 0, 0) to (4, 5, 6) {
    %v = loop.load %x[%i, %j, %k] : memref<4x5x6xf32>
    %w = arith.addf %v, %v : f32
    loop.store %w, %h[%i, %j, %k] : f32, memref<4x5x6xf32>
  }
}
loop.kernel @row(%x: memref<4x5x6xf32>, %r: memref<6xf32>) {
  loop.parallel %k = 0 to 6 {
    %v = loop.load %x[0, 0, %k] : memref<4x5x6xf32>
    loop.store %v, %r[%k] : f32, memref<6xf32>
  }
}
loop.kernel @join(%g: memref<4x5x6xf32>, %h: memref<4x5x6xf32>, %r: memref<6xf32>, %y: memref<4x5x6xf32>) {
  loop.parallel (%i, %j, %k) = (0, 0, 0) to (4, 5, 6) {
    %a = loop.load %g[%i, %j, %k] : memref<4x5x6xf32>
    %b = loop.load %h[%i, %j, %k] : memref<4x5x6xf32>
    %c = loop.load %r[%k] : memref<6xf32>
    %d = arith.mulf %a, %b : f32
    %e = arith.addf %d, %c : f32
    loop.store %e, %y[%i, %j, %k] : f32, memref<4x5x6xf32>
  }
}
func.func @main(%x: memref<4x5x6xf32>, %z: memref<4x5x6xf32>, %y: memref<4x5x6xf32> {buffer.output}) {
  %arena = buffer.arena : memref<1024xi8>
  %g = buffer.place %arena at 0 : memref<1024xi8> to memref<4x5x6xf32>
  %h = buffer.place %arena at 512 : memref<1024xi8> to memref<4x5x6xf32>
  %r = buffer.place %arena at 992 : memref<1024xi8> to memref<6xf32>
  loop.launch @scale(%x, %g) : memref<4x5x6xf32>, memref<4x5x6xf32>
  loop.launch @row(FROM, %r) : memref<4x5x6xf32>, memref<6xf32>
  loop.launch @scale(%z, %h) : memref<4x5x6xf32>, memref<4x5x6xf32>
  loop.launch @join(%g, %h, %r, %y) : memref<4x5x6xf32>, memref<4x5x6xf32>, memref<6xf32>, memref<4x5x6xf32>
  func.return
}"""  # noqa: E501


def test_launches_between_join_or_run_before() -> None:
    module = merged(
        BETWEEN.replace("FROM", "%z"), MergeLaunches(least=16, most=256, target=TWO_CORES)
    )
    assert launches(module) == ["row", "scale_join"]
    main = list(module.ops)[-1]
    numbers = launch_numbers(main)  # pyright: ignore[reportArgumentType]
    assert list(numbers.values()) == [[1], [0, 2, 3]]


def test_a_name_that_is_taken_gets_a_number() -> None:
    text = BETWEEN.replace("FROM", "%z").replace("@row", "@scale_join")
    module = merged(text, MergeLaunches(least=16, most=256, target=TWO_CORES))
    assert launches(module) == ["scale_join", "scale_join_2"]


def test_a_launch_that_reads_what_the_group_wrote_ends_it() -> None:
    module = merged(
        BETWEEN.replace("FROM", "%g"), MergeLaunches(least=16, most=256, target=TWO_CORES)
    )
    assert launches(module) == ["scale", "row", "scale_join"]


def test_results_that_lie_in_an_argument_are_the_same_memory() -> None:
    text = BETWEEN.replace("FROM", "%x").replace(
        "%y: memref<4x5x6xf32> {buffer.output}",
        "%y: memref<4x5x6xf32> {buffer.output, buffer.stored_in = 0 : i64}",
    )
    module = parse_module(text)
    run_pipeline(module, [MergeLaunches(least=16, most=256, target=TWO_CORES)])
    # @join writes what the first @scale reads under another name.
    assert launches(module) == ["scale", "row", "scale_join"]


def test_kernels_that_do_more_than_one_nest_or_are_mapped_stay() -> None:
    text = chain(DOUBLE, square("%i, %j, %k"))
    step = MergeLaunches(least=16, most=200, target=TWO_CORES)
    assert launches(merged(text, step)) == ["first_second"]
    mapped = text.replace("(4, 5, 6) {", "(4, 5, 6) mapping threads {", 1)
    assert launches(merged(mapped, step)) == ["first", "second"]
    twice = chain(DOUBLE + DOUBLE, square("%i, %j, %k"))
    assert launches(merged(twice, step)) == ["first", "second"]


@pytest.mark.parametrize("width", [4, 5])
def test_attention_runs_head_by_head(width: int) -> None:
    pg.manual_seed(1)
    q, k, v = (pg.randn(2, 3, 9, width, requires_grad=True) for _ in range(3))

    def gradients() -> tuple[pg.Tensor | None, ...]:
        y = pg.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return (y, *pg.autograd.grad((y * y).sum(), [q, k, v]))

    alone = pipeline("cpu").without("merge_launches")
    step = MergeLaunches(least=64, most=1024, target=TWO_CORES)
    together = pg.compile(gradients, passes=alone.after("lower_buffers_to_loops", step))
    apart = pg.compile(gradients, passes=alone)
    for one, other in zip(together(), apart(), strict=True):
        assert one is not None
        assert other is not None
        have, want = one.detach().numpy(), other.detach().numpy()
        np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-6)
    assert "launches = " in together.ir("loop")
