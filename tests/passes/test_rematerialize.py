"""rematerialize: cheap values are computed again where they are read late; nothing else is."""

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.compiler.executable import compile_module
from picograd.compiler.pipelines import pipeline
from picograd.dialects import new_context
from picograd.passes.base import Level
from picograd.passes.fuse import Fuse
from picograd.passes.lower_kernels_to_buffers import LowerKernelsToBuffers
from picograd.passes.outline_kernels import OutlineKernels
from picograd.passes.plan_buffers import plan
from picograd.passes.rematerialize import Rematerialize
from picograd.semantics.evaluate import entry_of, evaluate

RNG = np.random.default_rng(53)
T = "tensor<8x8xf32>"
M = f"{T}, {T} -> {T}"
SIZE = 80


def program(middle: str, late: str, results: str = "%e", types: str = T) -> str:
    """`middle` computes from a product %h; much is alive behind it; `late` reads what it made."""
    return f"""
        func.func @main(%w: {T}, %u: tensor<8x32xf32>, %v: tensor<32x8xf32>) -> ({types}) {{
          %h = pico.matmul %w, %w : {M}
          {middle}
          %a = pico.matmul %y, %u : {T}, tensor<8x32xf32> -> tensor<8x32xf32>
          %b = pico.matmul %a, %v : tensor<8x32xf32>, tensor<32x8xf32> -> {T}
          %c = pico.matmul %b, %w : {M}
          {late}
          func.return {results} : {types}
        }}"""


EXP = f"%y = pico.unary exp %h : {T}"
BACK = f"%d = pico.matmul %c, %y : {M}\n%e = pico.binary mul %d, %h : {T}"


def again(text: str, most_work: int = 64) -> ModuleOp:
    """The module after the pass, which must mean what it meant, bit by bit."""
    module = parse_module(text)
    inputs = [
        RNG.standard_normal(argument.type.get_shape()).astype(np.float32)  # pyright: ignore
        for argument in entry_of(module).args
    ]
    expected = evaluate(module, inputs)
    Rematerialize(above=0, most_work=most_work).apply(new_context(), module)
    verify_module(module)
    for array, wanted in zip(evaluate(module, inputs), expected, strict=True):
        np.testing.assert_array_equal(array, wanted)
    return module


def count(module: ModuleOp, op: str) -> int:
    return str(module).count(f"pico.{op}")


def test_a_cheap_value_is_computed_again_before_its_late_reader() -> None:
    module = again(program(EXP, BACK))
    names = [op.name.removeprefix("pico.") for op in entry_of(module).body.block.ops]
    assert names == [
        *("matmul", "unary", "matmul", "matmul", "matmul"),
        *("unary", "matmul", "binary", "func.return"),
    ]
    assert [value.name_hint for op in module.walk() for value in op.results].count("y") == 2


def test_chains_are_computed_again_from_what_is_kept() -> None:
    chain = f"%s = pico.binary mul %h, %h : {T}\n%t = pico.unary neg %s : {T}\n" + EXP
    module = again(program(chain.replace("exp %h", "exp %t"), BACK))
    assert (count(module, "unary neg"), count(module, "unary exp")) == (2, 2)
    assert count(module, "binary mul") == 3


def test_all_late_readers_share_one_copy() -> None:
    late = BACK + f"\n%f = pico.binary add %e, %y : {T}\n%g = pico.binary mul %f, %h : {T}"
    assert count(again(program(EXP, late, "%g")), "unary exp") == 2


def test_values_are_seen_through_views() -> None:
    late = (
        f"%z = pico.permute %y by [1, 0] : {T} -> {T}\n%d = pico.matmul %c, %z : {M}\n"
        f"%e = pico.binary mul %d, %h : {T}"
    )
    assert count(again(program(EXP, late)), "unary exp") == 2
    module = again(
        program(EXP + f"\n%z = pico.permute %y by [1, 0] : {T} -> {T}", late[late.index("\n") :])
    )
    assert (count(module, "unary exp"), count(module, "permute")) == (2, 2)


@pytest.mark.parametrize(
    ("middle", "late"),
    [
        # what it is computed from is gone by then
        (EXP, f"%d = pico.matmul %c, %y : {M}\n%e = pico.unary neg %d : {T}"),
        # a product
        (f"%y = pico.matmul %h, %h : {M}", BACK),
    ],
    ids=["no source", "product"],
)
def test_what_saves_nothing_stays(middle: str, late: str) -> None:
    text = program(middle, late)
    assert str(again(text)) == str(parse_module(text))


def test_what_is_read_at_once_stays() -> None:
    text = program(EXP, f"%e = pico.binary mul %c, %h : {T}").replace("%b, %w", "%b, %y")
    assert str(again(text)) == str(parse_module(text))


def test_results_are_kept_for_they_have_memory_of_their_own() -> None:
    text = program(EXP, BACK, "%e, %y", f"{T}, {T}")
    assert str(again(text)) == str(parse_module(text))


def test_costly_values_and_small_programs_are_left_alone() -> None:
    text = program(EXP, BACK)
    assert str(again(text, most_work=11)) == str(parse_module(text))
    module = parse_module(text)
    Rematerialize().apply(new_context(), module)
    assert str(module) == str(parse_module(text))


def test_random_bits_are_drawn_once() -> None:
    middle = f"""%k = pico.constant dense<[7, 8, 9, 10]> : tensor<4xi32>
      %bits = pico.random_bits %k to [8, 8] : tensor<4xi32> -> tensor<8x8xi32>
      %r = pico.cast %bits to f32 : tensor<8x8xi32> -> {T}
      %y = pico.binary mul %h, %r : {T}"""
    late = BACK + f"\n%f = pico.binary mul %e, %r : {T}"
    assert count(again(program(middle, late, "%f")), "random_bits") == 1


def layers(number: int, slope: str = "s") -> str:
    """A perceptron's forward pass and the gradient of its input: each layer keeps a value.

    They are too large to be joined for a launch alone. `slope` is what the gradient is multiplied
    with: what a layer computes again is read by a product alone if that is `h`, which is kept.
    """
    lines: list[str] = []
    for n in range(number):
        lines += [
            f"%h{n} = pico.matmul %x{n}, %w : {M}",
            f"%s{n} = pico.unary erf %h{n} : {T}",
            f"%x{n + 1} = pico.binary mul %h{n}, %s{n} : {T}",
        ]
    lines.append(f"%g{number} = pico.unary neg %x{number} : {T}")
    for n in reversed(range(number)):
        lines += [
            f"%a{n} = pico.binary mul %g{n + 1}, %{slope}{n} : {T}",
            f"%b{n} = pico.binary mul %a{n}, %h{n} : {T}",
            f"%c{n} = pico.matmul %b{n}, %w : {M}",
            f"%d{n} = pico.matmul %x{n + 1}, %c{n} : {M}",
            f"%g{n} = pico.binary add %c{n}, %d{n} : {T}",
        ]
    body = "\n".join(lines)
    text = f"func.func @main(%x0: {T}, %w: {T}) -> {T} {{\n{body}\nfunc.return %g0 : {T}\n}}"
    return text.replace(T, f"tensor<{SIZE}x{SIZE}xf32>")


@pytest.mark.parametrize("slope", ["s", "h"])
def test_fusion_leaves_what_is_computed_again_where_it_is(slope: str) -> None:
    """Of what each layer keeps, one value is left, in the plan of memory too."""
    kept: list[int] = []
    for steps in ([], [Rematerialize(above=0)]):
        module = parse_module(layers(6, slope))
        for step in (*steps, OutlineKernels(), Fuse(keep=0), LowerKernelsToBuffers()):
            step.apply(new_context(), module)
            verify_module(module)
        kept.append(plan(module).bytes_planned // (4 * SIZE * SIZE))
    assert kept[0] >= 2 * 6 and kept[1] <= 6 + 4


def test_fusion_moves_what_is_computed_again_where_little_is_kept() -> None:
    module = parse_module(layers(6, "h"))
    for step in (Rematerialize(above=0), OutlineKernels(), Fuse(), LowerKernelsToBuffers()):
        step.apply(new_context(), module)
    assert (
        plan(module).bytes_planned // (4 * SIZE * SIZE) >= 2 * 6
    )  # of a small program, traffic counts


def test_the_cpu_computes_the_same_with_and_without() -> None:
    inputs = [0.1 * RNG.standard_normal((SIZE, SIZE)).astype(np.float32) for _ in range(2)]
    expected = evaluate(parse_module(layers(4)), inputs, precision="float64")[0]
    steps = pipeline("cpu").replace("rematerialize", Rematerialize(above=0))
    executable = compile_module(parse_module(layers(4)), "cpu", passes=steps)
    assert str(executable.module(Level.TENSOR)).count("unary erf") == 7
    device = executable.device
    found = device.download(executable.run([device.upload(array) for array in inputs])[0])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
