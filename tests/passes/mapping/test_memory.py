"""map_to_grid's memory: what a workgroup shares, what its threads have for themselves."""

import pytest

from picograd.backends.wgsl.barrier_check import check_barriers
from picograd.check.loop_samples import check_passes, linear_relu, the_kernel, triangle
from picograd.dialects import loop
from picograd.passes.hoist_reduce import HoistReduce
from picograd.passes.insert_barriers import InsertBarriers
from picograd.passes.lower_reduce import LowerReduce
from picograd.passes.map_to_grid import MapToGrid
from picograd.passes.mapping.nests import mapping_of
from picograd.passes.parallelize_loops import ParallelizeLoops
from picograd.passes.stage_operands import StageOperands
from picograd.passes.tile_loops import TileLoops


def mappings(kernel: loop.KernelOp) -> list[str]:
    return [mapping_of(op) for op in kernel.walk() if isinstance(op, loop.ParallelOp)]


def test_loops_meant_for_the_threads_of_a_cpu_are_mapped_like_others() -> None:
    passes = [ParallelizeLoops(serial_below=0, grain=1), MapToGrid(), InsertBarriers()]
    for text in (linear_relu(9, 11, 5), triangle(12)):
        kernel = the_kernel(check_passes(text, passes))
        assert not set(mappings(kernel)) - {"grid", "workgroup", "lanes", ""}
        check_barriers(kernel)


def test_sums_whose_tails_have_other_threads_wait_in_workgroup_memory() -> None:
    def spaces(*sizes: int) -> set[str]:
        module = check_passes(
            linear_relu(*sizes),
            [
                TileLoops(sizes="j=12 i=12 k=4"),
                HoistReduce(target="gpu"),
                TileLoops(sizes="j=4 i=3", exact=True),
                MapToGrid(),
                InsertBarriers(),
            ],
        )
        kernel = the_kernel(module)
        check_barriers(kernel)
        return {op.space for op in kernel.walk() if isinstance(op, loop.AllocOp)}

    assert spaces(24, 12, 7) == {"private"}
    assert spaces(24, 18, 7) == {"workgroup"}


def test_iterations_with_workgroup_memory_are_taken_in_turn() -> None:
    tile = 'memref<5xf32, "workgroup">'
    module = check_passes(
        f"""
loop.kernel @reversed(%x: memref<7x3x5xf32>, %y: memref<7x3x5xf32>) {{
  loop.for %n = 0 to 7 step 2 {{
    loop.parallel (%m, %i) = (%n, 0) to (min(%n + 2, 7), 3) {{
      %t = loop.alloc : {tile}
      loop.parallel %a = 0 to 5 {{
        %v = loop.load %x[%m, %i, %a] : memref<7x3x5xf32>
        loop.store %v, %t[%a] : f32, {tile}
      }}
      loop.parallel %b = 0 to 5 {{
        %w = loop.load %t[4 - %b] : {tile}
        loop.store %w, %y[%m, %i, %b] : f32, memref<7x3x5xf32>
      }}
    }}
  }}
}}""",
        [MapToGrid(), InsertBarriers()],
    )
    kernel = the_kernel(module)
    check_barriers(kernel)
    assert mappings(kernel) == ["grid", "workgroup", "workgroup"]
    steps = [op.dims[0].name for op in kernel.walk() if isinstance(op, loop.ForOp)]
    assert steps == ["n", "m", "i"]


@pytest.mark.parametrize("space", ["workgroup", "stack"])
def test_a_reduction_may_hold_copies_of_its_operands(space: str) -> None:
    stage = StageOperands(operand="x", at="k0", layout="k=1", space=space)
    for depth, size in ((9, 4), (300, 100)):
        tile = TileLoops(sizes=f"k={size}")
        passes = [tile, stage, MapToGrid(), InsertBarriers(), LowerReduce()]
        kernel = the_kernel(check_passes(linear_relu(2, 3, depth), passes))
        check_barriers(kernel)
        spaces = {op.space for op in kernel.walk() if isinstance(op, loop.AllocOp)}
        # What one thread runs alone may stay as it was; what a workgroup runs is marked.
        assert spaces <= ({"workgroup"} if space == "workgroup" else {"private", "stack"})
