"""split_loops: parts of a loop know how comparisons of its index end."""

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

import picograd as pg
from picograd.check.loop_samples import check_passes
from picograd.compiler.pipelines import pipeline
from picograd.dialects.loop import CompareOp, LoadOp, ParallelOp, SelectOp
from picograd.errors import OptionError
from picograd.passes.split_loops import SplitLoops


def choice(condition: str, extent: int = 12, other: str = "%i", use: str = "%c") -> str:
    """y = a where a condition on the indices holds, else b."""
    buffer = f"memref<5x{extent}xf32>"
    return f"""
loop.kernel @k(%a: {buffer}, %b: {buffer}, %y: {buffer}) {{
  loop.parallel (%i, %j) = (0, 0) to (5, {extent}) {{
    {condition}
    %v = loop.load %a[{other}, %j mod {extent}] : memref<5x{extent}xf32>
    %w = loop.load %b[%i, {extent - 1} - %j] : memref<5x{extent}xf32>
    %r = loop.select {use}, %v, %w : f32
    loop.store %r, %y[%i, %j] : f32, memref<5x{extent}xf32>
  }}
}}"""


def compare(left: str, predicate: str, right: int, type: str = "i32") -> str:
    """A comparison of an index with a number."""
    return f"""%p = loop.index {left} : {type}
    %q = arith.constant {right} : {type}
    %c = loop.compare {predicate} %p, %q : {type}"""


def parts_of(text: str, least: int = 1) -> list[int]:
    """The lengths of the parts of j, after the pass, which changes no result."""
    module = check_passes(text, [SplitLoops(least=least)])
    return [op.dims[1].extent or 0 for op in module.walk() if isinstance(op, ParallelOp)]


def loads(module: ModuleOp) -> int:
    return sum(isinstance(op, LoadOp) for op in module.walk())


@pytest.mark.parametrize(
    ("left", "predicate", "right", "parts"),
    [
        ("%j", "lt", 5, [5, 7]),
        ("%j", "le", 5, [6, 6]),
        ("%j", "ge", 5, [5, 7]),
        ("%j", "gt", 5, [6, 6]),
        ("%j * 2 + 1", "lt", 8, [4, 8]),
        ("7 - %j", "ge", 0, [8, 4]),
        ("%j floordiv 3 - 2", "lt", 0, [6, 6]),
        ("(%j + 1) floordiv 5", "gt", 1, [9, 3]),
        # Always, never, or not at one place.
        ("%j", "lt", 12, [12]),
        ("%j", "lt", 0, [12]),
        ("%j", "eq", 5, [12]),
        ("%j mod 3", "lt", 2, [12]),
        ("%j - %i", "lt", 5, [12]),
        ("%j - (%j floordiv 2)", "lt", 5, [12]),
    ],
)
def test_a_loop_ends_where_a_comparison_changes(
    left: str, predicate: str, right: int, parts: list[int]
) -> None:
    assert parts_of(choice(compare(left, predicate, right))) == parts
    assert parts_of(choice(compare(left, predicate, right, "i64"))) == parts


def test_each_part_reads_what_it_needs_where_memory_runs() -> None:
    module = check_passes(choice(compare("%j", "lt", 5)), [SplitLoops(least=1)])
    assert loads(module) == 2
    assert not [op for op in module.walk() if isinstance(op, SelectOp | CompareOp)]
    assert " mod " not in str(module)


def test_the_other_loop_is_split_as_well() -> None:
    text = choice(compare("%i", "lt", 2))
    module = check_passes(text, [SplitLoops(least=1)])
    loops = [op for op in module.walk() if isinstance(op, ParallelOp)]
    assert [[dim.extent for dim in op.dims] for op in loops] == [[2, 12], [3, 12]]


@pytest.mark.parametrize("word", ["andi", "ori"])
def test_conditions_are_put_together(word: str) -> None:
    both = compare("%j", "ge", 4) + f"""
    %d = loop.compare lt %p, %e : i32
    %f = arith.{word} %c, %d : i1"""  # fmt: skip
    both = both.replace("%d = ", "%e = arith.constant 8 : i32\n    %d = ")
    text = choice(both, use="%f")
    assert parts_of(text) == [4, 4, 4]
    assert loads(check_passes(text, [SplitLoops(least=1)])) == 3


def test_conditions_on_data_are_left_to_the_data() -> None:
    """One that the part decides goes; one that is put together with it stays."""
    text = f"""
loop.kernel @k(%a: memref<5x12xf32>, %b: memref<5x12xf32>, %y: memref<5x12xf32>) {{
  loop.parallel (%i, %j) = (0, 0) to (5, 12) {{
    {compare("%j", "lt", 5)}
    %v = loop.load %a[%i, %j] : memref<5x12xf32>
    %w = loop.load %b[%i, %j] : memref<5x12xf32>
    %d = loop.compare lt %v, %w : f32
    %f = arith.andi %d, %c : i1
    %r = loop.select %f, %v, %w : f32
    loop.store %r, %y[%i, %j] : f32, memref<5x12xf32>
  }}
}}"""
    module = check_passes(text, [SplitLoops(least=1)])
    compares = [op for op in module.walk() if isinstance(op, CompareOp)]
    assert len(compares) == 1, "of the part in front"
    assert loads(module) == 3


def test_places_of_a_part_keep_what_they_need() -> None:
    text = choice(compare("%j", "lt", 7), other="%j floordiv 4 + %i mod 2")
    module = check_passes(text, [SplitLoops(least=1)])
    assert [op.dims[1].extent for op in module.walk() if isinstance(op, ParallelOp)] == [7, 5]
    assert str(module).count("floordiv") == 1, "5 iterations from 7 on are all in the second block"


def test_loops_that_begin_elsewhere_and_comparisons_that_choose_nothing_stay() -> None:
    assert parts_of(choice(compare("%j", "lt", 5)).replace("(0, 0) to", "(0, 2) to")) == [10]
    text = choice(compare("%j", "lt", 5) + "\n    %n = arith.uitofp %c : i1 to f32")
    text = text.replace("%r = loop.select %c, %v, %w : f32", "%r = arith.mulf %v, %n : f32")
    assert parts_of(text) == [12]


def test_short_parts_and_mapped_loops_stay_whole() -> None:
    text = choice(compare("%j", "lt", 5))
    assert parts_of(text, least=6) == [12]
    assert parts_of(text, least=5) == [5, 7]
    assert parts_of(choice(compare("%j", "lt", 5), extent=64)) == [64], "less than an eighth"
    assert parts_of(choice(compare("%j", "lt", 8), extent=64)) == [8, 56]
    mapped = text.replace("(5, 12) {", "(5, 12) mapping threads {")
    assert parts_of(mapped) == [12]


def test_a_length_is_positive() -> None:
    with pytest.raises(OptionError, match="split_loops needs a length"):
        check_passes(choice(compare("%j", "lt", 5)), [SplitLoops(least=0)])


def test_the_gradient_of_slices_is_written_part_by_part(rng: np.random.Generator) -> None:
    x = pg.tensor(rng.standard_normal((4, 60), np.float32), requires_grad=True)
    weights = [pg.tensor(rng.standard_normal((4, 20), np.float32)) for _ in range(3)]

    def gradient() -> pg.Tensor | None:
        pieces = x.split(20, 1)
        total = sum((p * p * w).sum() for p, w in zip(pieces, weights, strict=True))
        assert isinstance(total, pg.Tensor)
        return pg.autograd.grad(total, [x])[0]

    found = pg.compile(gradient)()
    assert found is not None
    want = 2 * x.detach().numpy() * np.concatenate([w.numpy() for w in weights], 1)
    np.testing.assert_allclose(found.numpy(), want, rtol=1e-6)
    assert "split_loops" in [step.name for step in pipeline("cpu")]
