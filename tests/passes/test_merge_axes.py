"""merge_axes: loops that walk memory like one become one, and nothing else changes."""

import re

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd.check.loop_samples import check_passes
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.executable import compile_module
from picograd.compiler.pass_list import as_passes
from picograd.dialects.loop import LoopOp
from picograd.passes.merge_axes import MergeAxes
from picograd.semantics.evaluate import evaluate


def merged(text: str, seed: int = 0) -> ModuleOp:
    """A kernel after the pass, which computes what it did before."""
    return check_passes(text, [MergeAxes()], seed=seed)


def dims_of(module: ModuleOp) -> list[str]:
    """The names and extents of all loops."""
    return [
        " ".join(f"{dim.name}={dim.extent}" for dim in op.dims)
        for op in module.walk()
        if isinstance(op, LoopOp)
    ]


def chain(sizes: tuple[int, int, int], other: str, place: str) -> str:
    """y = x + z, with z of another shape."""
    a, b, c = sizes
    shape = f"{a}x{b}x{c}xf32"
    return f"""
loop.kernel @k(%x: memref<{shape}>, %z: memref<{other}>, %y: memref<{shape}>) {{
  loop.parallel (%i, %j, %k) = (0, 0, 0) to ({a}, {b}, {c}) {{
    %v = loop.load %x[%i, %j, %k] : memref<{shape}>
    %w = loop.load %z[{place}] : memref<{other}>
    %s = arith.addf %v, %w : f32
    loop.store %s, %y[%i, %j, %k] : f32, memref<{shape}>
  }}
}}"""


@pytest.mark.parametrize(
    ("other", "place", "loops"),
    [
        ("3x5x7xf32", "%i, %j, %k", "i=105"),
        ("105xf32", "%i * 35 + %j * 7 + %k", "i=105"),
        ("15x7xf32", "%i * 5 + %j, %k", "i=105"),
        ("3x35xf32", "%i, %j * 7 + %k", "i=105"),
        ("7xf32", "%k", "i=15 k=7"),
        ("3xf32", "%i", "i=3 j=35"),
        ("5xf32", "%j", "i=3 j=5 k=7"),
        ("7x3x5xf32", "%k, %i, %j", "i=15 k=7"),
        ("5x3x7xf32", "%j, %i, %k", "i=3 j=5 k=7"),
        ("3x5x7xf32", "2 - %i, %j, %k", "i=3 j=35"),
        ("3x5x8xf32", "%i, %j, %k + 1", "i=15 k=7"),
        ("6x5x7xf32", "%i * 2, %j, %k", "i=3 j=35"),
        ("3x1x5x7xf32", "%i, 0, %j, %k", "i=105"),
    ],
)
def test_loops_are_one_where_all_places_agree(other: str, place: str, loops: str) -> None:
    module = merged(chain((3, 5, 7), other, place))
    assert dims_of(module) == [loops]


def test_a_split_index_is_put_together() -> None:
    text = """
loop.kernel @k(%x: memref<2x4x3xf32>, %z: memref<5x2x4xf32>, %y: memref<8x3xf32>) {
  loop.parallel (%i, %j) = (0, 0) to (8, 3) {
    %v = loop.load %x[%i floordiv 4, %i mod 4, %j] : memref<2x4x3xf32>
    %w = loop.load %z[%j + 1, (%i floordiv 4) mod 2, %i mod 4] : memref<5x2x4xf32>
    %s = arith.addf %v, %w : f32
    loop.store %s, %y[%i, %j] : f32, memref<8x3xf32>
  }
}"""
    module = merged(text)
    assert dims_of(module) == ["i=8 j=3"]
    assert "%x: memref<8x3xf32>" in str(module)
    assert "%z: memref<5x8xf32>" in str(module)
    assert "loop.load %x[%i, %j]" in str(module)
    assert "loop.load %z[%j + 1, %i mod 8]" in str(module)


def test_reductions_are_merged_in_their_order() -> None:
    text = """
loop.kernel @k(%x: memref<3x4x5xf32>, %y: memref<5xf32>) {
  loop.parallel %i = 0 to 5 {
    %s = loop.reduce add (%a, %b) = (0, 0) to (3, 4) : f32 {
      %v = loop.load %x[%a, %b, %i] : memref<3x4x5xf32>
      loop.yield %v : f32
    }
    loop.store %s, %y[%i] : f32, memref<5xf32>
  }
}"""
    module = merged(text)
    assert dims_of(module) == ["i=5", "a=12"]
    assert "%x: memref<12x5xf32>" in str(module)


def test_two_nests_over_one_buffer_are_merged_together_or_not_at_all() -> None:
    text = """
loop.kernel @k(%x: memref<3x4x5xf32>, %y: memref<3x4xf32>, %z: memref<{shape}xf32>) {{
  loop.parallel (%i, %j) = (0, 0) to (3, 4) {{
    %s = loop.reduce add %a = 0 to 5 : f32 {{
      %v = loop.load %x[%i, %j, %a] : memref<3x4x5xf32>
      loop.yield %v : f32
    }}
    loop.store %s, %y[%i, %j] : f32, memref<3x4xf32>
  }}
  loop.parallel (%p, %q, %r) = (0, 0, 0) to (3, 4, 5) {{
    %v = loop.load %x[%p, %q, %r] : memref<3x4x5xf32>
    loop.store %v, %z[{place}] : f32, memref<{shape}xf32>
  }}
}}"""
    together = merged(text.format(shape="3x4x5", place="%p, %q, %r"))
    assert dims_of(together) == ["i=12", "a=5", "p=12 r=5"]
    apart = merged(text.format(shape="4x3x5", place="%q, %p, %r"))
    assert dims_of(apart) == ["i=3 j=4", "a=5", "p=3 q=4 r=5"]
    assert "%x: memref<3x4x5xf32>" in str(apart)


@pytest.mark.parametrize(
    "text",
    [
        # Read beyond the end of an axis.
        """
loop.kernel @k(%x: memref<3x4xf32>, %y: memref<3x4xf32>) {
  loop.parallel (%i, %j) = (0, 0) to (3, 4) {
    %v = loop.load %x[%i, %j + 1] pad : memref<3x4xf32>
    loop.store %v, %y[%i, %j] : f32, memref<3x4xf32>
  }
}""",
        # The inner loop's bound is the outer one's place.
        """
loop.kernel @k(%x: memref<3x4xf32>, %y: memref<3xf32>) {
  loop.parallel %i = 0 to 3 {
    %s = loop.reduce add %k = 0 to %i + 1 : f32 {
      %v = loop.load %x[%i, %k] : memref<3x4xf32>
      loop.yield %v : f32
    }
    loop.store %s, %y[%i] : f32, memref<3xf32>
  }
}""",
        # The number of the column is a value.
        """
loop.kernel @k(%x: memref<3x4xf32>, %y: memref<3x4xf32>) {
  loop.parallel (%i, %j) = (0, 0) to (3, 4) {
    %v = loop.load %x[%i, %j] : memref<3x4xf32>
    %n = loop.index %j : i32
    %f = arith.sitofp %n : i32 to f32
    %s = arith.addf %v, %f : f32
    loop.store %s, %y[%i, %j] : f32, memref<3x4xf32>
  }
}""",
        # Somebody has decided already what the loops are to be.
        """
loop.kernel @k(%x: memref<3x4xf32>, %y: memref<3x4xf32>) {
  loop.parallel (%i, %j) = (0, 0) to (3, 4) mapping lanes {
    %v = loop.load %x[%i, %j] : memref<3x4xf32>
    loop.store %v, %y[%i, %j] : f32, memref<3x4xf32>
  }
}""",
    ],
)
def test_what_is_left_alone(text: str) -> None:
    assert str(merged(text)) == str(parse_module(text))


def test_numbers_of_elements_and_conditions_are_merged_with_their_loops() -> None:
    text = """
loop.kernel @k(%x: memref<3x4xf32>, %y: memref<3x4xf32>) {
  loop.parallel (%i, %j) = (0, 0) to (3, 4) {
    %v = loop.load %x[%i, %j] : memref<3x4xf32>
    %n = loop.index %i * 4 + %j : i32
    %f = arith.sitofp %n : i32 to f32
    %r = loop.if %i * 4 + %j - 5 >= 0 : f32 {
      loop.yield %f : f32
    } else {
      loop.yield %v : f32
    }
    loop.store %r, %y[%i, %j] : f32, memref<3x4xf32>
  }
}"""
    module = merged(text)
    assert dims_of(module) == ["i=12"]
    assert "loop.index %i : i32" in str(module)
    assert "loop.if %i - 5 >= 0" in str(module)


GRADIENTS = """
func.func @main(%x: tensor<2x5x6xf32>, %w: tensor<6x7xf32>, %dy: tensor<2x5x7xf32>)
    -> (tensor<10x7xf32>, tensor<6x7xf32>, tensor<7xf32>) {
  %r = pico.reshape %x to [10, 6] : tensor<2x5x6xf32> -> tensor<10x6xf32>
  %y = pico.matmul %r, %w : tensor<10x6xf32>, tensor<6x7xf32> -> tensor<10x7xf32>
  %d = pico.reshape %dy to [10, 7] : tensor<2x5x7xf32> -> tensor<10x7xf32>
  %t = pico.permute %r by [1, 0] : tensor<10x6xf32> -> tensor<6x10xf32>
  %g = pico.matmul %t, %d : tensor<6x10xf32>, tensor<10x7xf32> -> tensor<6x7xf32>
  %b = pico.reduce add %dy axes [0, 1] : tensor<2x5x7xf32> -> tensor<7xf32>
  func.return %y, %g, %b : tensor<10x7xf32>, tensor<6x7xf32>, tensor<7xf32>
}
"""


@pytest.mark.parametrize("device", ["reference", "cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_a_layer_of_a_batch_of_sequences_is_one_matmul(
    device: str, rng: np.random.Generator
) -> None:
    """Launches give the kernels buffers with axes that these do not tell apart."""
    way = "outline_kernels,fuse,lower_kernels_to_buffers,plan_buffers,lower_buffers_to_loops"
    module = parse_module(GRADIENTS)
    run_pipeline(module, as_passes(way + ",merge_axes"))
    text = str(module)
    assert re.findall(r"floordiv|mod \d", text) == []
    assert "%x: memref<10x6xf32>, %w: memref<6x7xf32>" in text
    assert re.search(r"loop.launch @matmul\(%x, .*memref<2x5x6xf32>", text)
    arrays = [rng.standard_normal(s, np.float32) for s in ((2, 5, 6), (6, 7), (2, 5, 7))]
    expected = evaluate(parse_module(GRADIENTS), arrays, precision="float64")
    if device == "reference":
        results = evaluate(module, arrays)
    else:
        executable = compile_module(
            parse_module(GRADIENTS), device, passes=f"{way},merge_axes,{REST[device]}"
        )
        place = executable.device
        outputs = executable.run([place.upload(array) for array in arrays])
        results = [place.download(output) for output in outputs]
    for result, values in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, values, rtol=1e-5, atol=1e-5)


REST = {
    "cpu": "tile_loops,hoist_reduce,stage_operands,tile_loops{exact=true},vectorize_loops,"
    "lower_reduce,expand_math,unroll_tiles",
    "gpu": 'map_to_grid{target="gpu"},insert_barriers,lower_reduce{target="gpu"},unroll_tiles',
}
