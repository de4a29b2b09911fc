"""tree_reduce: long reductions of a workgroup become trees, and mean what they meant."""

import numpy as np
import pytest

from picograd.compiler.diagnostics import parse_module
from picograd.dialects import loop, new_context
from picograd.passes.mapping.nests import mapping_of
from picograd.passes.tree_reduce import TreeReduce, group_reductions
from picograd.semantics.loop import run_kernel

IDENTITIES = {"add": 0.0, "max": -np.inf, "min": np.inf, "mul": 1.0}
FUNCTIONS = {"add": np.sum, "max": np.max, "min": np.min, "mul": np.prod}


def reduction(kind: str, n: int, m: int, *, init: str = "") -> str:
    """Every row's n x m elements, reduced; `init` names a constant to start from."""
    start = f"init %{init} " if init else ""
    return f"""
loop.kernel @reduction(%x: memref<3x{n}x{m}xf32>, %y: memref<3xf32>) {{
  loop.parallel %i = 0 to 3 mapping grid {{
    %half = arith.constant 0.5 : f32
    %r = loop.reduce {kind} (%a, %b) = (0, 0) to ({n}, {m}) {start}: f32 {{
      %v = loop.load %x[%i, %a, %b] : memref<3x{n}x{m}xf32>
      loop.yield %v : f32
    }}
    loop.parallel %once = 0 to 1 mapping workgroup {{
      loop.store %r, %y[%i] : f32, memref<3xf32>
    }}
  }}
}}"""


ARGMAX = """
loop.kernel @argmax(%x: memref<4x500xf32>, %y: memref<4xi32>) {
  loop.parallel %i = 0 to 4 mapping grid {
    %least = arith.constant 0xFF800000 : f32
    %last = arith.constant 2147483647 : i32
    %m, %p = loop.reduce combine %a = 0 to 500 identity (%least, %last) : f32, i32 {
      %v = loop.load %x[%i, %a] : memref<4x500xf32>
      %n = loop.index %a : i32
      loop.yield %v, %n : f32, i32
    } combiner (%l, %ln, %r, %rn) {
      %gt = loop.compare gt %l, %r : f32
      %eq = loop.compare eq %l, %r : f32
      %lt = loop.compare lt %ln, %rn : i32
      %first = arith.andi %eq, %lt : i1
      %take = arith.ori %gt, %first : i1
      %ov = loop.select %take, %l, %r : f32
      %on = loop.select %take, %ln, %rn : i32
      loop.yield %ov, %on : f32, i32
    }
    loop.parallel %once = 0 to 1 mapping workgroup {
      loop.store %p, %y[%i] : i32, memref<4xi32>
    }
  }
}"""


def transformed(text: str, step: TreeReduce) -> tuple[loop.KernelOp, str]:
    """The kernel after the pass, and its text."""
    module = parse_module(text)
    step.apply(new_context(), module)
    module.verify()
    assert str(parse_module(str(module))) == str(module)
    (kernel,) = (op for op in module.ops if isinstance(op, loop.KernelOp))
    return kernel, str(module)


@pytest.mark.parametrize("init", ["", "half"])
@pytest.mark.parametrize("kind", IDENTITIES)
@pytest.mark.parametrize("shape", [(1, 64), (100, 1), (13, 77), (1, 1000), (64, 64)])
def test_the_result_is_the_reductions(
    kind: str, shape: tuple[int, int], init: str, rng: np.random.Generator
) -> None:
    kernel, text = transformed(reduction(kind, *shape, init=init), TreeReduce())
    assert "_parts" in text
    x = rng.standard_normal((3, *shape)).astype(np.float32)
    if kind == "mul":
        x = np.exp(x / 100)
    y = np.full(3, np.nan, np.float32)
    run_kernel(kernel, [x, y])
    expected = FUNCTIONS[kind](x.astype(np.float64), axis=(1, 2))
    if init:
        expected = FUNCTIONS[kind](np.stack([expected, np.full(3, 0.5)]), axis=0)
    terms = np.abs(x.astype(np.float64)).sum((1, 2)) + 1
    budget = x[0].size * 2**-24 * (terms if kind == "add" else np.abs(expected) * 4)
    assert (np.abs(y - expected) <= (budget if kind in ("add", "mul") else 0)).all()


def test_a_combiner_with_several_values_keeps_the_first_of_ties(rng: np.random.Generator) -> None:
    kernel, text = transformed(ARGMAX, TreeReduce(threads=32))
    assert text.count("combiner") == 3
    x = rng.integers(0, 9, (4, 500)).astype(np.float32)
    y = np.full(4, -1, np.int32)
    run_kernel(kernel, [x, y])
    np.testing.assert_array_equal(y, x.argmax(1))


def test_nan_reaches_the_root(rng: np.random.Generator) -> None:
    kernel, _ = transformed(reduction("max", 1, 300), TreeReduce())
    x = rng.standard_normal((3, 1, 300)).astype(np.float32)
    x[1, 0, 217] = np.nan
    y = np.zeros(3, np.float32)
    run_kernel(kernel, [x, y])
    np.testing.assert_array_equal(np.isnan(y), [False, True, False])


@pytest.mark.parametrize(("threads", "fan_in", "levels"), [(256, 16, 1), (256, 4, 3), (64, 64, 0)])
def test_the_tree_has_the_levels_that_its_fan_in_asks_for(
    threads: int, fan_in: int, levels: int
) -> None:
    kernel, _ = transformed(reduction("add", 1, 1000), TreeReduce(threads=threads, fan_in=fan_in))
    loops = [op for op in kernel.walk() if mapping_of(op) == "workgroup"]
    assert len(loops) == 1 + levels + 1, "shares, levels, and the store"
    (root,) = group_reductions(kernel)
    extent = root.dims[0].extent
    assert extent is not None
    assert extent <= fan_in


def test_short_reductions_are_left_alone() -> None:
    text = str(parse_module(reduction("add", 3, 5)))
    assert transformed(reduction("add", 3, 5), TreeReduce())[1] == text
    assert transformed(reduction("add", 3, 5), TreeReduce(shortest=15))[1] != text


def test_a_reduction_of_one_thread_is_left_alone() -> None:
    text = """
loop.kernel @k(%x: memref<100x500xf32>, %y: memref<100xf32>) {
  loop.parallel %b = 0 to 100 step 50 mapping grid {
    loop.parallel %i = %b to %b + 50 mapping workgroup {
      %r = loop.reduce add %a = 0 to 500 : f32 {
        %v = loop.load %x[%i, %a] : memref<100x500xf32>
        loop.yield %v : f32
      }
      loop.store %r, %y[%i] : f32, memref<100xf32>
    }
  }
}"""
    assert transformed(text, TreeReduce())[1] == str(parse_module(text))


def test_running_it_again_keeps_the_meaning(rng: np.random.Generator) -> None:
    module = parse_module(reduction("add", 1, 1000))
    for _ in range(2):
        TreeReduce(shortest=4).apply(new_context(), module)
        module.verify()
    (kernel,) = (op for op in module.ops if isinstance(op, loop.KernelOp))
    x = rng.standard_normal((3, 1, 1000)).astype(np.float32)
    y = np.zeros(3, np.float32)
    run_kernel(kernel, [x, y])
    np.testing.assert_allclose(y, x.astype(np.float64).sum((1, 2)), atol=1e-3)
