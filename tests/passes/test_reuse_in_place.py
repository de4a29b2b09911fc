"""reuse_in_place: what may be overwritten is, and nothing else; errors leave arguments alone."""

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.compiler.executable import compile_module
from picograd.dialects import new_context
from picograd.dialects.buffer import AllocOp, KernelOp, stored_in
from picograd.dialects.loop import KernelOp as LoopKernelOp
from picograd.errors import IndexOutOfRange
from picograd.passes import reuse_in_place
from picograd.passes.fuse import Fuse
from picograd.passes.lower_buffers_to_loops import LowerBuffersToLoops
from picograd.passes.lower_kernels_to_buffers import LowerKernelsToBuffers
from picograd.passes.lowering.kernel import try_lowering
from picograd.passes.outline_kernels import OutlineKernels
from picograd.passes.reuse_in_place import ReuseInPlace
from picograd.semantics.evaluate import entry_of, evaluate

RNG = np.random.default_rng(31)
V = "tensor<7xf32>"
M = "tensor<5x5xf32>"


def at_buffer_level(text: str, *, fused: bool = False) -> ModuleOp:
    """Each op a kernel of its own, with buffers between them; with `fused`, as few as can be."""
    module = parse_module(text)
    OutlineKernels().apply(new_context(), module)
    if fused:
        Fuse().apply(new_context(), module)
    LowerKernelsToBuffers().apply(new_context(), module)
    return module


def reused(text: str) -> ModuleOp:
    """The module after the pass, which must mean what it meant, at this level and the next."""
    module = at_buffer_level(text)
    inputs = [
        RNG.standard_normal(argument.type.get_shape()).astype(np.float32)  # pyright: ignore
        for argument in entry_of(parse_module(text)).args
    ]
    expected = evaluate(parse_module(text), inputs)
    kept = [array.copy() for array in inputs]
    ReuseInPlace().apply(new_context(), module)
    verify_module(module)
    lowered = module.clone()
    LowerBuffersToLoops().apply(new_context(), lowered)
    verify_module(lowered)
    for level in (module, lowered):
        for array, wanted in zip(evaluate(level, inputs), expected, strict=True):
            np.testing.assert_allclose(array, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(inputs, kept)
    return module


def updates(module: ModuleOp) -> list[str]:
    """The labels of the kernels that update a buffer."""
    return [op.label.data for op in module.walk() if isinstance(op, KernelOp) and op.updates]


def allocs(module: ModuleOp) -> int:
    return sum(isinstance(op, AllocOp) for op in module.walk())


def test_a_chain_needs_no_buffer_of_its_own() -> None:
    module = reused(f"""
        func.func @main(%x: {V}) -> {V} {{
          %a = pico.unary exp %x : {V}
          %b = pico.unary tanh %a : {V}
          %c = pico.unary abs %b : {V}
          func.return %c : {V}
        }}""")
    assert updates(module) == ["tanh", "abs"]
    assert allocs(module) == 0


def test_a_value_that_is_read_later_is_kept() -> None:
    module = reused(f"""
        func.func @main(%x: {V}) -> {V} {{
          %a = pico.unary exp %x : {V}
          %b = pico.unary tanh %a : {V}
          %c = pico.binary sub %b, %a : {V}
          func.return %c : {V}
        }}""")
    assert updates(module) == ["sub"]


@pytest.mark.parametrize(
    "op",
    [
        f"pico.permute %a by [1, 0] : {M} -> {M}",
        f"pico.reverse %a axes [0] : {M}",
        f"pico.matmul %a, %a : {M}, {M} -> {M}",
    ],
    ids=["transposed", "reversed", "product"],
)
def test_what_is_read_elsewhere_than_written_is_kept(op: str) -> None:
    module = reused(f"""
        func.func @main(%x: {M}) -> {M} {{
          %a = pico.unary exp %x : {M}
          %b = {op}
          func.return %b : {M}
        }}""")
    assert updates(module) == []


def donating(body: str, result: str = "%new") -> str:
    return f"""
        func.func @main(%g: {V}, %w: {V} {{pico.donated = 0 : i64}}) -> {V} {{
          {body}
          func.return {result} : {V}
        }}"""


def test_a_donated_argument_is_overwritten() -> None:
    module = reused(donating(f"%new = pico.binary sub %w, %g : {V}"))
    assert stored_in(entry_of(module)) == {2: 1}
    assert updates(module) == ["sub"]
    (kernel,) = (op for op in module.walk() if isinstance(op, KernelOp))
    assert kernel.guarded is None


def test_only_the_result_it_is_donated_to_overwrites_it() -> None:
    module = reused(f"""
        func.func @main(%w: {V} {{pico.donated = 1 : i64}}) -> ({V}, {V}) {{
          %other = pico.unary exp %w : {V}
          %late = pico.unary abs %other : {V}
          %copy = pico.binary add %late, %late : {V}
          func.return %other, %copy : {V}, {V}
        }}""")
    assert stored_in(entry_of(module)) == {}


def test_a_donated_argument_that_is_read_later_is_kept() -> None:
    module = reused(f"""
        func.func @main(%w: {V} {{pico.donated = 0 : i64}}) -> ({V}, {V}) {{
          %new = pico.unary exp %w : {V}
          %old = pico.binary add %w, %w : {V}
          func.return %new, %old : {V}, {V}
        }}""")
    assert stored_in(entry_of(module)) == {}


def gathering(before: bool) -> str:
    """A donated argument that is updated after, or before, indices are read from a tensor."""
    first, second = "%new = pico.binary sub %w, %g : " + V, ""
    second = f"%picked = pico.gather %g at %i axis 0 : {V}, tensor<3xi64> -> tensor<3xf32>"
    body = f"{second}\n{first}" if before else f"{first}\n{second}"
    return f"""
        func.func @main(%g: {V}, %w: {V} {{pico.donated = 0 : i64}}, %i: tensor<3xi64>)
            -> ({V}, tensor<3xf32>) {{
          {body}
          func.return %new, %picked : {V}, tensor<3xf32>
        }}"""


def test_an_update_after_indices_is_guarded() -> None:
    module = at_buffer_level(gathering(before=True))
    ReuseInPlace().apply(new_context(), module)
    assert [op.label.data for op in module.walk() if isinstance(op, KernelOp) and op.guarded] == [
        "sub"
    ]
    LowerBuffersToLoops().apply(new_context(), module)
    guarded = [op for op in module.walk() if isinstance(op, LoopKernelOp) and op.guarded]
    assert len(guarded) == 1
    text = str(module)
    assert str(parse_module(text)) == text


def test_no_update_before_indices_are_read() -> None:
    module = at_buffer_level(gathering(before=False))
    ReuseInPlace().apply(new_context(), module)
    assert stored_in(entry_of(module)) == {}


def embedding(kept: str, sizes: int = 7) -> str:
    """A step of an embedding: rows are read, and the gradient is added up where they were."""
    rows = f"tensor<{sizes}xf32>"
    return f"""
        func.func @main(%g: tensor<3xf32>, %w: {V} {{pico.donated = 0 : i64}}, %i: tensor<3xi64>,
                        %z: {rows}) -> ({V}, {rows}, tensor<3xf32>) {{
          %read = pico.gather %w at %i axis 0 : {V}, tensor<3xi64> -> tensor<3xf32>
          %out = {kept}
          %new = pico.unary exp %w : {V}
          %up = pico.binary mul %g, %out : tensor<3xf32>
          %sums = pico.scatter add %z at %i from %up axis 0
            : {rows}, tensor<3xi64>, tensor<3xf32>
          func.return %new, %sums, %out : {V}, {rows}, tensor<3xf32>
        }}"""


WHOLE = "pico.binary mul %read, %read : tensor<3xf32>"
FIRST = """pico.slice %read from [0] to [1] step [1] : tensor<3xf32> -> tensor<1xf32>
          %all = pico.broadcast %first to [3] : tensor<1xf32> -> tensor<3xf32>"""


@pytest.mark.parametrize("sizes", [7, 9])
def test_indices_that_were_all_checked_before_hold_no_update_up(sizes: int) -> None:
    module = at_buffer_level(embedding(WHOLE, sizes), fused=True)
    ReuseInPlace().apply(new_context(), module)
    assert stored_in(entry_of(module)) == {4: 1}


def test_a_smaller_axis_is_checked_again() -> None:
    module = at_buffer_level(embedding(WHOLE, sizes=6), fused=True)
    ReuseInPlace().apply(new_context(), module)
    assert stored_in(entry_of(module)) == {}


def test_indices_of_a_part_say_nothing_of_the_others() -> None:
    part = embedding(FIRST).replace("%out = pico.slice", "%first = pico.slice")
    module = at_buffer_level(part.replace("%all", "%out"), fused=True)
    ReuseInPlace().apply(new_context(), module)
    assert stored_in(entry_of(module)) == {}


@pytest.mark.parametrize("at", [0, 1, 2])
def test_each_index_of_an_embedding_is_met_before_its_weight_changes(at: int) -> None:
    executable = compile_module(parse_module(embedding(WHOLE)), "cpu")
    assert executable.donated == {0: 1}
    device = executable.device
    g, w, z = (RNG.standard_normal(n).astype(np.float32) for n in (3, 7, 7))
    indices = RNG.integers(0, 7, 3)
    inputs = [device.upload(array) for array in (g, w, indices, z)]
    np.testing.assert_allclose(device.download(executable.run(inputs)[0]), np.exp(w), rtol=1e-6)
    indices[at] = 7
    inputs = [device.upload(array) for array in (g, w, indices, z)]
    with pytest.raises(IndexOutOfRange, match="index 7"):
        executable.run(inputs)
    np.testing.assert_array_equal(device.download(inputs[1]), w)


@pytest.mark.parametrize("name", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_an_index_out_of_range_leaves_a_donated_argument_alone(name: str) -> None:
    executable = compile_module(parse_module(gathering(before=True)), name)
    assert executable.donated == {0: 1}
    g, w = RNG.standard_normal((2, 7)).astype(np.float32)
    device = executable.device
    for indices, fails in (([0, 6, 3], False), ([0, 7, 3], True), ([1, 2, 3], False)):
        inputs = [device.upload(array) for array in (g, w, np.array(indices))]
        if fails:
            with pytest.raises(IndexOutOfRange, match="index 7"):
                device.download(executable.run(inputs)[1])
            np.testing.assert_array_equal(device.download(inputs[1]), w)
            continue
        results = executable.run(inputs)
        assert results[0] is inputs[1]
        np.testing.assert_array_equal(device.download(results[0]), w - g)
        np.testing.assert_array_equal(device.download(results[1]), g[indices])


def test_matmul_epilogues_and_siblings_update_in_place() -> None:
    """A fused optimizer step reads and writes each of its arguments once, beside a product."""
    text = f"""
        func.func @main(%x: {M}, %d: {M}, %m: {M} {{pico.donated = 0 : i64}},
                        %w: {M} {{pico.donated = 1 : i64}}) -> ({M}, {M}) {{
          %g = pico.matmul %x, %d : {M}, {M} -> {M}
          %m_new = pico.binary add %m, %g : {M}
          %w_new = pico.binary sub %w, %m_new : {M}
          func.return %m_new, %w_new : {M}, {M}
        }}"""
    inputs = list(RNG.standard_normal((4, 5, 5)).astype(np.float32))
    expected = evaluate(parse_module(text), inputs, precision="float64")
    executable = compile_module(parse_module(text), "cpu")
    assert executable.donated == {0: 2, 1: 3}
    device = executable.device
    found = executable.run([device.upload(array) for array in inputs])
    for array, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(device.download(array), wanted, rtol=1e-5, atol=1e-5)


def test_a_kernel_with_indices_that_updates_a_buffer_comes_before_updates_of_arguments() -> None:
    """The kernel that replaces it is the one whose place counts."""
    module = parse_module(f"""
        func.func @main(%g: memref<7xf32>, %w: memref<7xf32> {{pico.donated = 0 : i64}},
                        %i: memref<7xi64>, %new: memref<7xf32> {{buffer.output}}) {{
          %a = buffer.alloc : memref<7xf32>
          %s = buffer.alloc : memref<7xf32>
          buffer.kernel "exp" reads(%gm = %g : memref<7xf32>) writes(%am = %a : memref<7xf32>) {{
            %gv = buffer.read %gm : memref<7xf32> -> {V}
            %av = pico.unary exp %gv : {V}
            buffer.write %av, %am : {V}, memref<7xf32>
          }}
          buffer.kernel "picked" reads(%am = %a : memref<7xf32>, %gm = %g : memref<7xf32>,
              %im = %i : memref<7xi64>) writes(%sm = %s : memref<7xf32>) {{
            %av = buffer.read %am : memref<7xf32> -> {V}
            %gv = buffer.read %gm : memref<7xf32> -> {V}
            %iv = buffer.read %im : memref<7xi64> -> tensor<7xi64>
            %pv = pico.gather %gv at %iv axis 0 : {V}, tensor<7xi64> -> {V}
            %sv = pico.binary add %av, %pv : {V}
            buffer.write %sv, %sm : {V}, memref<7xf32>
          }}
          buffer.kernel "sub" reads(%wm = %w : memref<7xf32>, %sm = %s : memref<7xf32>)
              writes(%nm = %new : memref<7xf32>) {{
            %wv = buffer.read %wm : memref<7xf32> -> {V}
            %sv = buffer.read %sm : memref<7xf32> -> {V}
            %nv = pico.binary sub %wv, %sv : {V}
            buffer.write %nv, %nm : {V}, memref<7xf32>
          }}
          func.return
        }}""")
    ReuseInPlace().apply(new_context(), module)
    verify_module(module)
    assert updates(module) == ["picked", "sub"]


def test_equal_kernels_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lowered: list[KernelOp] = []

    def counting(kernel: KernelOp) -> LoopKernelOp:
        lowered.append(kernel)
        return try_lowering(kernel)

    monkeypatch.setattr(reuse_in_place, "try_lowering", counting)
    module = reused(f"""
      func.func @main(%x: {V}) -> {V} {{
        %a = pico.unary exp %x : {V}
        %b = pico.unary neg %a : {V}
        %c = pico.unary neg %b : {V}
        %d = pico.unary neg %c : {V}
        %e = pico.unary abs %d : {V}
        func.return %e : {V}
      }}""")
    assert updates(module) == ["neg", "neg", "neg", "abs"]
    assert len(lowered) == 2
