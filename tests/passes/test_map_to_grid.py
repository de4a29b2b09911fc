"""map_to_grid: what runs where, and that nothing changes but that."""

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd.backends.wgsl.mapping import nests_in
from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.dialects import loop, new_context
from picograd.dialects.loop_syntax import memref_type
from picograd.passes.loops.facts import LoopFacts
from picograd.passes.map_to_grid import MapToGrid
from picograd.passes.mapping import launches, reductions
from picograd.passes.mapping.nests import mapping_of
from picograd.passes.round_up_loops import RoundUpLoops
from picograd.passes.tile_loops import TileLoops
from picograd.semantics.loop import run_kernel

Arrays = list[np.ndarray]


def elementwise(a: int, b: int, c: int) -> str:
    return f"""
loop.kernel @elementwise(%x: memref<{a}x{b}x{c}xf32>, %y: memref<{b}x{a}x{c}xf32>) {{
  loop.parallel (%i, %j, %k) = (0, 0, 0) to ({b}, {a}, {c}) {{
    %v = loop.load %x[%j, %i, %k] : memref<{a}x{b}x{c}xf32>
    %r = arith.addf %v, %v : f32
    loop.store %r, %y[%i, %j, %k] : f32, memref<{b}x{a}x{c}xf32>
  }}
}}"""


def rows(count: int, length: int) -> str:
    """Two reductions and a map over each row, through a buffer that all of them share."""
    x, y, row = f"memref<{count}x{length}xf32>", f"memref<{count}x{length}xf32>", length
    return f"""
loop.kernel @rows(%x: {x}, %y: {y}) {{
  loop.parallel %i = 0 to {count} {{
    %squares = loop.alloc : memref<{row}xf32, "stack">
    %m = loop.reduce max %a = 0 to {length} : f32 {{
      %v = loop.load %x[%i, %a] : {x}
      loop.yield %v : f32
    }}
    loop.parallel %b = 0 to {length} {{
      %v = loop.load %x[%i, %b] : {x}
      %d = arith.subf %v, %m : f32
      %e = arith.mulf %d, %d : f32
      loop.store %e, %squares[%b] : f32, memref<{row}xf32, "stack">
    }}
    %s = loop.reduce add %c = 0 to {length} : f32 {{
      %v = loop.load %squares[%c] : memref<{row}xf32, "stack">
      loop.yield %v : f32
    }}
    loop.parallel %j = 0 to {length} {{
      %v = loop.load %squares[%j] : memref<{row}xf32, "stack">
      %w = arith.divf %v, %s : f32
      loop.store %w, %y[%i, %j] : f32, {y}
    }}
  }}
}}"""


def total(n: int, m: int) -> str:
    """A full reduction, stored, and then used by a loop of its own."""
    return f"""
loop.kernel @total(%x: memref<{n}x{m}xf32>, %y: memref<f32>, %z: memref<{n}x{m}xf32>) {{
  %c = arith.constant 0.125 : f32
  %s = loop.reduce add (%a, %b) = (0, 0) to ({n}, {m}) : f32 {{
    %v = loop.load %x[%a, %b] : memref<{n}x{m}xf32>
    loop.yield %v : f32
  }}
  %r = arith.mulf %s, %c : f32
  loop.store %r, %y[] : f32, memref<f32>
  loop.parallel (%i, %j) = (0, 0) to ({n}, {m}) {{
    %v = loop.load %x[%i, %j] : memref<{n}x{m}xf32>
    %w = arith.mulf %v, %c : f32
    %u = arith.subf %w, %r : f32
    loop.store %u, %z[%i, %j] : f32, memref<{n}x{m}xf32>
  }}
}}"""


def scatter(size: int, updates: int, width: int) -> str:
    """Sequential along the updates, parallel over the rest."""
    return f"""
loop.kernel @scatter(%n: memref<{updates}xi32>, %x: memref<{updates}x{width}xf32>,
                     %y: memref<{size}x{width}xf32>) {{
  loop.parallel (%i, %j) = (0, 0) to ({size}, {width}) {{
    %zero = arith.constant 0.0 : f32
    loop.store %zero, %y[%i, %j] : f32, memref<{size}x{width}xf32>
  }}
  loop.parallel %j = 0 to {width} {{
    loop.for %u = 0 to {updates} {{
      %v = loop.load %n[%u] : memref<{updates}xi32>
      %at = loop.checked_index %v : i32 below {size}
      %old = loop.load %y[%at, %j] : memref<{size}x{width}xf32>
      %add = loop.load %x[%u, %j] : memref<{updates}x{width}xf32>
      %new = arith.addf %old, %add : f32
      loop.store %new, %y[%at, %j] : f32, memref<{size}x{width}xf32>
    }}
  }}
}}"""


def convolution(batch: int, outputs: int, channels: int) -> str:
    """Neighbouring outputs read neighbouring inputs, and so do the steps of a window."""
    x, w, y = f"{batch}x{channels}x18", f"{outputs}x{channels}x3", f"{batch}x{outputs}x16"
    return f"""
builtin.module {{
  loop.kernel @convolution(%x: memref<{x}xf32>, %w: memref<{w}xf32>, %y: memref<{y}xf32>) {{
    loop.parallel (%i, %o, %l) = (0, 0, 0) to ({batch}, {outputs}, 16) {{
      %s = loop.reduce add (%c, %k) = (0, 0) to ({channels}, 3) : f32 {{
        %a = loop.load %x[%i, %c, %l + %k] : memref<{x}xf32>
        %b = loop.load %w[%o, %c, %k] : memref<{w}xf32>
        %p = arith.mulf %a, %b : f32
        loop.yield %p : f32
      }}
      loop.store %s, %y[%i, %o, %l] : f32, memref<{y}xf32>
    }}
  }}
}}"""


CASES = {
    **{f"convolution {s}": convolution(*s) for s in [(2, 3, 5), (1, 2, 70)]},
    **{f"elementwise {s}": elementwise(*s) for s in [(1, 1, 1), (3, 5, 7), (40, 50, 2), (0, 3, 4)]},
    **{f"rows {s}": rows(*s) for s in [(1, 1), (3, 5), (7, 1000), (300, 64), (2, 257), (4, 0)]},
    **{f"total {s}": total(*s) for s in [(3, 5), (100, 70), (150, 150), (0, 4), (1, 1)]},
    **{f"scatter {s}": scatter(*s) for s in [(5, 9, 1), (3, 100, 70), (1, 0, 3)]},
}


def kernel_of(text: str) -> tuple[loop.KernelOp, ModuleOp]:
    module = parse_module(text)
    (kernel,) = (op for op in module.ops if isinstance(op, loop.KernelOp))
    return kernel, module


def arguments(kernel: loop.KernelOp, rng: np.random.Generator) -> Arrays:
    """Random arrays; integers are valid indices."""
    sizes = [op.size.value.data for op in kernel.walk() if isinstance(op, loop.CheckedIndexOp)]
    types = [memref_type(argument) for argument in kernel.body.block.args]
    return [
        rng.standard_normal(type.get_shape()).astype(np.float32)
        if str(type.element_type) == "f32"
        else rng.integers(0, min(sizes), type.get_shape()).astype(np.int32)
        for type in types
    ]


def run(kernel: loop.KernelOp, arrays: Arrays) -> Arrays:
    copies = [array.copy() for array in arrays]
    run_kernel(kernel, copies)
    return copies


@pytest.mark.parametrize("threads", [1, 32, 0])
@pytest.mark.parametrize("name", CASES)
def test_the_meaning_is_kept(name: str, threads: int, rng: np.random.Generator) -> None:
    kernel, module = kernel_of(CASES[name])
    arrays = arguments(kernel, rng)
    before = run(kernel, arrays)
    text = str(module)
    MapToGrid(threads=threads).apply(new_context(), module)
    module.verify()
    assert str(module) != text
    assert str(parse_module(str(module))) == str(module)
    for found, expected in zip(run(kernel, arrays), before, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    tops = [op for op in kernel.body.block.ops if not isinstance(op, loop.AllocOp)]
    assert {mapping_of(op) for op in tops} == {"grid"}
    for op in tops:
        for nest in nests_in(op, LoopFacts(), "k"):
            assert nest.iterations <= (threads or 256)


def test_running_it_again_changes_nothing(rng: np.random.Generator) -> None:
    _, module = kernel_of(rows(7, 1000))
    MapToGrid().apply(new_context(), module)
    text = str(module)
    MapToGrid(threads=32).apply(new_context(), module)
    assert str(module) == text


def mappings(text: str) -> list[tuple[str, str]]:
    kernel, module = kernel_of(text)
    MapToGrid().apply(new_context(), module)
    return [
        (op.dims[0].name, mapping_of(op)) for op in kernel.walk() if isinstance(op, loop.ParallelOp)
    ]


def test_short_iterations_get_a_thread_each() -> None:
    assert mappings(rows(3000, 5))[:2] == [("group", "grid"), ("i", "workgroup")]


def test_threads_that_read_side_by_side_share_no_long_reduction() -> None:
    assert mappings(convolution(8, 8, 70))[:2] == [("group", "grid"), ("thread", "workgroup")]


def test_long_rows_get_a_workgroup_each() -> None:
    found = mappings(rows(3, 5000))
    assert found[0] == ("i", "grid")
    assert ("thread", "workgroup") in found


def test_a_buffer_that_threads_share_moves_into_workgroup_memory() -> None:
    kernel, module = kernel_of(rows(3, 500))
    MapToGrid().apply(new_context(), module)
    spaces = {op.space for op in kernel.walk() if isinstance(op, loop.AllocOp)}
    assert spaces == {"workgroup"}


def test_a_value_between_two_launches_waits_in_a_buffer() -> None:
    kernel, module = kernel_of(total(150, 150))
    MapToGrid().apply(new_context(), module)
    first, second, third = kernel.body.block.ops
    assert isinstance(first, loop.AllocOp)
    assert mapping_of(second) == mapping_of(third) == "grid"


def test_a_small_kernel_with_a_reduction_stays_one_launch() -> None:
    kernel, module = kernel_of(total(30, 20))
    MapToGrid().apply(new_context(), module)
    (launch,) = kernel.body.block.ops
    assert mapping_of(launch) == "grid"


def test_buffers_between_what_one_launch_gathers_come_before_it(rng: np.random.Generator) -> None:
    fill = """
  %b{n} = loop.alloc : memref<4xf32, "stack">
  loop.for %k{n} = 0 to 4 {{
    %v{n} = loop.load %x[%k{n}] : memref<4xf32>
    loop.store %v{n}, %b{n}[3 - %k{n}] : f32, memref<4xf32, "stack">
  }}
  loop.for %l{n} = 0 to 4 {{
    %w{n} = loop.load %b{n}[%l{n}] : memref<4xf32, "stack">
    loop.store %w{n}, %y{n}[%l{n}] : f32, memref<4xf32>
  }}"""
    arguments = "%x: memref<4xf32>, %y0: memref<4xf32>, %y1: memref<4xf32>"
    text = f"loop.kernel @k({arguments}) {{{fill.format(n=0)}{fill.format(n=1)}\n}}"
    module = parse_module(text)
    MapToGrid().apply(new_context(), module)
    verify_module(module)
    (kernel,) = (op for op in module.ops if isinstance(op, loop.KernelOp))
    x, *results = rng.standard_normal((3, 4)).astype(np.float32)
    run_kernel(kernel, [x, *results])
    for result in results:
        np.testing.assert_array_equal(result, x[::-1])


def test_register_tiles_are_given_a_thread_each(rng: np.random.Generator) -> None:
    kernel, module = kernel_of(elementwise(20, 40, 1))
    arrays = arguments(kernel, rng)
    before = run(kernel, arrays)
    for step in (
        TileLoops(sizes="i=16 j=16"),
        RoundUpLoops(),
        TileLoops(sizes="i=4 j=4", exact=True),
        MapToGrid(),
    ):
        step.apply(new_context(), module)
        module.verify()
    for found, expected in zip(run(kernel, arrays), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert [m for _, m in _mapped(kernel)].count("lanes") == 1


def _mapped(kernel: loop.KernelOp) -> list[tuple[str, str]]:
    return [
        (op.dims[0].name, mapping_of(op)) for op in kernel.walk() if isinstance(op, loop.ParallelOp)
    ]


@pytest.mark.parametrize("width", [5, 40_000])
def test_an_index_from_data_is_found_again_in_each_launch(
    width: int, rng: np.random.Generator
) -> None:
    kernel, module = kernel_of(f"""
loop.kernel @pick(%n: memref<i32>, %x: memref<3x{width}xf32>, %y: memref<{width}xf32>) {{
  %v = loop.load %n[] : memref<i32>
  %at = loop.checked_index %v : i32 below 3
  loop.parallel %j = 0 to {width} {{
    %e = loop.load %x[%at, %j] : memref<3x{width}xf32>
    loop.store %e, %y[%j] : f32, memref<{width}xf32>
  }}
}}""")
    arrays = arguments(kernel, rng)
    MapToGrid().apply(new_context(), module)
    module.verify()
    found = run(kernel, arrays)
    np.testing.assert_array_equal(found[2], arrays[1][arrays[0]])
    (launch,) = kernel.body.block.ops
    assert mapping_of(launch) == "grid"


def full_sum(*shape: int) -> str:
    x = f"memref<{'x'.join(map(str, shape))}xf32>"
    names = ", ".join(f"%{'abc'[axis]}" for axis in range(len(shape)))
    lists = [names, ", ".join("0" for _ in shape), ", ".join(map(str, shape))]
    variables, starts, ends = (f"({text})" if len(shape) > 1 else text for text in lists)
    return f"""
loop.kernel @full_sum(%x: {x}, %y: memref<f32>) {{
  %one = arith.constant 1.0 : f32
  %s = loop.reduce add {variables} = {starts} to {ends} init %one : f32 {{
    %v = loop.load %x[{names}] : {x}
    loop.yield %v : f32
  }}
  loop.store %s, %y[] : f32, memref<f32>
}}"""


@pytest.mark.parametrize("shape", [(129,), (20, 25), (5, 1, 200)])
def test_a_long_full_reduction_has_two_stages(
    shape: tuple[int, ...], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reductions, "CHUNK", 64)
    monkeypatch.setattr(launches, "ONE_GROUP_LIMIT", 64)
    kernel, module = kernel_of(full_sum(*shape))
    MapToGrid().apply(new_context(), module)
    module.verify()
    parts, first, second = kernel.body.block.ops
    assert isinstance(parts, loop.AllocOp)
    assert isinstance(first, loop.ParallelOp)
    assert first.dims[0].extent == -(-np.prod(shape) // 64)
    assert mapping_of(first) == mapping_of(second) == "grid"
    x = rng.standard_normal(shape).astype(np.float32)
    y = np.array(np.nan, np.float32)
    run_kernel(kernel, [x, y])
    assert abs(y - x.sum(dtype=np.float64) - 1) <= 2**-24 * 300 * np.abs(x).sum()
