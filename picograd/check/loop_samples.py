"""Plain loop nests of common kernels, as text, and a check that passes preserve what they mean.

The nests are what `lower_buffers_to_loops` could make: no tiles, no copies, no schedule. They take
any sizes, 0 and 1 included, and cover contractions in every layout, reductions over rows and
columns, chains, transposes, padding, triangular bounds, and indices from data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.diagnostics import parse_module
from picograd.dialects import dtypes, new_context
from picograd.dialects.loop import KernelOp, memref_type
from picograd.errors import VerificationError
from picograd.passes.base import Pass
from picograd.quick_dataclasses import dataclass
from picograd.semantics.loop import run_kernel
from picograd.semantics.loop_elements import poisoned

Array: TypeAlias = np.ndarray[Any, Any]


def linear_relu(m: int, n: int, k: int) -> str:
    """relu(x @ w + b) of an m x k by k x n product."""
    return f"""
loop.kernel @linear_relu(%x: memref<{m}x{k}xf32>, %w: memref<{k}x{n}xf32>, %b: memref<{n}xf32>,
                         %y: memref<{m}x{n}xf32>) {{
  loop.parallel (%i, %j) = (0, 0) to ({m}, {n}) {{
    %sum = loop.reduce add %k = 0 to {k} : f32 {{
      %xv = loop.load %x[%i, %k] : memref<{m}x{k}xf32>
      %wv = loop.load %w[%k, %j] : memref<{k}x{n}xf32>
      %p = arith.mulf %xv, %wv : f32
      loop.yield %p : f32
    }}
    %bv = loop.load %b[%j] : memref<{n}xf32>
    %s = arith.addf %sum, %bv : f32
    %zero = arith.constant 0.0 : f32
    %r = arith.maximumf %s, %zero : f32
    loop.store %r, %y[%i, %j] : f32, memref<{m}x{n}xf32>
  }}
}}"""


def transposed_matmul(m: int, n: int, k: int) -> str:
    """x.T @ w.T: both operands lie the other way round."""
    return f"""
loop.kernel @transposed(
    %x: memref<{k}x{m}xf32>, %w: memref<{n}x{k}xf32>, %y: memref<{m}x{n}xf32>) {{
  loop.parallel (%i, %j) = (0, 0) to ({m}, {n}) {{
    %sum = loop.reduce add %k = 0 to {k} : f32 {{
      %xv = loop.load %x[%k, %i] : memref<{k}x{m}xf32>
      %wv = loop.load %w[%j, %k] : memref<{n}x{k}xf32>
      %p = arith.mulf %xv, %wv : f32
      loop.yield %p : f32
    }}
    loop.store %sum, %y[%i, %j] : f32, memref<{m}x{n}xf32>
  }}
}}"""


def batched_matmul(b: int, m: int, n: int, k: int) -> str:
    """A matmul for each batch, of 64-bit integers."""
    return f"""
loop.kernel @batched(%x: memref<{b}x{m}x{k}xi64>, %w: memref<{b}x{k}x{n}xi64>,
                     %y: memref<{b}x{m}x{n}xi64>) {{
  loop.parallel (%b, %i, %j) = (0, 0, 0) to ({b}, {m}, {n}) {{
    %sum = loop.reduce add %k = 0 to {k} : i64 {{
      %xv = loop.load %x[%b, %i, %k] : memref<{b}x{m}x{k}xi64>
      %wv = loop.load %w[%b, %k, %j] : memref<{b}x{k}x{n}xi64>
      %p = arith.muli %xv, %wv : i64
      loop.yield %p : i64
    }}
    loop.store %sum, %y[%b, %i, %j] : i64, memref<{b}x{m}x{n}xi64>
  }}
}}"""


def convolution(n: int, ci: int, co: int, h: int, w: int) -> str:
    """A 3 x 3 convolution with zero padding."""
    return f"""
loop.kernel @convolution(%x: memref<{n}x{ci}x{h}x{w}xf32>, %w: memref<{co}x{ci}x3x3xf32>,
                         %y: memref<{n}x{co}x{h}x{w}xf32>) {{
  loop.parallel (%n, %o, %p, %q) = (0, 0, 0, 0) to ({n}, {co}, {h}, {w}) {{
    %s = loop.reduce add (%c, %u, %v) = (0, 0, 0) to ({ci}, 3, 3) : f32 {{
      %xv = loop.load %x[%n, %c, %p + %u - 1, %q + %v - 1] pad : memref<{n}x{ci}x{h}x{w}xf32>
      %wv = loop.load %w[%o, %c, %u, %v] : memref<{co}x{ci}x3x3xf32>
      %m = arith.mulf %xv, %wv : f32
      loop.yield %m : f32
    }}
    loop.store %s, %y[%n, %o, %p, %q] : f32, memref<{n}x{co}x{h}x{w}xf32>
  }}
}}"""


def softmax(rows: int, columns: int) -> str:
    """Softmax of each row: a maximum, a sum of exponentials that are kept, a product."""
    type = f"memref<{rows}x{columns}xf32>"
    return f"""
loop.kernel @softmax(%x: {type}, %y: {type}) {{
  loop.parallel %i = 0 to {rows} {{
    %m = loop.reduce max %a = 0 to {columns} : f32 {{
      %v = loop.load %x[%i, %a] : {type}
      loop.yield %v : f32
    }}
    %s = loop.reduce add %b = 0 to {columns} : f32 {{
      %v = loop.load %x[%i, %b] : {type}
      %d = arith.subf %v, %m : f32
      %e = math.exp %d : f32
      loop.store %e, %y[%i, %b] : f32, {type}
      loop.yield %e : f32
    }}
    %one = arith.constant 1.0 : f32
    %inverse = arith.divf %one, %s : f32
    loop.parallel %j = 0 to {columns} {{
      %v = loop.load %y[%i, %j] : {type}
      %w = arith.mulf %v, %inverse : f32
      loop.store %w, %y[%i, %j] : f32, {type}
    }}
  }}
}}"""


def transpose_add(m: int, n: int) -> str:
    """x.T + z, where one operand is read along rows and the other along columns."""
    return f"""
loop.kernel @transpose_add(%x: memref<{n}x{m}xf32>, %z: memref<{m}x{n}xf32>,
                           %y: memref<{m}x{n}xf32>) {{
  loop.parallel (%i, %j) = (0, 0) to ({m}, {n}) {{
    %v = loop.load %x[%j, %i] : memref<{n}x{m}xf32>
    %u = loop.load %z[%i, %j] : memref<{m}x{n}xf32>
    %r = arith.addf %v, %u : f32
    loop.store %r, %y[%i, %j] : f32, memref<{m}x{n}xf32>
  }}
}}"""


def argmax_gather(rows: int, columns: int) -> str:
    """Position of each row's maximum, and the row compared with the element found there."""
    type = f"memref<{rows}x{columns}xf32>"
    return f"""
loop.kernel @argmax(%x: {type}, %y: memref<{rows}xi64>, %z: {type}) {{
  loop.parallel %i = 0 to {rows} {{
    %low = arith.constant 0xFF800000 : f32
    %none = arith.constant 9223372036854775807 : i64
    %m, %n = loop.reduce combine %k = 0 to {columns} identity (%low, %none) : f32, i64 {{
      %v = loop.load %x[%i, %k] : {type}
      %at = loop.index %k : i64
      loop.yield %v, %at : f32, i64
    }} combiner (%a, %p, %b, %q) {{
      %greater = loop.compare gt %a, %b : f32
      %equal = loop.compare eq %a, %b : f32
      %before = loop.compare lt %p, %q : i64
      %first = arith.andi %equal, %before : i1
      %left = arith.ori %greater, %first : i1
      %v = loop.select %left, %a, %b : f32
      %w = loop.select %left, %p, %q : i64
      loop.yield %v, %w : f32, i64
    }}
    loop.store %n, %y[%i] : i64, memref<{rows}xi64>
    %found = loop.checked_index %n : i64 below {columns}
    loop.parallel %j = 0 to {columns} {{
      %t = loop.load %x[%i, %found] : {type}
      %u = loop.load %x[%i, %j] : {type}
      %less = arith.cmpf olt, %u, %t : f32
      %f = arith.uitofp %less : i1 to f32
      %s = arith.select %less, %u, %f : f32
      %place = loop.index %j + %i * 2 : f32
      %r = arith.addf %s, %place : f32
      loop.store %r, %z[%i, %j] : f32, {type}
    }}
  }}
}}"""


def triangle(n: int) -> str:
    """Sums of the rows of a lower triangle; the upper one is filled from it by transposing."""
    type = f"memref<{n}x{n}xf32>"
    return f"""
loop.kernel @triangle(%x: {type}, %y: memref<{n}xf32>, %z: {type}) {{
  loop.parallel %i = 0 to {n} {{
    %s = loop.reduce add %k = 0 to %i + 1 : f32 {{
      %v = loop.load %x[%i, %k] : {type}
      loop.yield %v : f32
    }}
    loop.store %s, %y[%i] : f32, memref<{n}xf32>
    loop.parallel %j = %i to {n} {{
      %v = loop.load %x[%j, %i] : {type}
      loop.store %v, %z[%i, %j] : f32, {type}
    }}
    loop.parallel %l = 0 to min(%i, {n}) {{
      %v = loop.load %x[%i, %l] : {type}
      loop.store %v, %z[%i, %l] : f32, {type}
    }}
  }}
}}"""


def integer_reductions(rows: int, columns: int) -> str:
    """Sums of columns, and the maximum of all, of 32-bit integers; no parallel loop at all."""
    type = f"memref<{rows}x{columns}xi32>"
    return f"""
loop.kernel @integers(%x: {type}, %y: memref<{columns}xi32>, %t: memref<1xi32>) {{
  loop.parallel %j = 0 to {columns} {{
    %s = loop.reduce add %k = 0 to {rows} : i32 {{
      %v = loop.load %x[%k, %j] : {type}
      loop.yield %v : i32
    }}
    loop.store %s, %y[%j] : i32, memref<{columns}xi32>
  }}
  %m = loop.reduce max (%a, %b) = (0, 0) to ({rows}, {columns}) : i32 {{
    %v = loop.load %x[%a, %b] : {type}
    loop.yield %v : i32
  }}
  loop.store %m, %t[0] : i32, memref<1xi32>
}}"""


@dataclass(frozen=True)
class LoopSample:
    """A family of nests: how to write one, and the greatest sizes that are worth testing."""

    text: Callable[..., str]
    most: tuple[int, ...]
    least: int = 0

    def draw(self, rng: np.random.Generator) -> str:
        """A nest of random sizes; small ones, 0 and 1 are as likely as large ones."""
        low = self.least
        sizes = [
            int(rng.integers(low, min(4, top) + 1 if rng.integers(3) == 0 else top + 1))
            for top in self.most
        ]
        return self.text(*sizes)


SAMPLES: Mapping[str, LoopSample] = {
    "linear_relu": LoopSample(linear_relu, (40, 70, 40)),
    "transposed_matmul": LoopSample(transposed_matmul, (40, 50, 40)),
    "batched_matmul": LoopSample(batched_matmul, (3, 12, 20, 12)),
    "convolution": LoopSample(convolution, (2, 4, 9, 5, 20)),
    "softmax": LoopSample(softmax, (4, 80)),
    "transpose_add": LoopSample(transpose_add, (40, 40)),
    "argmax_gather": LoopSample(argmax_gather, (5, 40), least=1),
    "triangle": LoopSample(triangle, (40,)),
    "integer_reductions": LoopSample(integer_reductions, (40, 40)),
}
"""The nests by name."""


def arguments_of(kernel: KernelOp, rng: np.random.Generator) -> list[Array]:
    """Random inputs for a kernel; what it writes starts poisoned."""
    arrays: list[Array] = []
    written = kernel.written
    for argument in kernel.body.block.args:
        type = memref_type(argument)
        shape = tuple(type.get_shape())
        if argument in written:
            arrays.append(poisoned(shape, type))
            continue
        dtype = dtypes.from_ir(type.element_type).numpy
        values = rng.standard_normal(shape) * (1 if dtype.kind == "f" else 50)
        arrays.append(values.astype(dtype))
    return arrays


def the_kernel(module: ModuleOp) -> KernelOp:
    """The only kernel of a module."""
    (kernel,) = [op for op in module.walk() if isinstance(op, KernelOp)]
    return kernel


def check_passes(text: str, passes: Sequence[Pass], *, seed: int = 0) -> ModuleOp:
    """Run passes over a kernel; after each, verify, round-trip, run, and compare with float64.

    Raises VerificationError at the first pass that changes what the kernel means.
    """
    module = parse_module(text)
    kernel = the_kernel(module)
    inputs = arguments_of(kernel, np.random.default_rng(seed))
    expected = [
        array.astype(np.float64) if array.dtype.kind == "f" else array.copy() for array in inputs
    ]
    run_kernel(kernel, expected, widen=True)
    context = new_context()
    for step in passes:
        step.apply(context, module)
        module.verify()
        printed = str(module)
        again = parse_module(printed)
        if not module.is_structurally_equivalent(again) or str(again) != printed:
            raise VerificationError(
                f"{step} leaves IR that does not parse back",
                code="PG707",
                expected="text that parses to an equal module",
                found=printed,
                hint="compare what the ops print with what their parsers read",
            )
        found = [array.copy() for array in inputs]
        run_kernel(kernel, found)
        for number, (array, wanted) in enumerate(zip(found, expected, strict=True)):
            if not np.allclose(array, wanted, rtol=1e-4, atol=1e-4, equal_nan=True):
                raise VerificationError(
                    f"{step} changes argument {number}",
                    code="PG713",
                    expected="the values that the module computed before the pass",
                    hint="evaluate the module before and after the pass on these inputs",
                    found=f"a difference of {np.max(np.abs(array - wanted))}",
                    where=printed,
                )
    return module
