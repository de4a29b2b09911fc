"""Checked execution on the CPU: each kind of fault is caught, and nothing else is."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import picograd as torch
from picograd.backends.llvm import emit_memory
from picograd.backends.llvm.checked_program import CheckedCpuProgram
from picograd.backends.llvm.device import CpuDevice
from picograd.backends.llvm.thread_pool import ThreadPool
from picograd.check.generation.programs import random_samples
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import VARIABLE, compile_module
from picograd.errors import IndexOutOfRange, SanitizerError

N = 100
MEMORY = f"memref<{N}xf32>"


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


def run(text: str, *inputs: np.ndarray, shape: tuple[int, ...] = (N,), dtype: str = "f4"):
    device = CpuDevice()
    checked = device.load(parse_module(text), sanitize=True)
    given = [device.upload(array) for array in inputs]
    result = device.upload(np.zeros(shape, dtype))
    try:
        checked.run(given, [result])
    except SanitizerError:
        # Whatever the fault, it touched nothing of the caller's.
        np.testing.assert_array_equal(device.download(result), np.zeros(shape, dtype))
        for buffer, array in zip(given, inputs, strict=True):
            np.testing.assert_array_equal(device.download(buffer), array)
        raise
    return device.download(result)


def copy(count: object, load: str = "%i", store: str = "%i", step: str = "", clip: str = "") -> str:
    lanes = int(step.split()[1]) if step else 0
    tile = f"vector<{lanes}xf32>" if lanes else "f32"
    to = f" to {tile}" if lanes else ""
    return f"""  loop.parallel %i = 0 to {count} {step} {{
    %v = loop.load %x0[{load}] {"pad" if clip else ""} : {MEMORY}{to}
    loop.store %v, %y[{store}] {clip} : {tile}, {MEMORY}
  }}"""


@pytest.mark.parametrize(
    "body",
    [
        copy(N),
        copy(N, "%i + t0", "%i + t0", "step 4"),
        copy(N, "%i + t0", "%i + t0", "step 5"),  # a masked vector
        copy(N, "%i + t0", "%i + t0", "step 16", "clip"),
        copy(N, "%i + t0", "%i + t0", "step 7", "clip"),
        copy(N + 9, clip="clip"),
        copy(N, "-%i + 99", "-%i + 99"),
        copy(N, "-%i - t0 + 99", "-%i - t0 + 99", "step 4"),
        copy(N, "%i floordiv 3 + %i - %i floordiv 3"),
    ],
)
def test_correct_kernels_pass(body: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal(N).astype("f4")
    np.testing.assert_array_equal(run(program(body), x), x)


@pytest.mark.parametrize(
    ("body", "found", "what"),
    [
        (copy(N + 1, load="0"), "100", "loop.store accesses %y out of bounds on axis 0"),
        (copy(N, load="%i - 1"), "-1", "loop.load accesses %x0 out of bounds on axis 0"),
        (copy(N, store="%i + 4294967296"), "4294967296", "%y out of bounds"),
        (copy(N, "0", "%i + t0", "step 8"), "103", "%y out of bounds on axis 0"),
        (copy(N + 1, "0", "%i + t0", "step 5"), "100", "%y out of bounds on axis 0"),
        (copy(N, "%i + t0 - 3", "%i + t0", "step 4"), "-3", "%x0 out of bounds on axis 0"),
        (copy(N, "-%i - t0 + 98", "%i + t0", "step 4"), "-1", "%x0 out of bounds on axis 0"),
        (copy(N, "%i + t0 * 2", "%i + t0", "step 4"), "100", "%x0 out of bounds on axis 0"),
    ],
)
def test_an_access_outside_is_named(
    body: str, found: str, what: str, rng: np.random.Generator
) -> None:
    with pytest.raises(SanitizerError) as caught:
        run(program(body), rng.standard_normal(N).astype("f4"))
    assert what in caught.value.message
    assert caught.value.found == found
    assert "0 to 99" in caught.value.expected
    assert "kernel @k" in caught.value.where and "loop." in caught.value.where


def test_an_index_beyond_its_row_is_found_though_it_lies_in_the_buffer() -> None:
    text = program(
        """  loop.parallel (%i, %j) = (0, 0) to (3, 5) {
    %v = loop.load %x0[%i, %j] : memref<4x4xf32>
    loop.store %v, %y[%i, %j] : f32, memref<4x5xf32>
  }""",
        ["memref<4x4xf32>"],
        "memref<4x5xf32>",
    )
    with pytest.raises(SanitizerError, match="%x0 out of bounds on axis 1"):
        run(text, np.ones((4, 4), "f4"), shape=(4, 5))


@pytest.mark.parametrize("mapping", ["", " mapping threads"])
def test_a_local_buffer_has_bounds_and_starts_as_poison(mapping: str) -> None:
    local = 'memref<4xf32, "stack">'
    body = f"""  loop.parallel %i = 0 to {N}{mapping} {{
    %m = loop.alloc : {local}
    loop.parallel %k = 0 to %i + STEPS - %i {{
      %v = loop.load %x0[%i] : {MEMORY}
      loop.store %v, %m[%k] : f32, {local}
    }}
    %w = loop.load %m[3] : {local}
    loop.store %w, %y[%i] : f32, {MEMORY}
  }}"""
    x = np.ones(N, "f4")
    np.testing.assert_array_equal(run(program(body.replace("STEPS", "4")), x), x)
    with pytest.raises(SanitizerError, match=r"loop.store accesses %m out of bounds on axis 0"):
        run(program(body.replace("STEPS", "5")), x)
    with pytest.raises(SanitizerError, match="uninitialised memory was read") as caught:
        run(program(body.replace("STEPS", "3")), x)
    assert caught.value.found == "poison in 100 of 100 elements, the first at [0]"


def test_a_result_must_be_written_whole() -> None:
    for dtype, element in (("f4", "f32"), ("i4", "i32"), ("?", "i1"), ("f8", "f64"), ("i8", "i64")):
        kind = f"memref<{N}x{element}>"
        body = copy(N - 1).replace("f32", element)
        with pytest.raises(SanitizerError, match="%y was not written whole") as caught:
            run(program(body, [kind], kind), np.zeros(N, dtype), dtype=dtype)
        assert caught.value.found == "poison in 1 of 100 elements, the first at [99]"


def test_poison_of_the_callers_own_is_no_fault() -> None:
    x = np.full(N, 0xFFFFFFFF, np.uint32).view("f4")
    assert np.isnan(run(program(copy(N)), x)).all()


def test_an_input_that_is_not_donated_stays() -> None:
    body = copy(N) + f"\n  %c = arith.constant 3.0 : f32\n  loop.store %c, %x0[7] : f32, {MEMORY}"
    with pytest.raises(SanitizerError, match="the input %x0 was overwritten") as caught:
        run(program(body), np.zeros(N, "f4"))
    assert "byte 30" in caught.value.found, "3.0 is 0x40400000: its upper two bytes differ"


ARENA = """
loop.kernel @one(%x: memref<16xf32>, %h: memref<16xf32>) {{
  loop.parallel %i = 0 to 16 {{
    %v = loop.load %x[%i] : memref<16xf32>
    loop.store %v, %h[%i] : f32, memref<16xf32>
  }}
}}
loop.kernel @two(%a: memref<16xf32>, %b: memref<16xf32>, %y: memref<16xf32>) {{
  loop.parallel %i = 0 to 16 {{
    %v = loop.load %a[%i] : memref<16xf32>
    %w = loop.load %b[%i] : memref<16xf32>
    %s = arith.addf %v, %w : f32
    loop.store %s, %y[%i] : f32, memref<16xf32>
  }}
}}
func.func @main(%x: memref<16xf32>, %y: memref<16xf32> {{buffer.output}}) {{
  %c = buffer.constant dense<2.0> : memref<16xf32>
  %arena = buffer.arena : memref<{size}xi8>
  %h = buffer.place %arena at 0 : memref<{size}xi8> to memref<16xf32>
  %g = buffer.place %arena at {start} : memref<{size}xi8> to memref<16xf32>
  loop.launch @one(%x, %h) : memref<16xf32>, memref<16xf32>
  loop.launch @one({source}, %g) : memref<16xf32>, memref<16xf32>
  loop.launch @two({last}, %g, %y) : memref<16xf32>, memref<16xf32>, memref<16xf32>
  func.return
}}"""


def arena(size: int = 256, start: int = 64, source: str = "%c", last: str = "%h") -> str:
    return ARENA.format(size=size, start=start, source=source, last=last)


def test_buffers_in_use_at_once_must_not_share_the_arena() -> None:
    x = np.arange(16, dtype="f4")
    np.testing.assert_array_equal(run(arena(), x, shape=(16,)), x + 2)
    # %h is dead when %g begins: they may share.
    np.testing.assert_array_equal(run(arena(start=0, last="%x"), x, shape=(16,)), x + 2)
    with pytest.raises(SanitizerError, match="%h and %g overlap in the arena") as caught:
        run(arena(start=32), x, shape=(16,))
    assert "bytes 0 to 64 and 32 to 96" in caught.value.found


def test_dead_buffers_are_poisoned_and_code_that_is_not_checked_has_none_of_this() -> None:
    device = CpuDevice()
    checked = device.load(parse_module(arena()), sanitize=True)
    assert checked.texts["ll"].count("call void @llvm.memset") == 2
    plain = device.load(parse_module(arena()))
    assert "memset" not in plain.texts["ll"] and "violation" not in plain.texts["ll"]


def test_a_constant_stays() -> None:
    text = arena(source="%c").replace("loop.launch @one(%x, %h)", "loop.launch @one(%x, %c)")
    with pytest.raises(SanitizerError, match="the constant %c was overwritten"):
        run(text.replace("@two(%h", "@two(%x"), np.arange(16, dtype="f4"), shape=(16,))


def test_a_kernel_must_not_be_given_twice_what_it_writes() -> None:
    text = arena(source="%g")
    with pytest.raises(SanitizerError, match="kernel @one writes memory that it is given twice"):
        run(text, np.ones(16, "f4"), shape=(16,))


def test_a_wrong_address_of_right_indices_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = emit_memory.offset
    monkeypatch.setattr(emit_memory, "offset", lambda *given: right(*given) + 10**6)
    with pytest.raises(SanitizerError, match="the address that was computed") as caught:
        run(program(copy(N)), np.ones(N, "f4"))
    assert "byte 4000000" in caught.value.found


@pytest.mark.parametrize(("store", "first"), [("%i + 1", "byte 400"), ("%i - 1", "byte -4")])
def test_guards_catch_what_the_checks_let_pass(
    store: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emit_memory, "checked", lambda f, op, indices, lanes, place, **rest: place)
    body = copy(N, store=store) + "\n" + copy(N)
    with pytest.raises(SanitizerError, match="the guard beside %") as caught:
        run(program(body), np.ones(N, "f4"))
    assert "4 bytes written" in caught.value.found
    assert first in caught.value.found or "%x0" in caught.value.message


def test_an_index_from_data_is_out_of_range_as_ever() -> None:
    text = program(
        f"""  loop.parallel %i = 0 to {N} {{
    %n = loop.load %x0[%i] : memref<{N}xi64>
    %k = loop.checked_index %n : i64 below {N}
    %v = loop.load %x1[%k] : {MEMORY}
    loop.store %v, %y[%i] : f32, {MEMORY}
  }}""",
        [f"memref<{N}xi64>", MEMORY],
    )
    x = np.arange(N, dtype="f4")
    np.testing.assert_array_equal(run(text, np.arange(N)[::-1].copy(), x), x[::-1])
    with pytest.raises(IndexOutOfRange, match="index 100 "):
        run(text, np.arange(N) + 1, x)


def test_a_donated_input_is_updated_in_place() -> None:
    text = f"""
loop.kernel @k(%w: {MEMORY}) {{
  %c = arith.constant 1.0 : f32
  loop.parallel %i = 0 to {N} {{
    %v = loop.load %w[%i] : {MEMORY}
    %s = arith.addf %v, %c : f32
    loop.store %s, %w[%i] : f32, {MEMORY}
  }}
}}
func.func @main(%w: {MEMORY}, %y: {MEMORY} {{buffer.output, buffer.stored_in = 0}}) {{
  loop.launch @k(%w) : {MEMORY}
  func.return
}}"""
    executable = compile_module(parse_module(text), "cpu", passes=(), sanitize=True)
    device = executable.device
    w = device.upload(np.zeros(N, "f4"))
    for _ in range(3):
        assert executable.run([w])[0] is w
    np.testing.assert_array_equal(device.download(w), np.full(N, 3, "f4"))


def test_results_that_share_memory_with_an_input_are_refused() -> None:
    device = CpuDevice()
    checked = device.load(parse_module(program(copy(N))), sanitize=True)
    x = device.upload(np.ones(N, "f4"))
    with pytest.raises(SanitizerError, match="the result %y shares memory with %x0"):
        checked.run([x], [x])


def test_division_and_shifts_do_not_trap() -> None:
    kind = f"memref<{N}xi32>"
    body = f"""  loop.parallel %i = 0 to {N} {{
    %a = loop.load %x0[%i] : {kind}
    %b = loop.load %x1[%i] : {kind}
    %q = arith.divsi %a, %b : i32
    %r = arith.remsi %a, %b : i32
    %s = arith.shli %q, %b : i32
    %t = arith.addi %r, %s : i32
    loop.store %t, %y[%i] : i32, {kind}
  }}"""
    a = np.full(N, -(2**31), np.int32)
    b = np.resize(np.array([0, -1, 1, 32, -5, 2**31 - 1], np.int32), N)
    assert run(program(body, [kind, kind], kind), a, b, dtype="i4").shape == (N,)


def test_compile_takes_sanitize_and_the_environment_asks_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = torch.tensor(np.arange(12, dtype="f4").reshape(3, 4), device="cpu")

    def f(x: torch.Tensor) -> torch.Tensor:
        return (x @ x.T).softmax(-1)

    plain, checked = torch.compile(f), torch.compile(f, sanitize=True)
    np.testing.assert_array_equal(plain(x).numpy(), checked(x).numpy())
    module = torch.compile(f).trace(x).module
    one = compile_module(module, "cpu")
    other = compile_module(module, "cpu", sanitize=True)
    assert one is not other and isinstance(other.program, CheckedCpuProgram)
    assert compile_module(module, "cpu") is one
    assert compile_module(module, "cpu", sanitize=True) is other
    monkeypatch.setenv(VARIABLE, "1")
    assert compile_module(module, "cpu") is other
    assert compile_module(module, "cpu", sanitize=False) is one


def test_random_modules_give_the_same_results() -> None:
    for sample in random_samples(12, seed=41, most_ops=10):
        plain, checked = (
            compile_module(sample.module, "cpu", sanitize=sanitize) for sanitize in (False, True)
        )
        device = plain.device
        for _ in range(2):
            found = [
                [device.download(b) for b in e.run([device.upload(a) for a in sample.inputs])]
                for e in (plain, checked)
            ]
            for one, other in zip(*found, strict=True):
                assert one.tobytes() == other.tobytes(), sample


def test_thousands_of_calls_from_several_threads() -> None:
    device = CpuDevice(ThreadPool(3))
    text = program(copy(N).replace("100", "100 mapping threads", 1))
    checked = device.load(parse_module(text), sanitize=True)
    broken = device.load(parse_module(program(copy(N + 1, load="0"))), sanitize=True)

    def calls(number: int) -> None:
        x = np.full(N, number, "f4")
        given, result = device.upload(x), device.upload(np.zeros(N, "f4"))
        for turn in range(700):
            checked.run([given], [result])
            if turn % 50 == 0:
                np.testing.assert_array_equal(device.download(result), x)
                with pytest.raises(SanitizerError, match="out of bounds"):
                    broken.run([given], [result])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(calls, range(4)))
    device.pool.stop()
