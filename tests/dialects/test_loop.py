"""The loop dialect: what parses, prints and parses back equal, and what is refused and why."""

import re

import pytest
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, f32, f64, i1, i32, i64

from picograd.check.loop_samples import SAMPLES
from picograd.compiler.diagnostics import parse_module
from picograd.dialects import loop
from picograd.errors import PicogradError

EVERYTHING = """
builtin.module {
  loop.kernel @everything(%x: memref<16x16xf32>, %y: memref<16x16xf32>) attributes {label = "all"} {
    loop.parallel (%i, %j) = (0, 0) to (16, 16) step (8, 1) mapping grid {
      %zero = arith.constant 0.000000e+00 : f32
      %none = arith.constant 0 : i64
      %sum = loop.reduce add %k = %i to min(%i + 8, 16) init %zero : f32 {
        %v = loop.load %x[%k, (%j + %k) mod 16] : memref<16x16xf32>
        loop.yield %v : f32
      }
      %best, %at = loop.reduce combine %k_1 as k = 0 to 16 identity (%zero, %none) : f32, i64 {
        %n = loop.index %k_1 : i64
        loop.yield %sum, %n : f32, i64
      } combiner (%a, %p, %b, %q) {
        %gt = loop.compare gt %a, %b : f32
        %m = loop.select %gt, %a, %b : f32
        %o = loop.select %gt, %p, %q : i64
        loop.yield %m, %o : f32, i64
      }
      %found = loop.checked_index %at : i64 below 16
      loop.if %i - %j >= 0 {
        loop.store %best, %y[%i, %found] clip : f32, memref<16x16xf32>
      }
      %chosen = loop.if -%j + 3 >= 0 : f32 {
        loop.yield %sum : f32
      } else {
        loop.yield %best : f32
      }
      %last = loop.for %t = 0 to 3 carry (%c = %chosen : f32) {
        loop.yield %c : f32
      }
      loop.barrier
      %tile = loop.alloc : memref<4x8xf32, "workgroup">
      %w = loop.load %x[%i + t1, t0 * 2 - 1] pad : memref<16x16xf32> to vector<4x8xf32>
      loop.store %w, %tile[t0, t1] : vector<4x8xf32>, memref<4x8xf32, "workgroup">
      %row = loop.load %tile[0, t0] : memref<4x8xf32, "workgroup"> to vector<8xf32>
      %rows = loop.broadcast %row along [0] : vector<8xf32> to vector<4x8xf32>
      %less = loop.compare lt %rows, %w : vector<4x8xf32>
      %pick = loop.select %less, %rows, %w : vector<4x8xf32>
      %ones = loop.convert uitofp %less : vector<4x8xi1> to vector<4x8xf32>
      %one = arith.constant 1 : i32
      %exponents = loop.broadcast %one along [0, 1] : i32 to vector<4x8xi32>
      %twos = loop.scale %ones, %exponents : vector<4x8xf32>, vector<4x8xi32>
      %folded = loop.fold max %twos : vector<4x8xf32> to vector<4xf32>
      %mixed = loop.shuffle %folded, %folded [0, 7, -1, 2]
          : vector<4xf32>, vector<4xf32> to vector<4xf32>
      loop.store %mixed, %y[%i, t0] : vector<4xf32>, memref<16x16xf32>
    }
    loop.for %0 = 0 to 3 {
    }
    loop.for %1 as left = 0 to (2 + 4) floordiv 2 {
    }
  }
  func.func @main(%x: memref<16x16xf32>, %y: memref<16x16xf32>) {
    loop.launch @everything(%x, %y) : memref<16x16xf32>, memref<16x16xf32>
    func.return
  }
}
"""


def test_every_operation_round_trips() -> None:
    module = parse_module(EVERYTHING)
    module.verify()
    text = str(module)
    again = parse_module(text)
    assert str(again) == text
    assert again.is_structurally_equivalent(module)
    used = {op.name for op in module.walk()}
    assert {op.name for op in loop.Loop.operations} <= used


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_parse_and_verify(name: str) -> None:
    sample = SAMPLES[name]
    module = parse_module(sample.text(*sample.most))
    module.verify()
    assert str(parse_module(str(module))) == str(module)


def test_names_are_properties() -> None:
    """A loop keeps its name when printing must call its variable something else."""
    module = parse_module(
        "loop.kernel @k() { loop.for %i = 0 to 2 { loop.for %i_2 as i = 0 to 2 { } } }"
    )
    names = [name.data for op in module.walk() if isinstance(op, loop.ForOp) for name in op.names]
    assert names == ["i", "i"]
    assert "%i_1 as i" in str(module)


def kernel_with(body: str) -> str:
    return (
        "loop.kernel @k(%x: memref<4x4xf32>, %n: memref<4xi64>) {\n"
        "  loop.parallel %i = 0 to 4 {\n"
        "    %zero = arith.constant 0.0 : f32\n"
        "    %v = loop.load %x[%i, t0] : memref<4x4xf32> to vector<4xf32>\n"
        f"    {body}\n  }}\n}}"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("%a = loop.load %x[%i] : memref<4x4xf32>", "expected 2 indices, found 1"),
        ("loop.store %zero, %n[%i] : f32, memref<4xi64>", "does not hold elements of f32"),
        ("loop.parallel %j = 0 to 4 step 0 { }", "steps must be positive"),
        ("loop.parallel (%j, %k as j) = (0, 0) to (4, 4) { }", "told apart by their names"),
        ("loop.parallel %j = 0 to 4 { loop.yield %zero : f32 }", "must yield"),
        ("%s = loop.reduce and %k = 0 to 4 : f32 { loop.yield %zero : f32 }", "does not combine"),
        ("%s = loop.reduce add %k = 0 to 4 : f32 { }", "must yield"),
        ("%s = loop.reduce add %k = 0 to 4 init %v : vector<4xf32> { loop.yield %zero : f32 }",
         "must yield"),
        ("%s = loop.if %i >= 0 : f32 { loop.yield %zero : f32 }", "must yield"),
        ("%m = loop.alloc : memref<4xf32>", "memory space"),
        ("%m = loop.alloc : memref<4xf32, \"heap\">", "memory space"),
        ("%b = loop.broadcast %v along [1] : vector<4xf32> to vector<3x5xf32>", "without its new"),
        ("%b = loop.broadcast %v along [2] : vector<4xf32> to vector<4x4xf32>", "increasing axes"),
        ("%f = loop.fold or %v : vector<4xf32> to f32", "does not combine"),
        ("%s = loop.shuffle %v, %v [0, 9] : vector<4xf32>, vector<4xf32> to vector<2xf32>",
         "lanes from -1 to 7"),
        ("%s = loop.scale %v, %v : vector<4xf32>, vector<4xf32>", "must be vector<4xi32>"),
        ("%o = arith.constant 1 : i32 %s = loop.scale %o, %o : i32, i32", "expected floats"),
        ("%k = loop.index %i : index", "must be an integer or a float"),
        ("%a = loop.load %x[%i, t0] : memref<4x4xf32>", "no tile with a lane t0"),
        ("%a = loop.load %x[t1, t0] : memref<4x4xf32> to vector<4xf32>", "a lane t1"),
        ("loop.parallel %j = 0 to t0 { }", "no tile with a lane t0"),
        ("loop.if %i + t0 >= 0 { }", "no tile with a lane t0"),
    ],
)  # fmt: skip
def test_what_verification_refuses(body: str, message: str) -> None:
    with pytest.raises(PicogradError, match=re.escape(message)):
        parse_module(kernel_with(body))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("loop.for (%a, %b) = (0, 0) to (4, 4) { }", "one dimension"),
        ("loop.parallel (%a, %b) = (0, 0) to (4) { }", "as many"),
        ("loop.if %i >= 1 { }", "compares with zero"),
        ("%a = loop.load %x[%i floordiv 0, %i] : memref<4x4xf32>", "positive divisor"),
        ("%a = loop.load %x[lane, %i] : memref<4x4xf32>", "a lane such as t0"),
        ("loop.parallel %j = 0 to 4 mapping sideways { }", "mapping|sideways|Expected"),
    ],
)
def test_what_parsing_refuses(body: str, message: str) -> None:
    with pytest.raises(PicogradError, match=message):
        parse_module(kernel_with(body))


def test_an_index_comes_from_a_loop_or_a_check() -> None:
    text = """
    func.func @f(%i: index, %x: memref<4xf32>) {
      %v = "loop.load"(%x, %i) <{map = affine_map<(d0) -> (d0)>}> : (memref<4xf32>, index) -> f32
      func.return
    }"""
    with pytest.raises(PicogradError, match="induction variable"):
        parse_module(text)


@pytest.mark.parametrize(
    ("kind", "type", "expected"),
    [
        ("add", f32, 0.0), ("mul", f64, 1.0), ("max", f32, float("-inf")),
        ("min", f32, float("inf")), ("max", i32, -(2**31)), ("min", i64, 2**63 - 1),
        ("and", i32, -1), ("or", i32, 0),
    ],
)  # fmt: skip
def test_identities(kind: str, type, expected: float) -> None:
    value = loop.identity(kind, type).value
    assert isinstance(value, FloatAttr | IntegerAttr) and value.value.data == expected


def test_combiners_of_bools() -> None:
    assert loop.combines("max", i1)
    assert not loop.combines("add", i1)
    assert not loop.combines("or", f32)
