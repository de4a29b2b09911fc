"""Division of a tile by one number: the same quotients as division, without dividing."""

import numpy as np
import pytest
from xdsl.dialects import arith

from picograd.backends.llvm.device import CpuDevice
from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.dialects.loop import tile_rank
from picograd.passes.expand_math import ExpandMath
from picograd.semantics.evaluate import evaluate

LANES = 64
TARGET = "cpu:vector_bits=512,fma=true"


def rows_by(count: int, lanes: int = LANES):
    """Rows of numbers, each divided by a number of its own."""
    x, d, t = f"memref<{count}x{lanes}xf32>", f"memref<{count}xf32>", f"vector<{lanes}xf32>"
    return parse_module(f"""
  loop.kernel @k(%x: {x}, %d: {d}, %y: {x}) {{
    loop.parallel %i = 0 to {count} {{
      %b = loop.load %d[%i] : {d}
      %a = loop.load %x[%i, t0] : {x} to {t}
      %s = loop.broadcast %b along [0] : f32 to {t}
      %r = arith.divf %a, %s : {t}
      loop.store %r, %y[%i, t0] : {t}, {x}
    }}
  }}
  func.func @main(%x: {x}, %d: {d}, %y: {x} {{buffer.output}}) {{
    loop.launch @k(%x, %d, %y) : {x}, {d}, {x}
    func.return
  }}""")


def tile_divisions(module) -> int:
    return sum(
        isinstance(op, arith.DivfOp) and tile_rank(op.result.type) > 0 for op in module.walk()
    )


def divided(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    module = rows_by(len(by), x.shape[1])
    ExpandMath(TARGET).apply(new_context(), module)
    module.verify()
    assert tile_divisions(module) == 0
    device = CpuDevice()
    buffers = [device.upload(x), device.upload(by)]
    output = device.allocate(buffers[0].type)
    device.load(module).run(buffers, [output])
    return device.download(output)


def bits_of_random_floats(rng: np.random.Generator, shape) -> np.ndarray:
    """Floats of every size, subnormal, infinite and NaN among them."""
    return rng.integers(0, 2**32, shape, np.uint64).astype(np.uint32).view(np.float32)


SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, 3.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1e-38, -1.5e-38, 3.4e38,
     -3.4e38, 2.0**126, 2.0**127, 2.0**-126, 2.0**-127, 7.0, 49.0, 1e30, 1e-30],
    np.float32,
)  # fmt: skip


def test_any_float_by_any_float(rng: np.random.Generator) -> None:
    by = np.concatenate([SPECIAL, bits_of_random_floats(rng, 4000)])
    x = bits_of_random_floats(rng, (len(by), LANES))
    x[:, : len(SPECIAL)] = SPECIAL
    with np.errstate(all="ignore"):
        exact = x.astype(np.float64) / by.astype(np.float64)[:, None]
        rounded = x / by[:, None]
    found = divided(x, by)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(rounded))
    known = ~np.isnan(rounded)
    np.testing.assert_array_equal(np.signbit(found)[known], np.signbit(rounded)[known])
    normal = known & (np.abs(rounded) >= 2.0**-126)
    # Correctly rounded but for dividends so small that the remainder is no normal number.
    small = np.abs(x) < 2.0**-100
    np.testing.assert_array_equal(found[normal & ~small], rounded[normal & ~small])
    finite = normal & small & np.isfinite(rounded)
    error = np.abs(found[finite] - exact[finite])
    assert (error <= 1.5 * np.spacing(np.abs(rounded[finite]))).all()
    subnormal = known & ~normal
    assert subnormal.sum() > 1000
    assert (np.abs(found[subnormal] - exact[subnormal]) <= 2.0**-149).all()


def test_quotients_that_are_floats_are_exact(rng: np.random.Generator) -> None:
    by = rng.integers(1, 2**12, 500).astype(np.float32) * np.float32(2.0) ** rng.integers(
        -9, 9, 500
    )
    whole = rng.integers(-(2**12), 2**12, (500, LANES)).astype(np.float32)
    found = divided((whole * by[:, None]).astype(np.float32), by.astype(np.float32))
    np.testing.assert_array_equal(found, whole)


def test_the_evaluator_agrees(rng: np.random.Generator) -> None:
    x, by = rng.normal(size=(5, LANES)).astype(np.float32), rng.normal(size=5).astype(np.float32)
    module = rows_by(5)
    ExpandMath(TARGET).apply(new_context(), module)
    (found,) = evaluate(module, [x, by])
    np.testing.assert_allclose(found, x / by[:, None], rtol=2e-7)


@pytest.mark.parametrize(
    ("target", "lanes"), [("gpu", 64), ("cpu:vector_bits=128,fma=false", 64), (TARGET, 16)]
)
def test_what_gains_nothing_is_divided(target: str, lanes: int) -> None:
    """On machines without fused multiply-add, and where there is one vector of numbers only."""
    module = rows_by(3, lanes)
    ExpandMath(target).apply(new_context(), module)
    assert tile_divisions(module) == 1
