"""Checked execution on the GPU: each kind of fault is caught, and nothing else is."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import picograd as torch
from picograd.backends.wgsl.checked_program import CheckedWgslProgram
from picograd.backends.wgsl.device import GpuDevice
from picograd.backends.wgsl.status import place_number, place_of
from picograd.backends.wgsl.text import POISON
from picograd.check.generation.programs import random_samples
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import VARIABLE, compile_module
from picograd.dialects.dtypes import float32, int32
from picograd.errors import IndexOutOfRange, SanitizerError
from picograd.passes.loops.facts import LoopFacts

N = 100
MEMORY = f"memref<{N}xf32>"

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def gpu() -> GpuDevice:
    return GpuDevice()


def program(body: str, kinds: Sequence[str] = (MEMORY,), result: str = MEMORY) -> str:
    """A module whose one kernel has the arguments %x0, %x1, … and writes %y."""
    names = [f"%x{number}" for number in range(len(kinds))]
    given = ", ".join(f"{name}: {kind}" for name, kind in zip(names, kinds, strict=True))
    return f"""
loop.kernel @k({given}, %y: {result}) {{
{body}
}}
func.func @main({given}, %y: {result} {{buffer.output}}) {{
  loop.launch @k({", ".join(names)}, %y) : {", ".join(kinds)}, {result}
  func.return
}}"""


def run(
    gpu: GpuDevice, text: str, *inputs: np.ndarray, shape: tuple[int, ...] = (N,), dtype: str = "f4"
) -> np.ndarray:
    checked = gpu.load(parse_module(text), sanitize=True)
    given = [gpu.upload(array) for array in inputs]
    result = gpu.upload(np.zeros(shape, dtype))
    try:
        checked.run(given, [result])
    except SanitizerError:
        # Whatever the fault, it touched nothing of the caller's.
        np.testing.assert_array_equal(gpu.download(result), np.zeros(shape, dtype))
        for buffer, array in zip(given, inputs, strict=True):
            np.testing.assert_array_equal(gpu.download(buffer), array)
        raise
    return gpu.download(result)


def threads(count: int, body: str) -> str:
    return f"""loop.parallel %i = 0 to {count} mapping workgroup {{
{body}
}}"""


def grid(*parts: str) -> str:
    return "loop.parallel %g = 0 to 1 mapping grid {\n" + "\nloop.barrier\n".join(parts) + "\n}"


def copy(count: int, load: str = "%i", store: str = "%i", guarded: bool = False) -> str:
    pad, clip = ("pad", "clip") if guarded else ("", "")
    body = f"""%v = loop.load %x0[{load}] {pad} : {MEMORY}
    loop.store %v, %y[{store}] {clip} : f32, {MEMORY}"""
    return grid(threads(count, body))


@pytest.mark.parametrize(
    "body", [copy(N), copy(N + 28, guarded=True), copy(N, "-%i + 99", "-%i + 99")]
)
def test_correct_kernels_pass(gpu: GpuDevice, body: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal(N).astype("f4")
    np.testing.assert_array_equal(run(gpu, program(body), x), x)


@pytest.mark.parametrize(
    ("body", "found", "what"),
    [
        (copy(N + 1, load="0"), "100", "loop.store accesses %y out of bounds on axis 0"),
        (copy(N, load="%i - 1"), "-1", "loop.load accesses %x0 out of bounds on axis 0"),
        (copy(N, load="100"), "100", "loop.load accesses %x0 out of bounds on axis 0"),
        (copy(1, store="100"), "100", "loop.store accesses %y out of bounds on axis 0"),
        (copy(1, store="-1"), "-1", "loop.store accesses %y out of bounds on axis 0"),
    ],
)
def test_an_access_outside_is_named(
    gpu: GpuDevice, body: str, found: str, what: str, rng: np.random.Generator
) -> None:
    with pytest.raises(SanitizerError) as caught:
        run(gpu, program(body), rng.standard_normal(N).astype("f4"))
    assert what in caught.value.message
    assert caught.value.found == found
    assert "0 to 99" in caught.value.expected
    assert "kernel @k on the GPU: " in caught.value.where and "loop." in caught.value.where


def test_an_index_beyond_its_row_is_found_though_it_lies_in_the_buffer(gpu: GpuDevice) -> None:
    body = """%v = loop.load %x0[%i, %i + 1] : memref<4x4xf32>
    loop.store %v, %y[%i] : f32, memref<4xf32>"""
    text = program(grid(threads(4, body)), ["memref<4x4xf32>"], "memref<4xf32>")
    with pytest.raises(SanitizerError, match="%x0 out of bounds on axis 1"):
        run(gpu, text, np.ones((4, 4), "f4"), shape=(4,))


WORKGROUP = 'memref<64xf32, "workgroup">'


def staged(write: int, read: int) -> str:
    return grid(
        f"%m = loop.alloc : {WORKGROUP}\n"
        + threads(
            write,
            f"""%v = loop.load %x0[%i] : {MEMORY}
    loop.store %v, %m[%i] : f32, {WORKGROUP}""",
        ),
        threads(
            64,
            f"""%v = loop.load %m[%i - %i + {read}] : {WORKGROUP}
    loop.store %v, %y[%i] : f32, memref<64xf32>""",
        ),
    )


def test_workgroup_memory_has_bounds_and_starts_as_poison(gpu: GpuDevice) -> None:
    x = np.arange(N, dtype="f4")
    kinds, result = [MEMORY], "memref<64xf32>"
    found = run(gpu, program(staged(64, 63), kinds, result), x, shape=(64,))
    np.testing.assert_array_equal(found, np.full(64, 63, "f4"))
    with pytest.raises(SanitizerError, match=r"loop\.store accesses %m out of bounds") as caught:
        run(gpu, program(staged(65, 63), kinds, result), x, shape=(64,))
    assert caught.value.found == "64"
    with pytest.raises(SanitizerError, match="uninitialised memory was read") as caught:
        run(gpu, program(staged(63, 63), kinds, result), x, shape=(64,))
    assert caught.value.found == "poison in 64 of 64 elements, the first at [0]"


@pytest.mark.parametrize("index", ["1", "%k"])
def test_private_memory_starts_as_poison(gpu: GpuDevice, index: str) -> None:
    private = 'memref<3xf32, "private">'
    body = f"""%m = loop.alloc : {private}
    loop.parallel %k = 0 to 3 {{
      STORE
      %w = loop.load %m[{index}] : {private}
      loop.store %w, %y[%i] : f32, {MEMORY}
    }}"""
    store = f"%v = loop.load %x0[%i] : {MEMORY}\nloop.store %v, %m[{index}] : f32, {private}"
    x = np.arange(N, dtype="f4")
    good = program(grid(threads(N, body.replace("STORE", store))))
    np.testing.assert_array_equal(run(gpu, good, x), x)
    with pytest.raises(SanitizerError, match="uninitialised memory was read"):
        run(gpu, program(grid(threads(N, body.replace("STORE", "")))), x)


@pytest.mark.parametrize(("element", "dtype"), [("f32", "f4"), ("i32", "i4"), ("i1", "?")])
def test_a_result_must_be_written_whole(gpu: GpuDevice, element: str, dtype: str) -> None:
    kind = f"memref<{N}x{element}>"
    body = copy(N - 1).replace("f32", element)
    with pytest.raises(SanitizerError, match="%y was not written whole") as caught:
        run(gpu, program(body, [kind], kind), np.zeros(N, dtype), dtype=dtype)
    assert caught.value.found == "poison in 1 of 100 elements, the first at [99]"


def test_poison_of_the_callers_own_is_no_fault(gpu: GpuDevice) -> None:
    x = np.full(N, POISON, np.uint32).view("f4")
    np.testing.assert_array_equal(run(gpu, program(copy(N)), x), x)


def test_an_input_that_is_not_donated_stays(gpu: GpuDevice) -> None:
    body = copy(N).replace("mapping workgroup {", "mapping workgroup {\nSTORE")
    store = f"%c = arith.constant 3.0 : f32\nloop.store %c, %x0[%i] : f32, {MEMORY}"
    with pytest.raises(SanitizerError, match="the input %x0 was overwritten") as caught:
        run(gpu, program(body.replace("STORE", store)), np.zeros(N, "f4"))
    assert caught.value.found.startswith("200 bytes changed")


ARENA = f"""
loop.kernel @one(%x: {MEMORY}, %h: {MEMORY}) {{
  {copy(N).replace("%x0", "%x").replace("%y", "%h")}
}}
func.func @main(%x: {MEMORY}, %y: {MEMORY} {{buffer.output}}) {{
  %c = buffer.constant dense<2.0> : {MEMORY}
  %arena = buffer.arena : memref<1024xi8>
  %h = buffer.place %arena at 0 : memref<1024xi8> to {MEMORY}
  %g = buffer.place %arena at 512 : memref<1024xi8> to {MEMORY}
  loop.launch @one(%x, %h) : {MEMORY}, {MEMORY}
  loop.launch @one(%h, %g) : {MEMORY}, {MEMORY}
  loop.launch @one(%g, %y) : {MEMORY}, {MEMORY}
  func.return
}}"""


def test_buffers_in_use_at_once_must_not_share_the_arena(gpu: GpuDevice) -> None:
    x = np.arange(N, dtype="f4")
    np.testing.assert_array_equal(run(gpu, ARENA, x), x)
    with pytest.raises(SanitizerError, match="%h and %g overlap in the arena"):
        run(gpu, ARENA.replace("at 512", "at 256"), x)


def test_dead_buffers_are_poisoned(gpu: GpuDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that takes %h for dead too early: poison, not a value that happens to be left."""
    monkeypatch.setattr("picograd.backends.wgsl.checked_program.dead_after", dead_too_early)
    with pytest.raises(SanitizerError, match="uninitialised memory was read"):
        run(gpu, ARENA, np.arange(N, dtype="f4"))


def dead_too_early(main):
    launches = [op for op in main.body.block.ops if op.name == "loop.launch"]
    first = launches[0].buffers[1].owner
    return {launch: [first] if launch is launches[0] else [] for launch in launches}


def test_a_constant_stays(gpu: GpuDevice) -> None:
    x = np.arange(N, dtype="f4")
    text = ARENA.replace("@one(%h, %g)", "@one(%c, %g)")
    np.testing.assert_array_equal(run(gpu, text, x), np.full(N, 2, "f4"))
    with pytest.raises(SanitizerError, match="the constant %c was overwritten"):
        run(gpu, ARENA.replace("@one(%h, %g)", "@one(%h, %c)").replace("@one(%g", "@one(%h"), x)


def test_a_wrong_place_of_right_indices_is_found(
    gpu: GpuDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = LoopFacts.linearize
    monkeypatch.setattr(LoopFacts, "linearize", lambda *given: right(*given) + 1)
    with pytest.raises(SanitizerError, match="the address that was computed") as caught:
        run(gpu, program(copy(N)), np.ones(N, "f4"))
    assert "byte 400" in caught.value.found


def test_an_index_from_data_is_out_of_range_as_ever(gpu: GpuDevice) -> None:
    kind = f"memref<{N}xi32>"
    body = f"""%n = loop.load %x0[%i] : {kind}
    %k = loop.checked_index %n : i32 below {N}
    %v = loop.load %x1[%k] : {MEMORY}
    loop.store %v, %y[%i] : f32, {MEMORY}"""
    text = program(grid(threads(N, body)), [kind, MEMORY])
    x, n = np.arange(N, dtype="f4"), np.arange(N, dtype=np.int32)
    np.testing.assert_array_equal(run(gpu, text, n[::-1].copy(), x), x[::-1])
    with pytest.raises(IndexOutOfRange, match="index 100 ") as caught:
        run(gpu, text, n + 1, x)
    assert caught.value.where == "kernel @k on the GPU"
    gpu.synchronize()  # nothing is left of it


def test_the_code_is_unchanged_without(gpu: GpuDevice) -> None:
    plain = gpu.load(parse_module(program(copy(N, guarded=True)))).texts["wgsl"]
    checked = gpu.load(parse_module(program(copy(N, guarded=True))), sanitize=True).texts["wgsl"]
    assert "pg_inside" in checked and "pg_status" in checked
    assert "pg_inside" not in plain and "pg_status" not in plain and "pg_fault" not in plain


@pytest.mark.parametrize("site", [0, 1, 700])
@pytest.mark.parametrize("axis", [-1, 0, 7])
def test_an_access_and_an_axis_make_one_number(site: int, axis: int) -> None:
    assert place_number(site, axis) > 0
    assert place_of(place_number(site, axis)) == (site, axis)


def test_compile_takes_sanitize_and_the_environment_asks_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = torch.tensor(np.arange(12, dtype="f4").reshape(3, 4), device="gpu")

    def f(x: torch.Tensor) -> torch.Tensor:
        return (x @ x.T).softmax(-1)

    plain, checked = torch.compile(f), torch.compile(f, sanitize=True)
    np.testing.assert_array_equal(plain(x).numpy(), checked(x).numpy())
    module = torch.compile(f).trace(x).module
    one = compile_module(module, "gpu")
    other = compile_module(module, "gpu", sanitize=True)
    assert one is not other and isinstance(other.program, CheckedWgslProgram)
    monkeypatch.setenv(VARIABLE, "1")
    assert compile_module(module, "gpu") is other


def test_random_modules_give_the_same_results() -> None:
    for sample in random_samples(8, seed=43, most_ops=8, dtypes=(float32, int32)):
        plain, checked = (
            compile_module(sample.module, "gpu", sanitize=sanitize) for sanitize in (False, True)
        )
        device = plain.device
        found = [
            [device.download(b) for b in e.run([device.upload(a) for a in sample.inputs])]
            for e in (plain, checked)
        ]
        for one, other in zip(*found, strict=True):
            assert one.tobytes() == other.tobytes(), sample


def test_many_calls_from_several_threads(gpu: GpuDevice) -> None:
    checked = gpu.load(parse_module(program(copy(N))), sanitize=True)
    broken = gpu.load(parse_module(program(copy(N + 1, load="0"))), sanitize=True)

    def calls(number: int) -> None:
        x = np.full(N, number, "f4")
        given, result = gpu.upload(x), gpu.upload(np.zeros(N, "f4"))
        for turn in range(300):
            checked.run([given], [result])
            if turn % 50 == 0:
                np.testing.assert_array_equal(gpu.download(result), x)
                with pytest.raises(SanitizerError, match="out of bounds"):
                    broken.run([given], [result])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(calls, range(3)))


def reversed_row(barrier: str) -> str:
    row = 'memref<64xf32, "workgroup">'
    return f"""loop.parallel %g = 0 to 3 mapping grid {{
      %m = loop.alloc : {row}
      loop.parallel %i = 0 to 64 mapping workgroup {{
        %v = loop.load %x0[%g, %i] : memref<3x64xf32>
        loop.store %v, %m[%i] : f32, {row}
      }}
      {barrier}
      loop.parallel %i = 0 to 64 mapping workgroup {{
        %v = loop.load %m[-%i + 63] : {row}
        loop.store %v, %y[%g, %i] : f32, memref<3x64xf32>
      }}
    }}"""


def test_a_missing_barrier_is_found_by_running(
    gpu: GpuDevice, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """The emitter's analysis refuses it; so does the evaluation, were the analysis blind."""
    x = rng.standard_normal((3, 64)).astype("f4")
    kind = "memref<3x64xf32>"
    right, wrong = (program(reversed_row(b), [kind], kind) for b in ("loop.barrier", ""))
    np.testing.assert_array_equal(run(gpu, right, x, shape=(3, 64)), x[:, ::-1])
    monkeypatch.setattr("picograd.backends.wgsl.emit.unguarded", lambda kernel: [])
    with pytest.raises(SanitizerError, match="race for an element of %m: no barrier") as caught:
        run(gpu, wrong, x, shape=(3, 64))
    assert caught.value.found == "thread 0 does loop.load, thread 63 stores to %m[63]"
