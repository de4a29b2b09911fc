"""merge_reduce: a row is reduced in the loop that stores it."""

import numpy as np
import pytest

import picograd as pg
from picograd.check.loop_samples import check_passes
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.dialects.loop import LoopOp, ReduceOp, StoreOp
from picograd.errors import OptionError
from picograd.passes.merge_reduce import MergeReduce

X, Z = "memref<4x24xf32>", "memref<4xf32>"


def row_kernel(
    loop: str = "%j = 0 to 24",
    read: str = f"%q = loop.load %y[%i, %k] : {X}",
    range: str = "0 to 24",
    between: str = "",
    store: str = f"loop.store %p, %y[%i, %j] : f32, {X}",
) -> str:
    """Squares of rows that are stored, then their sums."""
    return f"""
loop.kernel @k(%x: {X}, %w: {X}, %y: {X}, %z: {Z}) {{
  loop.parallel %i = 0 to 4 {{
    loop.parallel {loop} {{
      %v = loop.load %x[%i, %j] : {X}
      %p = arith.mulf %v, %v : f32
      {store}
    }}
    {between}
    %sum = loop.reduce add %k = {range} : f32 {{
      {read}
      loop.yield %q : f32
    }}
    loop.store %sum, %z[%i] : f32, {Z}
  }}
}}"""


def merged(text: str, rows: int = 1, *, whole_lines: bool = False) -> bool:
    """Whether the pass makes one loop of two; no result changes."""
    module = check_passes(text, [MergeReduce(rows=rows, whole_lines=whole_lines)])
    (reduction,) = [op for op in module.walk() if isinstance(op, ReduceOp)]
    return any(isinstance(op, StoreOp) for op in reduction.walk())


def test_what_was_stored_is_taken_from_a_register() -> None:
    module = check_passes(row_kernel(), [MergeReduce(rows=1)])
    (reduction,) = [op for op in module.walk() if isinstance(op, ReduceOp)]
    assert [op.name for op in reduction.body.block.ops] == [
        "loop.load",
        "arith.mulf",
        "loop.store",
        "loop.yield",
    ]
    assert sum(isinstance(op, LoopOp) for op in module.walk()) == 2


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (row_kernel(), 1),
        (row_kernel(), 4),
        (row_kernel(between="%one = arith.constant 1.0 : f32"), 1),
        (row_kernel(loop="%j = 2 to 20", range="2 to 20"), 1),
        # Something else is read as well, and what was stored twice.
        (
            row_kernel(
                read=f"""%a = loop.load %y[%i, %k] : {X}
      %b = loop.load %w[%i, %k] : {X}
      %c = loop.load %y[%i, %k] : {X}
      %d = arith.mulf %a, %b : f32
      %q = arith.addf %d, %c : f32"""
            ),
            1,
        ),
        # A row is overwritten in place.
        (row_kernel().replace("%y[", "%x["), 1),
    ],
)
def test_what_becomes_one_loop(text: str, rows: int) -> None:
    assert merged(text, rows)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (row_kernel(), 5),  # so few rows leave threads without work
        (row_kernel(range="0 to 23"), 1),
        (row_kernel(read=f"%q = loop.load %y[%i, 23 - %k] : {X}"), 1),
        (row_kernel(read=f"%q = loop.load %w[%i, %k] : {X}"), 1),
        (row_kernel(read=f"%q = loop.load %y[%i, %k] pad : {X}"), 1),
        (row_kernel(loop="%j = 0 to 24 mapping lanes"), 1),
        (row_kernel(store=f"loop.store %p, %y[%i, %j] clip : f32, {X}"), 1),
        (row_kernel(store=f"loop.store %p, %y[%i, 23 - %j] : f32, {X}"), 1),
        # Another place of the same row is read besides.
        (
            row_kernel(
                read=f"""%a = loop.load %y[%i, %k] : {X}
      %b = loop.load %y[%i, 0] : {X}
      %q = arith.addf %a, %b : f32"""
            ),
            1,
        ),
        # Memory is written in between.
        (
            row_kernel(
                between=f"""%one = arith.constant 1.0 : f32
    loop.store %one, %y[%i, 3] : f32, {X}"""
            ),
            1,
        ),
    ],
)
def test_what_stays_two_loops(text: str, rows: int) -> None:
    assert not merged(text, rows)


def test_rows_of_whole_lines_stay_two_loops() -> None:
    for columns, one in ((40, True), (32, False), (16, False), (17, True)):
        text = row_kernel().replace("4x24", f"4x{columns}").replace("to 24", "to 16")
        assert merged(text) == one
        assert merged(text, whole_lines=True)


def test_columns_stay_two_loops() -> None:
    """Along a column memory does not run: vectors would be picked together."""
    x, z = "memref<24x4xf32>", "memref<4xf32>"
    text = row_kernel().replace(X, x).replace(Z, z)
    for index in ("%j", "%k"):
        text = text.replace(f"[%i, {index}]", f"[{index}, %i]")
    assert not merged(text)


def test_rows_are_needed() -> None:
    with pytest.raises(OptionError, match="number of rows"):
        MergeReduce(rows=0).apply(None, None)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("columns", [3, 16, 40, 95, 128, 131])
def test_a_softmax_adds_up_its_powers_as_it_stores_them(
    columns: int, rng: np.random.Generator
) -> None:
    x = rng.normal(size=(33, columns)).astype(np.float32)
    module = pg.compile(lambda x: x.softmax(1)).trace(pg.tensor(x)).module
    found: list[np.ndarray] = []
    for bits in (128, 256, 512):
        passes = pipeline("cpu").aimed_at(f"cpu:vector_bits={bits}")
        executable = compile_module(module, "cpu", passes=passes)
        (y,) = executable.run([executable.device.upload(x)])
        found.append(executable.device.download(y))
    powers = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    expected = powers / powers.sum(1, keepdims=True)
    for each in found:
        np.testing.assert_allclose(each, expected, rtol=1e-5)


def test_a_softmax_has_one_loop_less() -> None:
    x = pg.tensor(np.zeros((64, 100), np.float32))
    module = pg.compile(lambda x: x.softmax(1)).trace(x).module
    counts: list[int] = []
    for passes in (pipeline("cpu"), pipeline("cpu").without("merge_reduce")):
        executable = compile_module(module, "cpu", passes=passes)
        counts.append(executable.ir("loop").count("loop.parallel"))
    assert counts[0] < counts[1]
