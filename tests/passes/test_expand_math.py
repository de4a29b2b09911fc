import math

import numpy as np
import pytest
from xdsl.parser import Parser

from picograd.backends.llvm.device import CpuDevice
from picograd.dialects import new_context
from picograd.passes.expand_math import ExpandMath
from picograd.passes.polynomials.formulas import FORMULAS
from picograd.semantics.evaluate import evaluate

SPECIALS = np.array(
    [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-42, -1e-42, 3e38, -3e38, 2.5, -2.5],
    np.float32,
)


def module_of(op, count, operands=1, lanes=0, element="f32"):
    """A module that applies one math operation to `count` elements, `lanes` at a time."""
    memref = f"memref<{count}x{element}>"
    type = f"vector<{lanes}x{element}>" if lanes else element
    index, to = ("%i + t0", f" to {type}") if lanes else ("%i", "")
    names = ["%a", "%b"][:operands]
    loads = "\n".join(f"      {name}v = loop.load {name}[{index}] : {memref}{to}" for name in names)
    arguments = ", ".join(f"{name}: {memref}" for name in names)
    return Parser(
        new_context(),
        f"""
  loop.kernel @k({arguments}, %y: {memref}) {{
    loop.parallel %i = 0 to {count} step {lanes or 1} {{
{loads}
      %r = {op} {", ".join(name + "v" for name in names)} : {type}
      loop.store %r, %y[{index}] : {type}, {memref}
    }}
  }}
  func.func @main({arguments}, %y: {memref} {{buffer.output}}) {{
    loop.launch @k({", ".join(names)}, %y) : {", ".join([memref] * (operands + 1))}
    func.return
  }}""",
    ).parse_module()


def run(module, *inputs):
    """The result of a module on the CPU."""
    device = CpuDevice()
    buffers = [device.upload(array) for array in inputs]
    output = device.allocate(buffers[0].type)
    device.load(module).run(buffers, [output])
    return device.download(output)


def expanded(op, count, *, target="cpu", **shape):
    module = module_of(op, count, **shape)
    ExpandMath(target).apply(new_context(), module)
    module.verify()
    return module


def ulps(found, exact):
    """The distance from an exact result in units of the last place of float32."""
    spacing = np.spacing(np.maximum(np.abs(exact).astype(np.float32), np.float32(2**-126)))
    return np.abs(found.astype(np.float64) - exact) / spacing.astype(np.float64)


def samples(low, high, count=40000):
    return np.linspace(low, high, count).astype(np.float32)


def geometric(low, high, count=40000):
    """Numbers of both signs whose sizes run evenly over the exponents."""
    sizes = np.geomspace(low, high, count).astype(np.float32)
    return np.where(np.arange(count) % 2, sizes, -sizes).astype(np.float32)


def near_quadrants(count=20000):
    """Numbers next to multiples of pi/2, of all sizes: the remainder is tiny."""
    k = np.rint(np.geomspace(1, 2.0**48, count))
    return (k * (math.pi / 2)).astype(np.float32)


exact_erf = np.vectorize(math.erf, otypes=[np.float64])

FUNCTIONS = {
    "math.exp": (np.exp, [samples(-87.3, 88.72), geometric(1e-30, 1)], 1.1),
    "math.log": (np.log, [np.abs(geometric(1e-37, 3e38)), samples(0.5, 2)], 1.0),
    "math.tanh": (np.tanh, [samples(-10, 10), geometric(1e-30, 80)], 1.5),
    "math.erf": (exact_erf, [samples(-5, 5), geometric(1e-30, 80)], 1.3),
    "math.sin": (
        np.sin,
        [samples(-7, 7), geometric(1e-30, 60), geometric(60, 3e38), near_quadrants()],
        3.2,
    ),
    "math.cos": (
        np.cos,
        [samples(-7, 7), geometric(1e-30, 60), geometric(60, 3e38), near_quadrants()],
        3.2,
    ),
}


TARGETS = pytest.mark.parametrize(
    "target",
    ["cpu:scales=false", "cpu:scales=true", "gpu", "cpu:fma=false,scales=false"],
    ids=["exact", "scaling", "regrouping", "unfused"],
)
SCALING = pytest.mark.parametrize("target", ["cpu:scales=false", "cpu:scales=true"])


@TARGETS
@pytest.mark.parametrize("op", FUNCTIONS)
def test_polynomials_are_within_a_few_units_of_the_last_place(op, target):
    exact, ranges, limit = FUNCTIONS[op]
    x = np.concatenate(ranges)
    found = run(expanded(op, x.size, target=target, lanes=16), x)
    assert ulps(found, exact(x.astype(np.float64))).max() < limit


@SCALING
@pytest.mark.parametrize("op", FUNCTIONS)
def test_special_values(op, target):
    exact = FUNCTIONS[op][0]
    with np.errstate(all="ignore"):
        wanted = exact(SPECIALS.astype(np.float64)).astype(np.float32)
    found = run(expanded(op, SPECIALS.size, target=target), SPECIALS)
    np.testing.assert_allclose(found, wanted, rtol=5e-7)
    assert (np.signbit(found) == np.signbit(wanted))[~np.isnan(wanted)].all()


@SCALING
def test_exp_overflows_to_infinity_and_underflows_gradually(target):
    x = np.array([88.72, 88.73, 89.5, 1e4, -87.4, -100.0, -103.9, -104.1, -1e4], np.float32)
    found = run(expanded("math.exp", x.size, target=target), x)
    assert np.isfinite(found[0])
    assert np.isinf(found[1:4]).all()
    np.testing.assert_allclose(found[4:7], np.exp(x[4:7].astype(np.float64)), atol=1.5e-45)
    assert (found[4:7] > 0).all()
    assert (found[7:] == 0).all()


def test_tanh_and_erf_saturate_exactly():
    x = np.array([9.5, -9.5, 100.0, -100.0], np.float32)
    for op in ("math.tanh", "math.erf"):
        assert (run(expanded(op, x.size), x) == np.sign(x)).all()


@TARGETS
def test_power_is_accurate_where_exponents_multiply_errors(target):
    rng = np.random.default_rng(3)
    base = np.exp(rng.uniform(-87, 88, 40000)).astype(np.float32)
    exponent = (rng.uniform(-86, 86, base.size) / np.log(base.astype(np.float64))).astype(
        np.float32
    )
    exact = base.astype(np.float64) ** exponent.astype(np.float64)
    found = run(expanded("math.powf", base.size, target=target, operands=2), base, exponent)
    ordinary = (exact > 1.2e-38) & (exact < 3.4e38)
    assert ordinary.mean() > 0.9
    assert ulps(found, exact)[ordinary].max() < 1.6


def test_power_has_the_special_cases_of_c():
    values = np.concatenate([SPECIALS, np.array([3, -3, 0.5, 2**25 + 2], np.float32)])
    base, exponent = (grid.ravel() for grid in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        wanted = np.power(base.astype(np.float64), exponent.astype(np.float64)).astype(np.float32)
    found = run(expanded("math.powf", base.size, operands=2), base, exponent)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1.5e-45)
    assert (np.signbit(found) == np.signbit(wanted))[~np.isnan(wanted)].all()


@pytest.mark.parametrize("op", sorted(FUNCTIONS))
def test_elements_and_tiles_agree_bit_for_bit(op):
    x = np.random.default_rng(1).uniform(0.01, 5, 48).astype(np.float32)
    one = run(expanded(op, x.size), x)
    assert (run(expanded(op, x.size, lanes=16), x) == one).all()
    assert (run(expanded(op, x.size, lanes=12), x) == one).all()


@pytest.mark.parametrize("op", sorted(FUNCTIONS))
def test_the_reference_agrees_with_the_machine(op):
    x = np.random.default_rng(2).uniform(0.01, 5, 40).astype(np.float32)
    module = expanded(op, x.size)
    (wanted,) = evaluate(module, [x])
    np.testing.assert_array_max_ulp(run(module, x), wanted, maxulp=1)


def test_only_float32_is_expanded_and_nothing_of_it_is_left():
    module = expanded("math.exp", 4)
    assert not any(type(op) in FORMULAS for op in module.walk())
    module = expanded("math.exp", 4, element="f64")
    assert sum(type(op) in FORMULAS for op in module.walk()) == 1


def test_without_the_pass_the_library_computes_the_same():
    x = np.random.default_rng(4).uniform(0.01, 5, 33).astype(np.float32)
    for op, (exact, *_) in FUNCTIONS.items():
        assert ulps(run(module_of(op, 33), x), exact(x.astype(np.float64))).max() < 4
        wide = run(module_of(op, 33, element="f64"), x.astype(np.float64))
        np.testing.assert_allclose(wide, exact(x.astype(np.float64)), rtol=1e-14)
