"""Running totals as tiles: at the edges of tiles and numbers, of several types, and what stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from picograd.backends.runtime import device as find_device
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.dialects import loop, new_context
from picograd.dialects.dtypes import from_numpy
from picograd.passes.tiles.scans import scan_of
from picograd.passes.vectorize_loops import VectorizeLoops
from picograd.semantics.evaluate import evaluate
from picograd.targets import lookup
from tests.check.test_properties import narrowed

Array = np.ndarray[Any, Any]

WIDTHS = (128, 256, 512)
EDGES = (1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 130)


def scanned(kind: str, x: Array, axis: int, bits: int, *, exclusive: bool = False) -> Array:
    """What the CPU finds with vectors of so many bits."""
    element = from_numpy(x.dtype).ir
    type = f"tensor<{x.shape[0]}x{x.shape[1]}x{element}>"
    how = f"axis {axis}{' exclusive' if exclusive else ''}"
    module = parse_module(f"""
func.func @main(%x: {type}) -> {type} {{
  %y = pico.scan {kind} %x {how} : {type}
  func.return %y : {type}
}}""")
    steps = narrowed(pipeline("cpu"), f"cpu:vector_bits={bits}")
    cpu = find_device("cpu")
    (result,) = compile_module(module, "cpu", passes=steps).run([cpu.upload(x)])
    return cpu.download(result)


def without_last(x: Array, first: float) -> Array:
    return np.concatenate([np.full((len(x), 1), first, x.dtype), x[:, :-1]], axis=1)


@pytest.mark.parametrize("bits", WIDTHS)
def test_integers_are_exact(bits: int, rng: np.random.Generator) -> None:
    for number, columns in enumerate(EDGES[WIDTHS.index(bits) :: 3]):
        dtype = (np.int32, np.int64)[number % 2]
        x = rng.integers(-(2**31), 2**31, (3, columns)).astype(dtype)
        sums = np.cumsum(x, 1, dtype=dtype)
        np.testing.assert_array_equal(scanned("add", x, 1, bits), sums)
        found = scanned("add", x, 1, bits, exclusive=True)
        np.testing.assert_array_equal(found, without_last(sums, 0))
    greatest = np.maximum.accumulate(x, 1)
    np.testing.assert_array_equal(scanned("max", x, 1, bits), greatest)


@pytest.mark.parametrize("bits", WIDTHS)
def test_floats_are_within_rounding(bits: int, rng: np.random.Generator) -> None:
    for columns in EDGES[(WIDTHS.index(bits) + 1) % 3 :: 3]:
        x = rng.normal(size=(5, columns)).astype(np.float32)
        exact = np.cumsum(x.astype(np.float64), 1)
        allowed = 64 * 2.0**-24 * np.cumsum(np.abs(x), 1)
        assert (np.abs(scanned("add", x, 1, bits) - exact) <= allowed).all()


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize(
    ("kind", "numpy"), [("add", np.add), ("max", np.maximum), ("min", np.minimum)]
)
def test_nan_and_infinity_stay_from_where_they_are(
    kind: str, numpy: np.ufunc, bits: int, rng: np.random.Generator
) -> None:
    x = rng.normal(size=(8, 67)).astype(np.float32)
    x[np.arange(8), rng.integers(0, 67, 8)] = [np.nan, np.inf, -np.inf, -0.0] * 2
    x[4, 60], x[5, 66], x[6] = -np.inf, -np.inf, -0.0
    with np.errstate(invalid="ignore"):
        wanted = numpy.accumulate(x, axis=1)
    np.testing.assert_allclose(scanned(kind, x, 1, bits), wanted, rtol=1e-3, atol=1e-3)


def test_products_of_floats_go_in_order(rng: np.random.Generator) -> None:
    """A product of later elements alone may overflow where the running one is 0."""
    x = np.tile(np.array([[1e-30, 1e-30, 1e30, 1e30]], np.float32), (2, 16))
    found = scanned("mul", x, 1, 512)
    with np.errstate(under="ignore", over="ignore"):
        np.testing.assert_array_equal(found, np.multiply.accumulate(x, axis=1))


def kernel(body: str, carry: str = "%t = %zero : f32") -> str:
    return f"""
loop.kernel @k(%x: memref<3x70xf32>, %y: memref<3x70xf32>, %z: memref<3xf32>) {{
  %zero = arith.constant 1.5 : f32
  loop.parallel %i = 0 to 3 {{
    %end = loop.for %j = 0 to 70 carry ({carry}) {{
      {body}
    }}
    loop.store %end, %z[%i] : f32, memref<3xf32>
  }}
}}
func.func @main(%x: memref<3x70xf32>, %y: memref<3x70xf32> {{buffer.output}},
    %z: memref<3xf32> {{buffer.output}}) {{
  loop.launch @k(%x, %y, %z) : memref<3x70xf32>, memref<3x70xf32>, memref<3xf32>
  func.return
}}"""


LOAD = "%v = loop.load %x[%i, %j] : memref<3x70xf32>"
STORE = "loop.store %n, %y[%i, %j] : f32, memref<3x70xf32>\nloop.yield %n : f32"
TILED = {
    "after what is done with it": f"""{LOAD}
      %n = arith.addf %v, %t : f32
      %m = arith.mulf %n, %zero : f32
      %w = arith.subf %m, %t : f32
      loop.store %w, %y[%i, %j] : f32, memref<3x70xf32>
      loop.yield %n : f32""",
    "of one number": f"""%n = arith.addf %t, %zero : f32\n{STORE}""",
}
LEFT = {
    "a product": f"{LOAD}\n%n = arith.mulf %t, %v : f32\n{STORE}",
    "a recurrence": f"""{LOAD}
      %h = arith.mulf %t, %zero : f32
      %n = arith.addf %h, %v : f32
      {STORE}""",
    "doubling": f"{LOAD}\n%n = arith.addf %t, %t : f32\n{STORE}",
    "what needs the old total": f"""{LOAD}
      %h = arith.mulf %t, %v : f32
      %n = arith.addf %t, %h : f32
      {STORE}""",
    "nothing is stored": f"{LOAD}\n%n = arith.addf %t, %v : f32\nloop.yield %n : f32",
    "what was stored before": f"""%v = loop.load %y[%i, %j - 1] pad : memref<3x70xf32>
      %n = arith.addf %t, %v : f32
      {STORE}""",
    "down a column": f"""%v = loop.load %x[%j mod 3, %i] : memref<3x70xf32>
      %n = arith.addf %t, %v : f32
      {STORE}""",
}


def the_loop(module: Any) -> loop.ForOp:
    (found,) = [op for op in module.walk() if isinstance(op, loop.ForOp)]
    return found


@pytest.mark.parametrize("what", TILED)
def test_before_and_after(what: str, rng: np.random.Generator) -> None:
    module = parse_module(kernel(TILED[what]))
    x = rng.normal(size=(3, 70)).astype(np.float32)
    wanted = evaluate(module, [x])
    VectorizeLoops(target="cpu:vector_bits=512").apply(new_context(), module)
    module.verify()
    tiled, rest = [op for op in module.walk() if isinstance(op, loop.ForOp)]
    assert (tiled.dims[0].step, tiled.dims[0].extent, rest.dims[0].extent) == (16, 64, 6)
    for found, exact in zip(evaluate(module, [x]), wanted, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("what", LEFT)
def test_what_stays_in_order(what: str) -> None:
    module = parse_module(kernel(LEFT[what]))
    assert scan_of(the_loop(module), lookup("cpu:vector_bits=512")) is None


@pytest.mark.parametrize("target", ["gpu", "cpu:vector_bits=32", "cpu:vector_bits=2048"])
def test_where_tiles_are_not_worth_it(target: str) -> None:
    module = parse_module(kernel(TILED["of one number"]))
    assert scan_of(the_loop(module), lookup(target)) is None
