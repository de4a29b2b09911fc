"""Each operation of the loop level gives on the CPU what the reference evaluator says it means."""

import numpy as np
import pytest
from xdsl.parser import Parser

from picograd.backends.llvm.device import CpuDevice
from picograd.backends.llvm.emit import emit
from picograd.backends.llvm.emit_strided import vector_starts
from picograd.dialects import new_context
from picograd.errors import CompileError, IndexOutOfRange
from picograd.semantics.evaluate import evaluate

DTYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64, "i1": np.bool_}


def parse(text):
    module = Parser(new_context(), text).parse_module()
    module.verify()
    return module


def run(module, inputs, outputs):
    """The outputs of a module on the CPU, for a list of (shape, dtype) of outputs."""
    device = CpuDevice()
    buffers = [device.upload(array) for array in inputs]
    results = [device.upload(np.zeros(shape, dtype)) for shape, dtype in outputs]
    device.load(module).run(buffers, results)
    return [device.download(result) for result in results]


def check(module, inputs, outputs, rtol=0.0):
    """The CPU and the reference agree."""
    wanted = evaluate(module, inputs)
    for found, exact in zip(run(module, inputs, outputs), wanted, strict=True):
        assert found.dtype == exact.dtype
        np.testing.assert_allclose(found, exact, rtol=rtol)


def elementwise(expression, sources, result, count, lanes):
    """A module that computes `expression` of %v0, %v1, … for each element."""

    def tile(element):
        return f"vector<{lanes}x{element}>" if lanes else element

    index = "%i + t0" if lanes else "%i"
    memrefs = [f"memref<{count}x{source}>" for source in sources]
    out = f"memref<{count}x{result}>"
    loads = "\n".join(
        f"%v{n} = loop.load %a{n}[{index}] : {memref}" + (f" to {tile(source)}" if lanes else "")
        for n, (memref, source) in enumerate(zip(memrefs, sources, strict=True))
    )
    arguments = "".join(f"%a{n}: {memref}, " for n, memref in enumerate(memrefs))
    names = "".join(f"%a{n}, " for n in range(len(memrefs)))
    text = expression.replace("SOURCE", tile(sources[-1])).replace("RESULT", tile(result))
    return parse(f"""
      loop.kernel @k({arguments}%y: {out}) {{
        loop.parallel %i = 0 to {count} step {lanes or 1} {{
          {loads}
          %r = {text}
          loop.store %r, %y[{index}] : {tile(result)}, {out}
        }}
      }}
      func.func @main({arguments}%y: {out} {{buffer.output}}) {{
        loop.launch @k({names}%y) : {", ".join([*memrefs, out])}
        func.return
      }}""")


def values(element, count, rng):
    """Random numbers among which the nasty ones are frequent."""
    if element == "i1":
        return rng.random(count) < 0.5
    dtype = np.dtype(DTYPES[element])
    if dtype.kind == "f":
        nasty = [0.0, -0.0, np.nan, np.inf, -np.inf, 0.5, -1.5, 1e-42, 3e38, 2.0**31, -1e19]
        ordinary = rng.standard_normal(count) * 10
    else:
        limits = np.iinfo(dtype)
        nasty = [0, 1, -1, 2, limits.min, limits.max, 31, 32, 33, 64, 7, -7]
        ordinary = rng.integers(-100, 100, count)
    return np.where(
        rng.random(count) < 0.6, rng.choice(np.array(nasty, dtype), count), ordinary.astype(dtype)
    ).astype(dtype)


def pairs(element, rng, count):
    return [values(element, count, rng), values(element, count, rng)]


FLOAT_BINARY = ["arith.addf", "arith.subf", "arith.mulf", "arith.divf"]
FLOAT_EXTREME = ["arith.maximumf", "arith.minimumf"]
FLOAT_UNARY = ["arith.negf", "math.absf", "math.sqrt", "math.floor", "math.ceil"]
FLOAT_UNARY += ["math.roundeven", "math.trunc"]
INTEGER_BINARY = ["addi", "subi", "muli", "divsi", "remsi", "maxsi", "minsi", "maxui", "minui"]
INTEGER_BINARY += ["andi", "ori", "xori", "shli", "shrui", "shrsi"]
PREDICATES = ["eq", "ne", "lt", "le", "gt", "ge"]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("lanes", [0, 16, 12, 1])
@pytest.mark.parametrize("element", ["f32", "f64"])
def test_float_operations(element, lanes, rng):
    count = 48
    out = [((count,), DTYPES[element])]
    for op in FLOAT_BINARY + FLOAT_EXTREME:
        module = elementwise(f"{op} %v0, %v1 : RESULT", [element] * 2, element, count, lanes)
        check(module, pairs(element, rng, count), out)
    for op in FLOAT_UNARY:
        module = elementwise(f"{op} %v0 : RESULT", [element], element, count, lanes)
        check(module, [values(element, count, rng)], out)
    for predicate in PREDICATES:
        text = f"loop.compare {predicate} %v0, %v1 : SOURCE"
        module = elementwise(text, [element] * 2, "i1", count, lanes)
        check(module, pairs(element, rng, count), [((count,), np.bool_)])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("lanes", [0, 16, 12])
@pytest.mark.parametrize("element", ["i32", "i64"])
def test_integer_operations(element, lanes, rng):
    count = 48
    out = [((count,), DTYPES[element])]
    for op in INTEGER_BINARY:
        text = f"arith.{op} %v0, %v1 : RESULT"
        check(
            elementwise(text, [element] * 2, element, count, lanes), pairs(element, rng, count), out
        )
    for predicate in PREDICATES:
        text = f"loop.compare {predicate} %v0, %v1 : SOURCE"
        module = elementwise(text, [element] * 2, "i1", count, lanes)
        check(module, pairs(element, rng, count), [((count,), np.bool_)])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("lanes", [0, 1, 4, 5, 8, 16])
@pytest.mark.parametrize("element", ["f32", "f64"])
def test_scaling_rounds_once(element, lanes, rng):
    """Down to subnormal numbers and zeros, up to infinity."""
    count = 80
    module = elementwise("loop.scale %v0, %v1 : RESULT, SOURCE", [element, "i32"], element, count,
                         lanes)  # fmt: skip
    powers = np.where(rng.random(count) < 0.3, values("i32", count, rng),
                      rng.integers(-1200, 1200, count) // rng.integers(1, 9, count))  # fmt: skip
    inputs = [values(element, count, rng), powers.astype(np.int32)]
    check(module, inputs, [((count,), DTYPES[element])])


ZEROS = """
  loop.kernel @k(%x: memref<80xELEMENT>, %z: memref<80xELEMENT>, %y: memref<80xELEMENT>) {
    loop.parallel %i = 0 to 80 step 16 {
      %a = loop.load %x[%i + t0] : memref<80xELEMENT> to TILE
      %b = loop.load %z[%i + t0] : memref<80xELEMENT> to TILE
      %zero = arith.constant ZERO : ELEMENT
      %zeros = loop.broadcast %zero along [0] : ELEMENT to TILE
      %found = loop.compare PREDICATE %a, %b : TILE
      %r = loop.select %found, %zeros, %b : TILE
      loop.store %r, %y[%i + t0] : TILE, memref<80xELEMENT>
    }
  }
  func.func @main(%x: memref<80xELEMENT>, %z: memref<80xELEMENT>,
      %y: memref<80xELEMENT> {buffer.output}) {
    loop.launch @k(%x, %z, %y) : memref<80xELEMENT>, memref<80xELEMENT>, memref<80xELEMENT>
    func.return
  }"""


@pytest.mark.parametrize(
    ("element", "zero"), [("f32", "0.0"), ("f32", "-0.0"), ("f64", "0.0"), ("i32", "0")]
)
@pytest.mark.parametrize("predicate", PREDICATES)
def test_zeros_where_a_comparison_holds(predicate, element, zero, rng):
    """The opposite of a comparison holds of NaN, and the sign of the zero stays."""
    text = ZEROS.replace("TILE", "vector<16xELEMENT>").replace("ZERO", zero)
    module = parse(text.replace("ELEMENT", element).replace("PREDICATE", predicate))
    inputs = pairs(element, rng, 80)
    (wanted,) = evaluate(module, inputs)
    (found,) = run(module, inputs, [((80,), DTYPES[element])])
    np.testing.assert_array_equal(found, wanted)
    signs = np.signbit(found.astype(np.float64)) == np.signbit(wanted.astype(np.float64))
    assert signs[~np.isnan(wanted.astype(np.float64))].all()


@pytest.mark.parametrize("lanes", [0, 16, 5])
def test_bools_are_bytes_in_memory(lanes, rng):
    count = 80
    for op in ("andi", "ori", "xori"):
        module = elementwise(f"arith.{op} %v0, %v1 : RESULT", ["i1"] * 2, "i1", count, lanes)
        check(module, pairs("i1", rng, count), [((count,), np.bool_)])
    text = "loop.select %v0, %v1, %v2 : RESULT"
    module = elementwise(text, ["i1", "f32", "f32"], "f32", count, lanes)
    inputs = [values("i1", count, rng), *pairs("f32", rng, count)]
    check(module, inputs, [((count,), np.float32)])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_conversions(rng):
    count = 60
    casts = [
        ("fptosi", "f32", "i32"),
        ("fptosi", "f64", "i64"),
        ("sitofp", "i64", "f32"),
        ("sitofp", "i32", "f64"),
        ("uitofp", "i1", "f32"),
        ("extf", "f32", "f64"),
        ("truncf", "f64", "f32"),
        ("extsi", "i32", "i64"),
        ("extui", "i1", "i32"),
        ("trunci", "i64", "i32"),
    ]
    for op, source, result in casts:
        text = f"arith.{op} %v0 : SOURCE to RESULT"
        module = elementwise(text, [source], result, count, 0)
        check(module, [values(source, count, rng)], [((count,), DTYPES[result])])


def test_constant_operands_take_short_forms(rng):
    """A constant divisor, shift or bound needs no guard; the guarded form must agree."""
    integers = values("i32", 48, rng)
    for op, constant in (("divsi", 7), ("divsi", 0), ("remsi", -1), ("shli", 3), ("shrsi", 40)):
        body = f"arith.{op} %v0, %c : i32"
        module = parse(
            str(elementwise("arith.addi %v0, %v0 : i32", ["i32"], "i32", 48, 0)).replace(
                "%r = arith.addi %v0, %v0 : i32",
                f"%c = arith.constant {constant} : i32\n%r = {body}",
            )
        )
        check(module, [integers], [((48,), np.int32)])


@pytest.mark.parametrize("lanes", [2, 4, 8, 16, 12])
@pytest.mark.parametrize("stride", [-5, -4, -3, -2, -1, 2, 3, 4, 5])
def test_lanes_that_lie_apart(stride, lanes, rng):
    """From the first element of a buffer to the last, of types of several sizes."""
    apart = abs(stride)
    steps = 3
    size = (lanes * steps - 1) * apart + 1
    first = 0 if stride > 0 else size - 1
    for element in ("f32", "f64", "i1"):
        module = parse(f"""
          loop.kernel @k(%x: memref<{size}x{element}>, %y: memref<{lanes * steps}x{element}>) {{
            loop.parallel %i = 0 to {lanes * steps} step {lanes} {{
              %v = loop.load %x[{first} + %i * {stride} + t0 * {stride}]
                  : memref<{size}x{element}> to vector<{lanes}x{element}>
              loop.store %v, %y[%i + t0]
                  : vector<{lanes}x{element}>, memref<{lanes * steps}x{element}>
            }}
          }}
          func.func @main(%x: memref<{size}x{element}>,
              %y: memref<{lanes * steps}x{element}> {{buffer.output}}) {{
            loop.launch @k(%x, %y) : memref<{size}x{element}>, memref<{lanes * steps}x{element}>
            func.return
          }}""")
        x = values(element, size, rng)
        (found,) = run(module, [x], [((lanes * steps,), DTYPES[element])])
        np.testing.assert_array_equal(found, x[::stride])
        text = emit(module).text
        whole = lanes in (4, 8, 16) and apart <= 4
        assert text.count("insertelement") == (0 if whole else lanes)
        assert text.count("shufflevector") == (apart if whole else 0)


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("apart", [1, 2, 3, 4])
def test_vectors_end_where_the_last_lane_does(apart, lanes):
    starts = vector_starts(lanes, apart)
    covered = {start + lane for start in starts for lane in range(lanes)}
    assert {lane * apart for lane in range(lanes)} <= covered
    assert max(covered) == (lanes - 1) * apart and min(covered) == 0


MATRIX = """
  loop.kernel @k(%x: memref<7x5xf32>, %y: memref<5x7xf32>) {
    BODY
  }
  func.func @main(%x: memref<7x5xf32>, %y: memref<5x7xf32> {buffer.output}) {
    loop.launch @k(%x, %y) : memref<7x5xf32>, memref<5x7xf32>
    func.return
  }"""

ACCESSES = {
    "strided lanes": """loop.parallel %j = 0 to 5 {
      %v = loop.load %x[t0, %j] : memref<7x5xf32> to vector<7xf32>
      loop.store %v, %y[%j, t0] : vector<7xf32>, memref<5x7xf32> }""",
    "strided store": """loop.parallel %i = 0 to 7 {
      %v = loop.load %x[%i, t0] : memref<7x5xf32> to vector<5xf32>
      loop.store %v, %y[t0, %i] : vector<5xf32>, memref<5x7xf32> }""",
    "one element in all lanes": """loop.parallel %j = 0 to 5 {
      %v = loop.load %x[%j + 2, %j] : memref<7x5xf32> to vector<7xf32>
      loop.store %v, %y[%j, t0] : vector<7xf32>, memref<5x7xf32> }""",
    "backwards": """loop.parallel %j = 0 to 5 {
      %v = loop.load %x[6 - t0, 4 - %j] : memref<7x5xf32> to vector<7xf32>
      loop.store %v, %y[%j, t0] : vector<7xf32>, memref<5x7xf32> }""",
    "lanes in quotient and remainder": """
      %v = loop.load %x[t0 floordiv 5, t0 mod 5] : memref<7x5xf32> to vector<35xf32>
      loop.store %v, %y[t0 floordiv 7, t0 mod 7] : vector<35xf32>, memref<5x7xf32>""",
    "padded and clipped lanes": """loop.parallel %j = -1 to 7 {
      loop.parallel %i = -3 to 9 step 4 {
        %v = loop.load %x[%j, %i + t0] pad : memref<7x5xf32> to vector<4xf32>
        loop.store %v, %y[%j - 1, %i + t0 + 1] clip : vector<4xf32>, memref<5x7xf32> } }""",
    "padded elements": """loop.parallel (%i, %j) = (0, 0) to (5, 7) {
      %v = loop.load %x[%i - 1, %j - 2] pad : memref<7x5xf32>
      loop.store %v, %y[%i, %j] : f32, memref<5x7xf32> }""",
    "padded strided lanes": """loop.parallel %i = 0 to 5 {
      %v = loop.load %x[t0 * 2 - 3, %i] pad : memref<7x5xf32> to vector<7xf32>
      loop.store %v, %y[%i, t0] : vector<7xf32>, memref<5x7xf32> }""",
    "negative numbers in quotients": """loop.parallel (%i, %j) = (-2, -3) to (3, 4) {
      %v = loop.load %x[(%i * 2 + %j) mod 7, (%i * 3 - %j) mod 5] : memref<7x5xf32>
      loop.store %v, %y[%i + 2, %j + 3] : f32, memref<5x7xf32> }""",
    "blocks and tails": """loop.for %i0 = 0 to 5 step 2 {
      loop.for %j0 = 0 to 7 step 3 {
        loop.parallel (%i, %j) = (%i0, %j0) to (min(%i0 + 2, 5), min(%j0 + 3, 7)) {
          %v = loop.load %x[%j, %i] : memref<7x5xf32>
          loop.store %v, %y[%i, %j] : f32, memref<5x7xf32> } } }""",
    "local buffers": """loop.parallel %i = 0 to 5 {
      %b = loop.alloc : memref<7xf32, "stack">
      loop.parallel %j = 0 to 7 {
        %v = loop.load %x[%j, %i] : memref<7x5xf32>
        loop.store %v, %b[6 - %j] : f32, memref<7xf32, "stack"> }
      %t = loop.load %b[t0] : memref<7xf32, "stack"> to vector<7xf32>
      loop.store %t, %y[%i, t0] : vector<7xf32>, memref<5x7xf32> }""",
}


@pytest.mark.parametrize("name", ACCESSES)
def test_accesses(name, rng):
    module = parse(MATRIX.replace("BODY", ACCESSES[name]))
    x = rng.standard_normal((7, 5)).astype(np.float32)
    y = np.full((5, 7), 0, np.float32)
    (found,) = run(module, [x], [(y.shape, y.dtype)])
    (wanted,) = evaluate(module, [x])
    written = ~np.isnan(wanted)
    assert written.sum() > 10
    assert (found[written] == wanted[written]).all()


CONTROL = """
  loop.kernel @k(%x: memref<40xf32>, %y: memref<3xf32>) {
    %one = arith.constant 1.0 : f32
    loop.parallel %i = 0 to 3 {
      %start = loop.if %i - 1 >= 0 : f32 {
        loop.yield %one : f32
      } else {
        %v = loop.load %x[0] : memref<40xf32>
        loop.yield %v : f32
      }
      %a, %b = loop.for %j = %i * 20 to min(%i * 20 + 7, 40) step 2
          carry (%p = %start : f32, %q = %one : f32) {
        %v = loop.load %x[%j] : memref<40xf32>
        %s = arith.addf %p, %v : f32
        loop.yield %q, %s : f32, f32
      }
      %d = arith.subf %a, %b : f32
      loop.if 1 - %i >= 0 {
        loop.store %d, %y[%i] : f32, memref<3xf32>
      } else {
        loop.store %a, %y[%i] : f32, memref<3xf32>
      }
    }
  }
  func.func @main(%x: memref<40xf32>, %y: memref<3xf32> {buffer.output}) {
    loop.launch @k(%x, %y) : memref<40xf32>, memref<3xf32>
    func.return
  }"""


def test_branches_and_loops_that_do_not_run(rng):
    check(parse(CONTROL), [rng.standard_normal(40).astype(np.float32)], [((3,), np.float32)])


@pytest.mark.parametrize("kind", ["add", "mul", "max", "min"])
@pytest.mark.parametrize("lanes", [1, 5, 16, 19])
def test_folds_leave_out_unused_lanes(kind, lanes, rng):
    def fold(element):
        memref = f"memref<{lanes}x{element}>"
        return parse(f"""
          loop.kernel @k(%x: {memref}, %y: memref<{element}>) {{
            %v = loop.load %x[t0] : {memref} to vector<{lanes}x{element}>
            %s = loop.fold {kind} %v : vector<{lanes}x{element}> to {element}
            loop.store %s, %y[] : {element}, memref<{element}>
          }}
          func.func @main(%x: {memref}, %y: memref<{element}> {{buffer.output}}) {{
            loop.launch @k(%x, %y) : {memref}, memref<{element}>
            func.return
          }}""")

    x = -np.abs(rng.standard_normal(lanes)).astype(np.float32) - 1
    check(fold("f32"), [x], [((), np.float32)], rtol=1e-6)
    check(fold("i32"), [rng.integers(-9, -1, lanes).astype(np.int32)], [((), np.int32)])
    if kind in ("max", "min"):
        x[lanes // 2] = np.nan
        check(fold("f32"), [x], [((), np.float32)])


def test_indices_as_values_and_shuffles():
    module = parse("""
      loop.kernel @k(%y: memref<4x8xi32>, %z: memref<4x8xf32>, %s: memref<6xf32>) {
        loop.parallel %i = 0 to 4 {
          %v = loop.index %i * 10 + t0 * 3 - 5 : vector<8xi32>
          loop.store %v, %y[%i, t0] : vector<8xi32>, memref<4x8xi32>
          %w = loop.index %i + t0 floordiv 3 : vector<8xf32>
          loop.store %w, %z[%i, t0] : vector<8xf32>, memref<4x8xf32>
        }
        %a = loop.index t0 : vector<3xf32>
        %b = loop.index t0 + 10 : vector<5xf32>
        %c = loop.shuffle %a, %b [7, 0, 3, 2, 1, 4] : vector<3xf32>, vector<5xf32> to vector<6xf32>
        loop.store %c, %s[t0] : vector<6xf32>, memref<6xf32>
      }
      func.func @main(
          %y: memref<4x8xi32> {buffer.output}, %z: memref<4x8xf32> {buffer.output},
          %s: memref<6xf32> {buffer.output}) {
        loop.launch @k(%y, %z, %s) : memref<4x8xi32>, memref<4x8xf32>, memref<6xf32>
        func.return
      }""")
    check(module, [], [((4, 8), np.int32), ((4, 8), np.float32), ((6,), np.float32)])


GATHER = """
  loop.kernel @k(%x: memref<5xf32>, %n: memref<4xi64>, %y: memref<4xf32>) {
    loop.parallel %i = 0 to 4 {
      %v = loop.load %n[%i] : memref<4xi64>
      %j = loop.checked_index %v : i64 below 5
      %r = loop.load %x[%j] : memref<5xf32>
      loop.store %r, %y[%i] : f32, memref<4xf32>
    }
  }
  func.func @main(%x: memref<5xf32>, %n: memref<4xi64>, %y: memref<4xf32> {buffer.output}) {
    loop.launch @k(%x, %n, %y) : memref<5xf32>, memref<4xi64>, memref<4xf32>
    func.return
  }"""


def test_data_dependent_indices_are_checked(rng):
    module = parse(GATHER)
    x = rng.standard_normal(5).astype(np.float32)
    check(module, [x, np.array([4, 0, 2, 2])], [((4,), np.float32)])
    for wrong in (5, -1, 2**62):
        with pytest.raises(IndexOutOfRange, match="out of range") as error:
            run(module, [x, np.array([0, wrong, 1, 2])], [((4,), np.float32)])
        assert str(wrong) in str(error.value)
    check(module, [x, np.array([1, 1, 1, 3])], [((4,), np.float32)])


GRAPH = """
  loop.kernel @double(%x: memref<6xf32>, %y: memref<6xf32>) {
    loop.parallel %i = 0 to 6 {
      %v = loop.load %x[%i] : memref<6xf32>
      %d = arith.addf %v, %v : f32
      loop.store %d, %y[%i] : f32, memref<6xf32>
    }
  }
  func.func @main(
      %x: memref<6xf32> {pico.name = "x"},
      %out: memref<6xf32> {buffer.output, pico.name = "loss"}) {
    %arena = buffer.arena : memref<256xi8>
    %hidden = buffer.place %arena at 64 : memref<256xi8> to memref<6xf32>
    %c = buffer.constant dense<[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]> : memref<6xf32>
    %more = buffer.alloc : memref<6xf32>
    loop.launch @double(%x, %hidden) : memref<6xf32>, memref<6xf32>
    loop.launch @double(%hidden, %more) : memref<6xf32>, memref<6xf32>
    loop.launch @double(%c, %hidden) : memref<6xf32>, memref<6xf32>
    loop.launch @double(%hidden, %out) : memref<6xf32>, memref<6xf32>
    func.return
  }"""


def test_a_graph_is_one_function_with_readable_names():
    module = parse(GRAPH)
    (found,) = run(module, [np.zeros(6, np.float32)], [((6,), np.float32)])
    assert (found == [4, 8, 12, 16, 20, 24]).all()
    program = CpuDevice().load(module)
    assert program.launches == 4
    assert program.texts["ll"].count("define ") == 2  # one kernel for four launches, and main
    for text in (program.texts["ll"], program.texts["s"]):
        assert "# launch double(%x, %hidden)" in text
        assert "# launch double(%hidden, %loss)" in text
        assert "# kernel double" in text
        assert "# reads %x: memref<6xf32>" in text
        assert "# writes %y: memref<6xf32>" in text


def refuse(text, match):
    with pytest.raises(CompileError, match=match) as error:
        emit(parse(text))
    assert error.value.hint


def test_what_the_cpu_cannot_run_is_refused_with_a_remedy():
    refuse("loop.kernel @k() {}", "no @main")
    refuse("func.func @main() { loop.launch @gone() \n func.return }", "@gone")
    reduction = MATRIX.replace(
        "BODY",
        """%s = loop.reduce add %i = 0 to 7 : f32 {
        %v = loop.load %x[%i, 0] : memref<7x5xf32>
        loop.yield %v : f32 }""",
    )
    refuse(reduction, "loop.reduce")
    tile = MATRIX.replace("BODY", "%v = loop.load %x[t0, t1] : memref<7x5xf32> to vector<7x5xf32>")
    refuse(tile, "one axis")
    refuse(MATRIX.replace("BODY", "loop.barrier"), "loop.barrier")


def test_a_kernel_may_be_called_like_a_function_of_the_library(rng):
    module = elementwise("math.exp %v0 : RESULT", ["f32"], "f32", 20, 5)
    text = str(module).replace("@k", "@expf")
    x = rng.standard_normal(20).astype(np.float32)
    (found,) = run(parse(text), [x], [((20,), np.float32)])
    np.testing.assert_array_max_ulp(found, np.exp(x), maxulp=2)


@pytest.mark.parametrize("times", [2, 3, 4])
@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("upper", ["%n + 5", "min(%n + 9, 31)"])
def test_repeated_bodies_run_as_often_as_the_loop(times, step, upper):
    """From no iteration to several groups and each remainder, the order of the sums kept."""
    rng = np.random.default_rng(times * step)
    x = rng.standard_normal((40, 4)).astype(np.float32)
    module = parse(f"""
      loop.kernel @k(%x: memref<40x4xf32>, %y: memref<36x4xf32>) {{
        %zero = arith.constant 0.0 : f32
        %start = loop.broadcast %zero along [0] : f32 to vector<4xf32>
        loop.parallel %n = 0 to 36 {{
          %sum, %last = loop.for %k = 2 to {upper} step {step}
              carry (%s = %start : vector<4xf32>, %l = %start : vector<4xf32>)
              attributes {{repeat = {times} : i64}} {{
            %v = loop.load %x[%k, t0] : memref<40x4xf32> to vector<4xf32>
            %w = arith.subf %v, %s : vector<4xf32>
            loop.yield %w, %s : vector<4xf32>, vector<4xf32>
          }}
          %both = arith.addf %sum, %last : vector<4xf32>
          loop.store %both, %y[%n, t0] : vector<4xf32>, memref<36x4xf32>
        }}
      }}
      func.func @main(%x: memref<40x4xf32>, %y: memref<36x4xf32> {{buffer.output}}) {{
        loop.launch @k(%x, %y) : memref<40x4xf32>, memref<36x4xf32>
        func.return
      }}""")
    check(module, [x], [((36, 4), np.float32)])
