"""stage_operands: copies hold what the body reads, in any layout, and are refused where unsafe."""

import numpy as np
import pytest

from picograd.check.loop_samples import (
    check_passes,
    convolution,
    linear_relu,
    transposed_matmul,
    triangle,
)
from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.dialects.loop import AllocOp, LoadOp
from picograd.errors import OptionError, PassError
from picograd.passes.stage_operands import StageOperands
from picograd.passes.tile_loops import TileLoops


@pytest.mark.parametrize("layout", ["j=4 k=1", "k=1 j=1", "k=3 j=5", "j=1 k=2"])
@pytest.mark.parametrize("space", ["packed", "workgroup", "stack"])
def test_layouts_and_spaces(layout: str, space: str) -> None:
    rng = np.random.default_rng(9)
    for seed in range(3):
        sizes = (int(size) for size in rng.integers(1, 15, 3))
        step = StageOperands(operand="w", layout=layout, space=space)
        module = check_passes(linear_relu(*sizes), [step], seed=seed)
        assert [op.space for op in module.walk() if isinstance(op, AllocOp)] == [space]


def test_copies_of_blocks() -> None:
    passes = [
        TileLoops(sizes="j=6 i=4"),
        StageOperands(operand="w", at="j0", layout="j=3 k=1"),
        StageOperands(operand="x", at="i0", layout="i=2 k=1"),
    ]
    module = check_passes(linear_relu(9, 16, 7), passes)
    shapes = [tuple(op.memref.type.get_shape()) for op in module.walk() if isinstance(op, AllocOp)]
    assert shapes == [(2, 7, 3), (2, 7, 2)]
    check_passes(transposed_matmul(9, 16, 7), passes)


def test_padding_is_resolved_while_copying() -> None:
    text = convolution(1, 2, 3, 4, 5)
    step = StageOperands(operand="x", layout="n=1 c=1 p=1 u=1 q=1 v=1")
    module = check_passes(text, [step])
    loads = [op for op in module.walk() if isinstance(op, LoadOp)]
    assert sum(op.pad is not None for op in loads) == 1


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (linear_relu(4, 4, 4), {"operand": "w", "layout": "k=1"}, "depends on the loops j, k"),
        (linear_relu(4, 4, 4), {"operand": "w", "layout": "i=1 j=1"}, "depends on the loops"),
        (triangle(6), {"operand": "x", "layout": "i=1 k=1"}, "."),
    ],
)
def test_what_cannot_be_copied_is_an_error(text: str, options: dict, message: str) -> None:
    with pytest.raises(PassError, match=message):
        StageOperands(**options).apply(new_context(), parse_module(text))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operand": "q", "layout": "j=1"}, "finds no load"),
        ({"operand": "w", "layout": "z=1"}, "not there"),
        ({"operand": "w", "layout": "j=1 k=1", "space": "heap"}, "memory space"),
    ],
)
def test_options_that_make_no_sense(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        StageOperands(**options).apply(new_context(), parse_module(linear_relu(4, 4, 4)))


def test_nothing_is_copied_that_the_body_writes() -> None:
    text = """
loop.kernel @shift(%x: memref<8xf32>) {
  loop.parallel %i = 0 to 8 {
    %v = loop.load %x[%i] : memref<8xf32>
    %w = arith.addf %v, %v : f32
    loop.store %w, %x[%i] : f32, memref<8xf32>
  }
}"""
    with pytest.raises(PassError, match="the body writes to it"):
        StageOperands(operand="x", layout="i=1").apply(new_context(), parse_module(text))


@pytest.mark.parametrize("pad", ["", "pad "])
def test_what_is_read_in_tiles_is_not_copied(pad: str) -> None:
    text = f"""
loop.kernel @double(%x: memref<8x8xf32>, %y: memref<8x8xf32>) {{
  loop.parallel %i = 0 to 8 {{
    loop.parallel %j = 0 to 8 step 4 {{
      %v = loop.load %x[%i, %j + t0] {pad}: memref<8x8xf32> to vector<4xf32>
      loop.store %v, %y[%i, %j + t0] : vector<4xf32>, memref<8x8xf32>
    }}
  }}
}}"""
    with pytest.raises(PassError, match="in tiles already"):
        StageOperands(operand="x", layout="i=1 j=1").apply(new_context(), parse_module(text))
    check_passes(text, [StageOperands()])
