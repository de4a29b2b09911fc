"""One description of the passes, many processors: the right instructions, and no spilled tiles.

The assembly is made for processors by name, so the tests do not depend on the machine they run on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd
from picograd import Tensor
from picograd.backends.llvm.codegen import host, processor_of
from picograd.backends.llvm.cross import CrossCompiled, cross_compile
from picograd.backends.llvm.device import CpuDevice
from picograd.backends.llvm.inspect_assembly import blocks, inner_loops
from picograd.backends.llvm.thread_pool import ThreadPool
from picograd.compiler.driver import run_pipeline
from picograd.compiler.pipelines import pipeline
from picograd.targets import lookup
from picograd.targets.processors import PROCESSORS

NAMES = [processor.name for processor in PROCESSORS]

FUSED = [name for name in NAMES if lookup(name).fma]

Function = Callable[..., Tensor]

# What is compiled, and the shapes of its arguments: wide enough that no tile is cut short, and with
# tails in every dimension.
PRODUCTS: dict[str, tuple[Function, tuple[tuple[int, ...], ...]]] = {
    "NN": (lambda a, b: a @ b, ((201, 301), (301, 403))),
    "NT": (lambda a, b: a @ b.T, ((201, 301), (403, 301))),
    "TN": (lambda a, b: a.T @ b, ((301, 201), (301, 403))),
    "TT": (lambda a, b: a.T @ b.T, ((301, 201), (403, 301))),
    "batched": (lambda a, b: a @ b, ((5, 67, 45), (5, 45, 131))),
    "gelu": (
        lambda x, w, b: picograd.nn.functional.gelu(x @ w + b),
        ((201, 301), (301, 403), (403,)),
    ),
}
ROWS: dict[str, tuple[Function, tuple[tuple[int, ...], ...]]] = {
    "softmax": (lambda x: x.softmax(-1), ((33, 203),)),
    "layer norm": (
        lambda x, w, b: picograd.nn.functional.layer_norm(x, (203,), w, b),
        ((33, 203), (203,), (203,)),
    ),
    "tanh": (lambda x: (x * 2).tanh(), ((33, 203),)),
    "column sums": (lambda x: x.sum(0), ((133, 203),)),
}
ALL = PRODUCTS | ROWS


def arrays_of(shapes: tuple[tuple[int, ...], ...], seed: int = 0) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def lowered(name: str, target: str) -> Any:
    """The module of a function, lowered for a target."""
    function, shapes = ALL[name]
    tensors = [picograd.tensor(array) for array in arrays_of(shapes)]
    module = picograd.compile(function).trace(*tensors).module.clone()
    run_pipeline(module, pipeline("cpu").aimed_at(target), facts=frozenset())
    return module


def compiled(name: str, target: str) -> CrossCompiled:
    return cross_compile(lowered(name, target), target)


@pytest.mark.parametrize("processor", NAMES)
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_keep_their_tile_in_registers(name: str, processor: str) -> None:
    target = lookup(processor)
    loop = compiled(name, processor).loops[0]
    lanes_used = loop.fused if target.fma else loop.products
    assert lanes_used >= target.vector_registers // 2
    assert loop.fused == 0 or target.fma
    assert (loop.vector_spills, loop.vector_reloads, loop.scalar_fused) == (0, 0, 0)
    # Beside the multiply-adds: loads of both operands, two additions of addresses, and the loop.
    # Without multiply-add, each product is also a copy and an addition.
    others = loop.instructions - lanes_used * (1 if target.fma else 3)
    assert others <= lanes_used + 4


@pytest.mark.parametrize("processor", NAMES)
@pytest.mark.parametrize("name", ROWS)
def test_row_kernels_spill_no_value_and_call_no_library(name: str, processor: str) -> None:
    made = compiled(name, processor)
    # Constants for which there are too few registers are read from the stack, never written there.
    assert all(loop.vector_spills == 0 for loop in made.loops)
    assert "expf" not in made.assembly and "tanhf" not in made.assembly


@pytest.mark.parametrize("processor", FUSED)
def test_polynomials_are_fused_multiply_adds(processor: str) -> None:
    loop = compiled("softmax", processor).loops[0]
    assert loop.fused >= 8 and loop.scalar_fused == 0


@pytest.mark.parametrize("processor", NAMES)
def test_powers_of_two_are_scaled_by_where_there_is_an_instruction(processor: str) -> None:
    """An exponential is then shorter by six: and what is masked out costs none."""
    assembly = compiled("softmax", processor).assembly
    assert ("vscalefps" in assembly) == lookup(processor).scales
    assert ("{z}" in assembly) == (lookup(processor).vector_bits == 512)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_every_width_of_vectors_gives_the_right_numbers(name: str, lanes: int) -> None:
    """LLVM splits vectors that the host lacks, so each width runs anywhere."""
    function, shapes = ALL[name]
    registers = 16 if lanes == 8 else 32
    target = f"cpu:vector_bits={32 * lanes},vector_registers={registers}"
    arrays = arrays_of(shapes, seed=lanes)
    wide = [picograd.tensor(array.astype(np.float64), device="reference") for array in arrays]
    wanted = function(*wide).numpy()
    device = CpuDevice(ThreadPool(1))
    program = device.load(lowered(name, target))
    output = device.upload(np.full(wanted.shape, np.nan, np.float32))
    program.run([device.upload(array) for array in arrays], [output])
    np.testing.assert_allclose(device.download(output), wanted, rtol=3e-5, atol=3e-5)


def test_a_target_without_an_architecture_is_the_host() -> None:
    assert processor_of(lookup("cpu")) is host()
    assert processor_of(lookup("neoverse-v2")).architecture == "aarch64"
    assert processor_of(lookup("znver5:vector_bits=256")).name == "znver5"


ARM = """f:
\tstp\tq28, q30, [sp, #16]
.LBB0_2:
\tldr\ts0, [x17, #8400]
\tstr\tq0, [sp]
\tldr\tq3, [sp, #48]
\tfmla\tv3.4s, v15.4s, v2.s[0]
\tfmadd\ts0, s1, s2, s3
\tfmul\tv3.4s, v15.4s, v2.4s
\tcmp\tx15, #300
\tb.lt\t.LBB0_2
.LBB0_3:
\tcbnz\tx1, .LBB0_2
\tret
"""


def test_assembly_of_arm_is_read() -> None:
    (loop,) = inner_loops(ARM)
    assert (loop.label, loop.instructions) == (".LBB0_2", 8)
    assert (loop.fused, loop.scalar_fused, loop.products) == (1, 1, 1)
    assert (loop.vector_spills, loop.vector_reloads) == (1, 1)
    assert [block.vector_spills for block in blocks(ARM)] == [1, 1, 0, 0]
