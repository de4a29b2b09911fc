"""The emitter: what the text looks like, grids beyond one dimension, limits, and refusals."""

from dataclasses import replace

import numpy as np
import pytest

from picograd.backends.wgsl.device import GpuDevice
from picograd.backends.wgsl.emit import KernelCode, emit_kernel
from picograd.backends.wgsl.mapping import fold_grid
from picograd.backends.wgsl.runtime import Binding, Dispatch, Limits
from picograd.compiler.diagnostics import parse_module
from picograd.dialects import loop, new_context
from picograd.errors import CompileError, LimitError
from picograd.passes.map_to_grid import MapToGrid

LIMITS = Limits(
    max_storage_buffers=8,
    max_binding_bytes=1 << 27,
    max_buffer_bytes=1 << 28,
    max_workgroup_bytes=16384,
    max_invocations=256,
    max_workgroup_size=(256, 256, 64),
    max_workgroups=65535,
)


def emitted(text: str, limits: Limits = LIMITS, *, mapped: bool = True) -> KernelCode:
    module = parse_module(text)
    if not mapped:
        MapToGrid().apply(new_context(), module)
    (kernel,) = (op for op in module.ops if isinstance(op, loop.KernelOp))
    return emit_kernel(kernel, limits)


def scale(n: int, m: int) -> str:
    return f"""
loop.kernel @scale(%x: memref<{n}x{m}xf32>, %unused: memref<3xf32>, %hidden: memref<{n}x{m}xf32>) {{
  loop.parallel (%i, %j) = (0, 0) to ({n}, {m}) {{
    %v = loop.load %x[%i, %j] : memref<{n}x{m}xf32>
    %two = arith.constant 2.0 : f32
    %r = arith.mulf %v, %two : f32
    loop.store %r, %hidden[%i, %j] : f32, memref<{n}x{m}xf32>
  }}
}}"""


def test_the_text_carries_the_names_of_kernel_buffers_and_loops() -> None:
    code = emitted(scale(30, 50), mapped=False)
    assert "// kernel @scale: workgroups group x 6, 256 threads each" in code.text
    assert "_hidden: array<f32, 1500>;  // %hidden: memref<30x50xf32>" in code.text
    assert "// loop i (once)" in code.text
    (dispatch,) = code.dispatches
    assert dispatch.buffers == (0, 2), "buffers that are not used are not bound"
    assert dispatch.in_bounds


def test_equal_kernels_have_equal_text() -> None:
    assert emitted(scale(3, 5), mapped=False).text == emitted(scale(3, 5), mapped=False).text


@pytest.mark.parametrize("groups", [1, 7, 8, 50, 63, 64])
def test_a_folded_grid_covers_all_workgroups(groups: int) -> None:
    columns, rows, layers = fold_grid(groups, 8)
    assert layers == 1
    assert max(columns, rows) <= 8
    assert groups <= columns * rows < groups + columns


def test_no_grid_is_large_enough_for_everything() -> None:
    with pytest.raises(LimitError, match="more workgroups"):
        fold_grid(65, 8)


@pytest.mark.gpu
@pytest.mark.parametrize("most", [65535, 40, 7])
def test_a_grid_of_several_rows_computes_the_same(most: int, rng: np.random.Generator) -> None:
    module = parse_module(scale(37, 50))
    MapToGrid(threads=64).apply(new_context(), module)
    (kernel,) = (op for op in module.ops if isinstance(op, loop.KernelOp))
    (code,) = emit_kernel(kernel, replace(LIMITS, max_workgroups=most)).dispatches
    assert max(code.workgroups) <= most
    gpu = GpuDevice().gpu
    x = rng.standard_normal((37, 50)).astype(np.float32)
    memories = [gpu.create_memory(x.nbytes) for _ in range(2)]
    gpu.write(memories[0], x)
    pipeline = gpu.create_pipeline(code.text, 2, code.name)
    group = gpu.create_bind_group(pipeline, [Binding(m, 0, x.nbytes) for m in memories])
    gpu.submit([Dispatch(pipeline, group, code.workgroups)])
    (data,) = gpu.read([Binding(memories[1], 0, x.nbytes)])
    np.testing.assert_array_equal(np.frombuffer(data, "f4").reshape(37, 50), x * 2)


def grid(body: str, threads: int = 64) -> str:
    return f"""
loop.kernel @k(%x: memref<4096xf32>, %y: memref<4096xf32>) {{
  %c = arith.constant 1.0 : f32
  loop.parallel %g = 0 to 4 mapping grid {{
    {body}
    loop.parallel %i = 0 to {threads} mapping workgroup {{
      loop.store %c, %y[%i] : f32, memref<4096xf32>
    }}
  }}
}}"""


@pytest.mark.parametrize(
    ("text", "limits", "what"),
    [
        (
            grid('%s = loop.alloc : memref<5000xf32, "workgroup">'),
            LIMITS,
            "max-compute-workgroup-storage-size",
        ),
        (grid("", 257), LIMITS, "max-compute-invocations-per-workgroup"),
        (
            grid("%v = loop.load %x[0] : memref<4096xf32>"),
            replace(LIMITS, max_storage_buffers=1),
            "max-storage-buffers-per-shader-stage",
        ),
        (grid(""), replace(LIMITS, max_binding_bytes=16383), "max-storage-buffer-binding-size"),
    ],
)
def test_a_kernel_beyond_a_limit_is_an_error_that_names_it(
    text: str, limits: Limits, what: str
) -> None:
    with pytest.raises(LimitError) as caught:
        emitted(text, limits)
    message = str(caught.value)
    assert what in message
    assert "@k" in message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (scale(3, 5), "not mapped to the grid"),
        (grid("loop.store %c, %x[0] : f32, memref<4096xf32>"), "would store to one place"),
        (grid('%s = loop.alloc : memref<4xf32, "stack">'), "cannot be shared"),
        (grid("%e = math.exp %c : f32"), "math.exp has no WGSL spelling"),
        (
            grid("%t = loop.load %x[t0] : memref<4096xf32> to vector<8xf32>"),
            "no element type|has no WGSL spelling",
        ),
        (
            grid("%t = loop.reduce add %k = 0 to 4 : f32 { loop.yield %c : f32 }"),
            "loop.reduce has no WGSL spelling",
        ),
        (
            grid("""
    loop.parallel %j = 0 to 64 mapping workgroup {
      %v = loop.load %y[63 - %j] : memref<4096xf32>
      loop.store %v, %x[%j] : f32, memref<4096xf32>
    }"""),
            "without a barrier",
        ),
        (
            """
loop.kernel @k(%x: memref<64xf32>) {
  loop.parallel %g = 0 to 1 mapping grid {
    loop.parallel %i = 0 to 64 mapping workgroup {
      loop.barrier
    }
  }
}""",
            "would not be reached by all threads",
        ),
    ],
)
def test_what_has_no_spelling_is_refused_with_the_remedy(text: str, message: str) -> None:
    with pytest.raises(CompileError, match=message) as caught:
        emitted(text)
    assert caught.value.hint


def test_an_access_that_is_not_proved_in_bounds_keeps_the_checks() -> None:
    text = grid("%v = loop.load %x[%g + 4093] : memref<4096xf32>")
    assert not emitted(text).dispatches[0].in_bounds
    padded = grid("%v = loop.load %x[%g + 4093] pad : memref<4096xf32>")
    code = emitted(padded)
    assert code.dispatches[0].in_bounds
    assert "< 4096i" in code.text


def test_padded_loads_start_from_an_explicit_zero() -> None:
    text = emitted(grid("%v = loop.load %x[%g + 4093] pad : memref<4096xf32>")).text
    assert "= f32();" in text


def test_a_guarded_access_that_is_known_to_miss_touches_nothing() -> None:
    text = emitted("""
loop.kernel @k(%x: memref<4096xf32>, %y: memref<4096xf32>) {
  loop.parallel %g = 0 to 1 mapping grid {
    loop.parallel %t = 0 to 1 mapping workgroup {
      %v = loop.load %x[4096] pad : memref<4096xf32>
      loop.store %v, %y[-1] clip : f32, memref<4096xf32>
      loop.store %v, %y[7] clip : f32, memref<4096xf32>
    }
  }
}""").text
    assert "= f32();" in text
    assert "[4096i]" not in text and "[-1i]" not in text and "[7i]" in text


def test_values_that_swap_places_are_copied_first() -> None:
    text = emitted(
        grid("""
    %d = arith.constant 2.0 : f32
    %p, %q = loop.for %k = 0 to 3 carry (%a = %c : f32, %b = %d : f32) {
      loop.yield %b, %a : f32, f32
    }""")
    ).text
    lines = [line.strip() for line in text.splitlines()]
    assert sum(line.startswith("let t") for line in lines) == 2
