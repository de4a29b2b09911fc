"""stream_stores: which stores go past the caches, and what the CPU makes of the note."""

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerAttr, i64

from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.dialects import new_context
from picograd.dialects.loop import LoadOp
from picograd.errors import OptionError
from picograd.passes.stream_stores import SHARED, StreamStores, last_cache
from picograd.passes.unroll_tiles import UnrollTiles
from picograd.targets import lookup
from tests.passes.done_once import done_once

SIZE = 4096


def kernel_text(
    lanes: int = 32, start: int = 0, step: int = 32, size: int = SIZE, more: str = ""
) -> str:
    x, tile = f"memref<{size}xf32>", f"vector<{lanes}xf32>"
    end = size // step * step - (step - start if start else 0)
    return f"""
loop.kernel @k(%x: {x}, %y: {x}) {{
  loop.parallel %i = {start} to {end} step {step} {{
    %v = loop.load %x[%i + t0] : {x} to {tile}
    %d = arith.addf %v, %v : {tile}
    loop.store %d, %y[%i + t0] : {tile}, {x}
    {more}
  }}
}}
func.func @main(%x: {x}, %y: {x} {{buffer.output}}) {{
  loop.launch @k(%x, %y) : {x}, {x}
  func.return
}}"""


def notes(text: str, **options: int | str) -> int:
    """How many stores are noted; a second run finds no others."""
    step = StreamStores(**options)  # pyright: ignore[reportArgumentType]
    return str(done_once(text, step)).count("{stream}")


def test_results_larger_than_the_caches() -> None:
    text = kernel_text()
    assert notes(text, beyond=4 * SIZE - 1) == 1
    assert notes(text, beyond=4 * SIZE) == 0
    assert notes(text, target="cpu:l2_bytes=1024,l3_bytes=8192") == 1
    assert notes(text, target="cpu:l2_bytes=1048576,l3_bytes=8192") == 0
    assert notes(text, beyond=1, target="gpu") == 0


def test_what_goes_by_beside_them_is_fetched_ahead() -> None:
    """Not what stays, goes by backwards or lies apart; a note that is there stays."""
    x = f"memref<{SIZE}xf32>"
    more = f"""
    %a = loop.load %x[t0] : {x} to vector<32xf32>
    %b = loop.load %x[{SIZE} - 32 - %i + t0] : {x} to vector<32xf32>
    %c = loop.load %x[%i + t0 * 2] pad : {x} to vector<32xf32>
    %e = loop.load %x[%i] : {x}
    %f = loop.load %x[%i + t0] {{fetch_l1 = 64 : i64}} : {x} to vector<32xf32>"""
    module = parse_module(kernel_text(more=more))
    StreamStores(beyond=1).apply(new_context(), module)
    loads = [op for op in module.walk() if isinstance(op, LoadOp)]
    ahead = [op.attributes.get("fetch_l1") for op in loads]
    wanted = [IntegerAttr(512, i64), None, None, None, None, IntegerAttr(64, i64)]
    assert ahead == wanted


def test_a_shared_cache_counts_in_part() -> None:
    assert last_cache(lookup("cpu:l2_bytes=2097152,l3_bytes=503316480")) == SHARED
    assert last_cache(lookup("cpu:l2_bytes=2097152,l3_bytes=8388608")) == 8388608


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("half a line", kernel_text(lanes=8, step=8)),
        ("lines that begin in the middle", kernel_text(start=8)),
        ("lines and a half", kernel_text(lanes=24, step=24)),
        (
            "what the kernel reads again",
            kernel_text(more=f"%w = loop.load %y[%i] : memref<{SIZE}xf32>"),
        ),
    ],
)
def test_what_stays_in_the_caches(what: str, text: str) -> None:
    assert notes(text, beyond=1) == 0, what


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(OptionError, match="stream_stores needs a size in bytes"):
        StreamStores(beyond=-1).apply(new_context(), parse_module(kernel_text()))


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_the_code_and_its_result(bits: int, rng: np.random.Generator) -> None:
    x = rng.normal(size=SIZE).astype(np.float32)
    steps = [StreamStores(beyond=1), UnrollTiles(target=f"cpu:vector_bits={bits}")]
    for sanitize in (False, True):
        executable = compile_module(
            parse_module(kernel_text()), "cpu", passes=steps, sanitize=sanitize
        )
        text = executable.program.texts["ll"]
        assert text.count("!nontemporal") == (0 if sanitize else 1024 // bits)
        assert text.count("fence seq_cst") == (0 if sanitize else 1)
        (result,) = executable.run([executable.device.upload(x)])
        found = executable.device.download(result)
        np.testing.assert_array_equal(found, x + x)


def test_a_note_that_is_wrong_does_no_harm(rng: np.random.Generator) -> None:
    """Of stores that are not aligned the backend makes plain ones."""
    text = kernel_text(start=8).replace("%y[%i + t0] :", "%y[%i + t0] {stream} :")
    steps = [UnrollTiles(target="cpu:vector_bits=512")]
    executable = compile_module(parse_module(text), "cpu", passes=steps)
    assert "!nontemporal" not in executable.program.texts["ll"]
    x = rng.normal(size=SIZE).astype(np.float32)
    (result,) = executable.run([executable.device.upload(x)])
    found = executable.device.download(result)
    np.testing.assert_array_equal(found[8 : SIZE - 24], x[8 : SIZE - 24] + x[8 : SIZE - 24])


@pytest.mark.parametrize("count", [1000, 4096, 5000])
def test_the_whole_pipeline(count: int, rng: np.random.Generator) -> None:
    """Shared by threads too: each fences what it has written."""
    kind = f"tensor<{count * 64}xf32>"
    text = f"""
func.func @main(%x: {kind}) -> {kind} {{
  %y = pico.binary add %x, %x : {kind}
  func.return %y : {kind}
}}"""
    steps = tuple(
        StreamStores(beyond=1024) if isinstance(step, StreamStores) else step
        for step in pipeline("cpu")
    )
    executable = compile_module(parse_module(text), "cpu", passes=steps)
    assert "!nontemporal" in executable.program.texts["ll"]
    x = rng.normal(size=count * 64).astype(np.float32)
    (result,) = executable.run([executable.device.upload(x)])
    np.testing.assert_array_equal(executable.device.download(result), x + x)
