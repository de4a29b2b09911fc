"""split_reduce: chunks of a long reduction, cut by its shape, and the same values."""

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

import picograd
from picograd.check.loop_samples import check_passes
from picograd.dialects.loop import ParallelOp, ReduceOp
from picograd.passes.lower_reduce import LowerReduce
from picograd.passes.merge_axes import MergeAxes
from picograd.passes.parallelize_loops import ParallelizeLoops
from picograd.passes.schedule.reduce_chunks import MOST_PARTS, ROWS_OF_COLUMNS
from picograd.passes.split_reduce import SplitReduce
from picograd.passes.vectorize_loops import VectorizeLoops
from tests.thread_counts import same_at_any_count


def total(rows: int, columns: int, kind: str = "add") -> str:
    """A reduction of a whole matrix, by rows that lie apart."""
    return f"""
loop.kernel @total(%x: memref<{rows}x{columns}xf32>, %y: memref<1xf32>) {{
  %s = loop.reduce {kind} (%i, %j) = (0, 0) to ({rows}, {columns}) : f32 {{
    %v = loop.load %x[%i, %j] : memref<{rows}x{columns}xf32>
    loop.yield %v : f32
  }}
  loop.store %s, %y[0] : f32, memref<1xf32>
}}"""


def rows_and_columns(results: int, length: int, *, down: bool) -> str:
    """Sums along rows, or down columns, scaled with what is loaded before, and with an initial."""
    shape, place = (f"{length}x{results}", "%j, %i") if down else (f"{results}x{length}", "%i, %j")
    return f"""
loop.kernel @sums(%x: memref<{shape}xf32>, %w: memref<{results}xf32>, %y: memref<{results}xf32>) {{
  loop.parallel %i = 0 to {results} {{
    %w_i = loop.load %w[%i] : memref<{results}xf32>
    %unused = arith.addf %w_i, %w_i : f32
    %two = arith.mulf %w_i, %w_i : f32
    %s = loop.reduce add %j = 0 to {length} init %unused : f32 {{
      %v = loop.load %x[{place}] : memref<{shape}xf32>
      %scaled = arith.mulf %v, %two : f32
      loop.yield %scaled : f32
    }}
    %n = arith.constant 3.0 : f32
    %mean = arith.divf %s, %n : f32
    %shifted = arith.addf %mean, %w_i : f32
    loop.store %shifted, %y[%i] : f32, memref<{results}xf32>
  }}
}}"""


FIRST_MINIMUM = """
loop.kernel @argmin(%x: memref<{n}xf32>, %y: memref<1xi32>) {{
  %inf = arith.constant 0x7F800000 : f32
  %far = arith.constant 2147483647 : i32
  %v, %at = loop.reduce combine %i = 0 to {n} identity (%inf, %far) : f32, i32 {{
    %value = loop.load %x[%i] : memref<{n}xf32>
    %place = loop.index %i : i32
    loop.yield %value, %place : f32, i32
  }} combiner (%a, %at_a, %b, %at_b) {{
    %less = loop.compare lt %b, %a : f32
    %same = loop.compare eq %a, %b : f32
    %earlier = loop.compare lt %at_b, %at_a : i32
    %tie = arith.andi %same, %earlier : i1
    %take = arith.ori %less, %tie : i1
    %c = loop.select %take, %b, %a : f32
    %at_c = loop.select %take, %at_b, %at_a : i32
    loop.yield %c, %at_c : f32, i32
  }}
  loop.store %at, %y[0] : i32, memref<1xi32>
}}"""


def stages(module: ModuleOp) -> tuple[list[int], list[int]]:
    """How many chunks each parallel loop has, and how long each reduction is."""
    chunks = [op.dims[0].extent or 0 for op in module.walk() if isinstance(op, ParallelOp)]
    lengths = [
        int(np.prod([dim.extent or 0 for dim in op.dims]))
        for op in module.walk()
        if isinstance(op, ReduceOp)
    ]
    return chunks, lengths


@pytest.mark.parametrize("kind", ["add", "max", "min", "mul"])
@pytest.mark.parametrize(
    ("rows", "columns", "chunk", "chunks", "lengths"),
    [
        (11, 64, 256, [2], [256, 192, 3]),
        (10, 64, 256, [2], [320, 2]),
        (8, 64, 256, [2], [256, 2]),
        (7, 3, 6, [3], [6, 3, 4]),
        (7, 3, 1, [7], [3, 7]),
        (7, 3, 100, [], [21]),
        (1, 21, 4, [], [21]),
        (0, 5, 4, [], [0]),
        (5, 0, 4, [], [0]),
    ],
)
def test_chunks_and_what_is_left(
    kind: str, rows: int, columns: int, chunk: int, chunks: list[int], lengths: list[int]
) -> None:
    text = total(rows, columns, kind)
    module = check_passes(text, [SplitReduce(chunk=chunk, shortest=2)])
    assert stages(module) == (chunks, lengths)


@pytest.mark.parametrize("n", [63, 64, 65, 127, 130])
def test_later_passes_make_vectors_and_threads_of_it(n: int) -> None:
    passes = [
        MergeAxes(),
        SplitReduce(chunk=32, shortest=64),
        VectorizeLoops(reduce="i=8"),
        LowerReduce(),
        ParallelizeLoops(grain=0, serial_below=0),
    ]
    module = check_passes(total(1, n), passes)
    mapped = [op for op in module.walk() if isinstance(op, ParallelOp) and op.mapping]
    assert bool(mapped) == (n >= 64)


@pytest.mark.parametrize("n", [6, 7, 64])
def test_a_tie_between_chunks_goes_to_the_first(n: int) -> None:
    module = check_passes(FIRST_MINIMUM.format(n=n), [SplitReduce(chunk=3, shortest=2)])
    assert len(stages(module)[0]) == 1


def test_short_reductions_and_kernels_with_threads_stay() -> None:
    text = total(10, 64)
    assert stages(check_passes(text, [SplitReduce()])) == ([], [640])
    twice = check_passes(
        text,
        [
            SplitReduce(chunk=64, shortest=2),
            ParallelizeLoops(grain=0, serial_below=0),
            SplitReduce(chunk=2, shortest=2),
        ],
    )
    assert sum(isinstance(op, ReduceOp) for op in twice.walk()) == 2


def test_reductions_of_tiles_stay() -> None:
    text = """
    loop.kernel @pairs(%x: memref<26xf32>, %y: memref<2xf32>) {
      %s = loop.reduce add %i = 0 to 13 : vector<2xf32> {
        %v = loop.load %x[%i * 2 + t0] : memref<26xf32> to vector<2xf32>
        loop.yield %v : vector<2xf32>
      }
      loop.store %s, %y[t0] : vector<2xf32>, memref<2xf32>
    }"""
    module = check_passes(text, [SplitReduce(chunk=1, shortest=2)])
    assert stages(module) == ([], [13])


def test_there_are_never_more_parts_than_the_stack_holds() -> None:
    module = check_passes(total(1009, 2), [SplitReduce(chunk=1, shortest=2)])
    [chunks], (part, *_) = stages(module)
    assert chunks < MOST_PARTS
    assert part == 2 * -(-1009 // (MOST_PARTS - 1))


@pytest.mark.parametrize(
    ("results", "length", "chunk", "chunks", "lengths"),
    [
        (1, 64, 32, [2, 1], [32, 2]),
        (3, 128, 32, [2, 3], [64, 2]),
        (7, 70, 32, [2, 7, 7], [32, 6, 3]),
        (8, 70, 32, [8], [70]),
        (3, 40, 32, [3], [40]),
    ],
)
def test_few_rows_are_cut_into_chunks(
    results: int, length: int, chunk: int, chunks: list[int], lengths: list[int]
) -> None:
    text = rows_and_columns(results, length, down=False)
    module = check_passes(text, [SplitReduce(chunk=chunk, shortest=2)])
    assert stages(module) == (chunks, lengths)


@pytest.mark.parametrize(("bounds", "chunks"), [("0 to 6 step 2", [6]), ("1 to 3", [2, 2])])
def test_loops_may_begin_anywhere_and_take_every_iteration(bounds: str, chunks: list[int]) -> None:
    text = rows_and_columns(6, 64, down=False).replace("%i = 0 to 6", f"%i = {bounds}")
    module = check_passes(text, [SplitReduce(chunk=32, shortest=2)])
    assert stages(module)[0] == chunks


def test_reductions_that_write_memory_stay() -> None:
    text = total(10, 64).replace(
        "    loop.yield", "    loop.store %v, %x[%i, %j] : f32, memref<10x64xf32>\n    loop.yield"
    )
    assert stages(check_passes(text, [SplitReduce(chunk=64, shortest=2)])) == ([], [640])


LEAST = ROWS_OF_COLUMNS


@pytest.mark.parametrize(
    ("results", "length", "chunks", "lengths"),
    [
        (8, 2 * LEAST, [2, 8], [LEAST, 2]),
        (37, 3 * LEAST, [2, 37], [3 * LEAST // 2, 2]),
        (20, 2 * LEAST + 3, [2, 20, 20], [LEAST, 3, 3]),
        (20, LEAST - 1, [20], [LEAST - 1]),
    ],
)
def test_rows_that_are_added_are_cut_into_chunks(
    results: int, length: int, chunks: list[int], lengths: list[int]
) -> None:
    text = rows_and_columns(results, length, down=True)
    module = check_passes(text, [SplitReduce(chunk=1, shortest=2)])
    assert stages(module) == (chunks, lengths)


def test_rows_that_threads_share_are_not_cut_again() -> None:
    text = rows_and_columns(5, 2 * LEAST + 1, down=True)
    passes = [
        SplitReduce(chunk=1, shortest=2),
        VectorizeLoops(),
        LowerReduce(),
        ParallelizeLoops(grain=0, serial_below=0),
        SplitReduce(chunk=1, shortest=2),
    ]
    module = check_passes(text, passes)
    assert not any(isinstance(op, ReduceOp) for op in module.walk())


def test_a_reduction_after_a_store_of_its_iteration_stays() -> None:
    text = """
    loop.kernel @late(%x: memref<2x64xf32>, %y: memref<2xf32>) {
      loop.parallel %i = 0 to 2 {
        %v = loop.load %x[%i, 3] : memref<2x64xf32>
        %twice = arith.addf %v, %v : f32
        loop.store %twice, %x[%i, 7] : f32, memref<2x64xf32>
        %s = loop.reduce add %j = 0 to 64 : f32 {
          %each = loop.load %x[%i, %j] : memref<2x64xf32>
          loop.yield %each : f32
        }
        loop.store %s, %y[%i] : f32, memref<2xf32>
      }
    }"""
    module = check_passes(text, [SplitReduce(chunk=8, shortest=2)])
    assert stages(module) == ([2], [64])


@pytest.mark.parametrize("shape", [(1 << 17,), (1 << 18,), (131_101,), (1, 400_003), (601, 499)])
def test_results_do_not_depend_on_threads(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(shape) + shape[0])
    array = rng.standard_normal(shape).astype(np.float32)
    array.flat[array.size // 2] = array.max()  # ties
    x = picograd.tensor(array)

    @picograd.compile
    def everything(x: picograd.Tensor) -> tuple[picograd.Tensor, ...]:
        return x.sum(), x.mean(), x.max(), x.argmax(), x.var(), (x * x).sum()

    found = same_at_any_count(lambda: [value.numpy() for value in everything(x)])
    wide = array.astype(np.float64)
    exact = [wide.sum(), wide.mean(), wide.max(), wide.argmax(), wide.var(ddof=1), (wide**2).sum()]
    bound = 1e-6 * np.abs(wide).sum()
    for value, wanted in zip(found, exact, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=bound)
    assert found[3] == array.argmax()


@pytest.mark.parametrize("shape", [(3, 50_001), (7, 1 << 15), (4099, 40), (1031, 257), (70_000, 2)])
def test_results_of_rows_and_columns_do_not_depend_on_threads(shape: tuple[int, int]) -> None:
    array = np.random.default_rng(shape[0]).standard_normal(shape).astype(np.float32)
    axis = 1 if shape[0] < 8 else 0
    array[1:3] = array.max()  # ties, of rows
    array[:, 1:2] = array[:, :1]  # and of columns
    x = picograd.tensor(array)

    @picograd.compile
    def along(x: picograd.Tensor) -> tuple[picograd.Tensor, ...]:
        return x.sum(axis), x.mean(axis) * 3.0, x.amax(axis), x.argmax(axis), (x * x).sum(axis)

    found = same_at_any_count(lambda: [value.numpy() for value in along(x)])
    wide = array.astype(np.float64)
    exact = [wide.sum(axis), 3 * wide.mean(axis), wide.max(axis), wide.argmax(axis)]
    exact.append((wide**2).sum(axis))
    bound = shape[axis] * 2.0**-24 * np.maximum(np.abs(wide), wide**2).sum(axis)
    for value, wanted in zip(found, exact, strict=True):
        assert (np.abs(value - wanted) <= bound).all()
    np.testing.assert_array_equal(found[3], exact[3])
