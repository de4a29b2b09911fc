"""hoist_reduce: blocks of a reduction move outside, and the running value waits where it may."""

import numpy as np
import pytest

from picograd.check.loop_samples import check_passes, linear_relu, softmax
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module
from picograd.dialects import new_context
from picograd.dialects.loop import AllocOp, ForOp, LoadOp
from picograd.errors import OptionError, PassError
from picograd.passes.hoist_reduce import HoistReduce
from picograd.passes.map_to_grid import MapToGrid
from picograd.passes.tile_loops import TileLoops


@pytest.mark.parametrize("above", ["i", "i0", "j0"])
@pytest.mark.parametrize("space", ["", "stack", "private"])
def test_every_height_and_place(above: str, space: str) -> None:
    passes = [
        TileLoops(sizes="j=6 i=4 k=5"),
        HoistReduce(loop="k0", above=above, space=space),
    ]
    for seed, sizes in enumerate([(9, 13, 17), (5, 7, 6), (8, 12, 10)]):
        module = check_passes(linear_relu(*sizes), passes, seed=seed)
        allocations = [op for op in module.walk() if isinstance(op, AllocOp)]
        assert bool(allocations) == bool(space)
        assert [op.names.data[0].data for op in module.walk() if isinstance(op, ForOp)] == ["k0"]


def test_another_reader_of_the_output_forces_a_local_buffer() -> None:
    """The running value must not show in a buffer that something else looks at."""
    text = linear_relu(6, 6, 8).replace(
        "    loop.store",
        "    %old = loop.load %b[%i] : memref<6xf32>\n    loop.store %old, %y[%i, %j] : f32,"
        " memref<6x6xf32>\n    loop.store",
        1,
    )
    module = check_passes(text, [TileLoops(sizes="k=3"), HoistReduce(loop="k0", above="i")])
    assert any(isinstance(op, AllocOp) for op in module.walk())


def test_the_value_waits_in_one_of_several_outputs() -> None:
    """A gradient that is kept, and the parameter that is updated by it."""
    text = linear_relu(6, 6, 8).replace("%y: memref", "%q: memref<6x6xf32>, %y: memref")
    text = text.replace(
        "    loop.store",
        "    %old = loop.load %q[%i, %j] : memref<6x6xf32>\n"
        "    %new = arith.subf %old, %r : f32\n"
        "    loop.store %new, %q[%i, %j] : f32, memref<6x6xf32>\n    loop.store",
        1,
    )
    module = check_passes(text, [TileLoops(sizes="k=3"), HoistReduce(loop="k0", above="i")])
    assert not any(isinstance(op, AllocOp) for op in module.walk())
    waiting = [str(op) for op in module.walk() if isinstance(op, LoadOp)]
    assert any("%y[" in line for line in waiting)


@pytest.mark.parametrize("kind", ["add", "max", "min", "mul"])
def test_kinds_and_initial_values(kind: str) -> None:
    text = f"""
loop.kernel @k(%x: memref<3x10xf32>, %y: memref<3xf32>) {{
  loop.parallel %i = 0 to 3 {{
    %start = arith.constant 0.25 : f32
    %s = loop.reduce {kind} %k = 0 to 10 init %start : f32 {{
      %v = loop.load %x[%i, %k] : memref<3x10xf32>
      loop.yield %v : f32
    }}
    loop.store %s, %y[%i] : f32, memref<3xf32>
  }}
}}"""
    passes = [TileLoops(sizes="k=4"), HoistReduce(loop="k0", above="i")]
    check_passes(text, passes, seed=int(np.frombuffer(kind.encode(), np.uint8).sum()))


def test_what_cannot_move_is_an_error_when_asked_for() -> None:
    cases = [
        (linear_relu(4, 4, 0), "k", "i", "no iterations"),
        (softmax(4, 8), "b", "i", "comes after loop.reduce"),
    ]
    for text, name, above, message in cases:
        module = parse_module(text)
        with pytest.raises(PassError, match=message):
            HoistReduce(loop=name, above=above).apply(new_context(), module)


def test_loops_of_a_gpus_threads_are_left_alone() -> None:
    """Blocks between a grid and its threads would share memory that nobody has placed."""
    module = parse_module(softmax(3, 40))
    MapToGrid().apply(new_context(), module)
    with pytest.raises(PassError, match="mapped to a GPU's threads") as error:
        HoistReduce(loop="a", above="i", target="gpu").apply(new_context(), module)
    assert "before map_to_grid" in error.value.hint


def test_whole_loops_follow_the_last_block() -> None:
    passes = [TileLoops(sizes="a=3"), HoistReduce(loop="a0", above="i")]
    check_passes(softmax(4, 8), passes)


def test_options_go_together() -> None:
    with pytest.raises(OptionError, match="both loop and above"):
        HoistReduce(loop="k").apply(new_context(), parse_module(linear_relu(4, 4, 4)))


@pytest.mark.gpu
@pytest.mark.parametrize("size", [16, 17])
def test_a_gpu_keeps_sums_whose_tails_check_indices_in_the_loop(size: int) -> None:
    """Tails that check indices stay loops, which cannot share registers with whole tiles."""
    whole, column = f"tensor<{size}x{size}xf32>", f"tensor<{size}x{size}x1xf32>"
    index = f"tensor<{size}x{size}x1xi32>"
    module = parse_module(f"""
        func.func @main(%x: {whole}, %u: {column}) -> {column} {{
          %p = pico.matmul %x, %x : {whole}, {whole} -> {whole}
          %y = pico.reshape %p to [{size}, {size}, 1] : {whole} -> {column}
          %i = pico.constant dense<0> : {index}
          %z = pico.scatter add %y at %i from %u axis 2 : {column}, {index}, {column}
          %w = pico.scatter set %z at %i from %u axis 2 : {column}, {index}, {column}
          %s = pico.binary add %z, %w : {column}
          func.return %s : {column}
        }}""")
    rng = np.random.default_rng(size)
    inputs = [rng.standard_normal(shape, np.float32) for shape in ((size,) * 2, (size, size, 1))]
    executable = compile_module(module, "gpu")
    device = executable.device
    (found,) = executable.run([device.upload(array) for array in inputs])
    expected = (inputs[0] @ inputs[0])[..., None] + 2 * inputs[1]
    np.testing.assert_allclose(device.download(found), expected, rtol=1e-4, atol=1e-4)
