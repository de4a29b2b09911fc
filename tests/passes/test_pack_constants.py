"""pack_constants: weights are laid out in panels for the products that read them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.compiler.executable import compile_module
from picograd.compiler.pass_list import Pipeline
from picograd.compiler.pipelines import pipeline
from picograd.dialects import new_context
from picograd.errors import OptionError
from picograd.passes.pack_constants import PackConstants
from picograd.semantics.evaluate import entry_of, evaluate

RNG = np.random.default_rng(71)
AVX512 = "cpu:vector_bits=512,vector_registers=32,fma=true,memory_operands=true"


def packed(text: str, columns: int = 3) -> ModuleOp:
    """The module after the pass, which must mean what it meant, bit by bit."""
    module = parse_module(text)
    inputs = [
        RNG.standard_normal(argument.type.get_shape()).astype(np.float32)  # pyright: ignore
        for argument in entry_of(module).args
    ]
    expected = evaluate(module, inputs)
    PackConstants(columns=columns).apply(new_context(), module)
    verify_module(module)
    for array, wanted in zip(evaluate(module, inputs), expected, strict=True):
        np.testing.assert_array_equal(array, wanted)
    return module


def product(
    x: Sequence[int], w: Sequence[int], note: str = "{pico.kept}", dtype: str = "f32"
) -> str:
    """x @ w, the weight of which is noted."""
    a, b, c = (f"tensor<{'x'.join(map(str, shape))}x{dtype}>" for shape in (x, w, (*x[:-1], w[-1])))
    return f"""
        func.func @main(%x: {a}, %w: {b} {note}) -> {c} {{
          %y = pico.matmul %x, %w : {a}, {b} -> {c}
          func.return %y : {c}
        }}"""


def panels(module: ModuleOp) -> list[str]:
    """The shapes of what is laid out."""
    return [
        str(op.results[0].type).removeprefix("tensor<").removesuffix("xf32>")
        for op in module.walk()
        if "pico.laid_out" in op.attributes
    ]


def test_columns_that_fill_panels_need_no_zeros() -> None:
    module = packed(product((4, 5), (5, 6)))
    assert panels(module) == ["2x5x3"]
    assert "pad" not in str(module)
    assert "slice" not in str(module)


def test_what_is_missing_in_the_last_panel_is_zero() -> None:
    module = packed(product((4, 5), (5, 7)))
    assert panels(module) == ["3x5x3"]
    assert "high [0, 2]" in str(module)


@pytest.mark.parametrize("shape", [(1, 1), (5, 0), (0, 4), (1, 7), (3, 2)])
def test_shapes_at_the_edge(shape: tuple[int, int]) -> None:
    packed(product((2, shape[0]), shape))
    packed(product((0, shape[0]), shape))


def test_batches_of_weights_are_packed_one_by_one() -> None:
    assert panels(packed(product((2, 3, 4, 5), (2, 3, 5, 7)))) == ["2x3x3x5x3"]


def test_a_weight_that_is_repeated_is_packed_once() -> None:
    x, w, y = "tensor<2x4x5xf32>", "tensor<2x5x7xf32>", "tensor<2x4x7xf32>"
    module = packed(f"""
        func.func @main(%x: {x}, %w: tensor<5x7xf32> {{pico.kept}}) -> {y} {{
          %b = pico.broadcast %w to [2, 5, 7] : tensor<5x7xf32> -> {w}
          %y = pico.matmul %x, %b : {x}, {w} -> {y}
          func.return %y : {y}
        }}""")
    assert panels(module) == ["3x5x3"]


def test_what_follows_from_weights_and_constants_is_a_weight() -> None:
    module = packed("""
        func.func @main(%x: tensor<4x5xf32>, %w: tensor<7x5xf32> {pico.kept}) -> tensor<4x7xf32> {
          %half = pico.constant dense<0.5> : tensor<7x5xf32>
          %v = pico.binary mul %w, %half : tensor<7x5xf32>
          %t = pico.permute %v by [1, 0] : tensor<7x5xf32> -> tensor<5x7xf32>
          %y = pico.matmul %x, %t : tensor<4x5xf32>, tensor<5x7xf32> -> tensor<4x7xf32>
          func.return %y : tensor<4x7xf32>
        }""")
    assert panels(module) == ["3x5x3"]


def test_two_products_share_the_panels_of_a_weight() -> None:
    w = "tensor<5x5xf32>"
    module = packed(f"""
        func.func @main(%x: {w}, %w: {w} {{pico.kept}}) -> {w} {{
          %h = pico.matmul %x, %w {{at = "net.py:3"}} : {w}, {w} -> {w}
          %y = pico.matmul %h, %w {{at = "net.py:4"}} : {w}, {w} -> {w}
          func.return %y : {w}
        }}""")
    assert panels(module) == ["2x5x3"]
    *laid_out, last, _ = entry_of(module).body.block.ops
    assert all(op.attributes["at"] == laid_out[0].attributes["at"] for op in laid_out)
    assert last.attributes["at"] != laid_out[0].attributes["at"]
    assert "%w_panels = pico.permute" in str(module)


@pytest.mark.parametrize(
    "text",
    [
        product((4, 5), (5, 7), note=""),
        product((4, 5), (5, 7)).replace("%w: tensor<5x7xf32> {pico.kept}", "%w: tensor<5x7xf32>"),
        product((4, 5), (5, 7)).replace("%x: tensor<4x5xf32>", "%x: tensor<4x5xf32> {pico.kept}"),
    ],
    ids=["no note", "a weight that changes", "a product of weights, kept as a whole"],
)
def test_other_products_are_left_alone(text: str) -> None:
    assert not panels(packed(text))


def chosen(text: str, target: str = AVX512) -> list[str]:
    """What is laid out on a machine."""
    module = parse_module(text)
    PackConstants(target=target).apply(new_context(), module)
    verify_module(module)
    return panels(module)


def test_the_facts_say_what_pays() -> None:
    assert chosen(product((16, 512), (512, 512))) == ["11x512x48"]
    assert chosen(product((16, 512), (512, 512)), f"{AVX512},vector_bits=256") != ["11x512x48"]
    assert chosen(product((2, 512, 512), (2, 512, 500))) == ["2x8x512x64"]
    for text in (
        product((1, 512), (512, 512)),  # one stream of rows is as good
        product((4096, 512), (512, 512)),  # a copy is little work
        product((16, 8), (8, 16)),  # nothing to gain
        product((256, 512), (512, 4)),  # panels would be empty for the most part
        product((256, 512), (512, 512), dtype="i32"),
        product((256, 512), (512, 512), dtype="bf16"),
        product((0, 512), (512, 512)),
    ):
        assert not chosen(text)
    assert not chosen(product((16, 512), (512, 512)), "gpu")


def test_a_transposed_weight_pays_for_two_rows() -> None:
    def of(rows: int) -> str:
        return f"""
        func.func @main(%x: tensor<{rows}x512xf32>, %w: tensor<512x512xf32> {{pico.kept}}) -> tensor<{rows}x512xf32> {{
          %t = pico.permute %w by [1, 0] : tensor<512x512xf32> -> tensor<512x512xf32>
          %y = pico.matmul %x, %t : tensor<{rows}x512xf32>, tensor<512x512xf32> -> tensor<{rows}x512xf32>
          func.return %y : tensor<{rows}x512xf32>
        }}"""  # noqa: E501

    assert not chosen(of(1))
    assert chosen(of(2))
    assert not chosen(product((2, 512), (512, 512)))


def test_what_takes_more_than_three_times_the_memory_is_left_alone() -> None:
    """Halves that are converted take twice theirs, and more where the last panel is not full."""

    def of(columns: int) -> str:
        x, y = "tensor<16x512xf32>", f"tensor<16x{columns}xf32>"
        h, w = f"tensor<512x{columns}xf16>", f"tensor<512x{columns}xf32>"
        return f"""
        func.func @main(%x: {x}, %h: {h} {{pico.kept}}) -> {y} {{
          %w = pico.cast %h to f32 : {h} -> {w}
          %y = pico.matmul %x, %w : {x}, {w} -> {y}
          func.return %y : {y}
        }}"""

    assert chosen(of(480)) == ["10x512x48"]
    assert chosen(of(481)) == ["11x512x48"]
    assert not chosen(of(18))


def on_the_left(
    columns: int, how: str = "permute", dtype: str = "f32", batch: str = "", least: int = 256
) -> str:
    """A product whose left operand comes of a weight."""
    w, x = f"tensor<{least}x512x{dtype}>", f"tensor<{batch}{least}x{columns}xf32>"
    y = f"tensor<{batch}512x{columns}xf32>"
    turned = f"tensor<512x{least}x{dtype}>"
    lines = [f"%t = pico.permute %w by [1, 0] : {w} -> {turned}"]
    value = "%t"
    if how == "view":
        w, lines, value = turned, [], "%w"
    if dtype != "f32":
        lines.append(f"%c = pico.cast {value} to f32 : {turned} -> tensor<512x{least}xf32>")
        value = "%c"
    if batch:
        wide = f"tensor<{batch}512x{least}xf32>"
        shape = ", ".join([*batch.strip("x").split("x"), "512", str(least)])
        lines.append(
            f"%b = pico.broadcast {value} to [{shape}] : tensor<512x{least}xf32> -> {wide}"
        )
        value = "%b"
    left = f"tensor<{batch}512x{least}xf32>"
    return f"""
        func.func @main(%x: {x}, %w: {w} {{pico.kept}}) -> {y} {{
          {" ".join(lines)}
          %y = pico.matmul {value}, %x : {left}, {x} -> {y}
          func.return %y : {y}
        }}"""


def test_left_operands_are_kept_where_they_do_not_lie_row_by_row() -> None:
    rows = "512x256"
    assert chosen(on_the_left(2)) == chosen(on_the_left(255)) == [rows]
    assert chosen(on_the_left(9, "view", "f16")) == chosen(on_the_left(9, dtype="bf16")) == [rows]
    assert chosen(on_the_left(9, batch="3x")) == [rows]
    for text in (
        on_the_left(9, "view"),  # as good as it lies
        on_the_left(1),  # a vector is multiplied column by column
        on_the_left(256),
        on_the_left(100, batch="3x"),  # so many columns in all
        on_the_left(4, least=16),  # done in microseconds
    ):
        assert not chosen(text)
    assert not chosen(on_the_left(9), "gpu")
    assert chosen(on_the_left(9).replace(" {pico.kept}", "")) == []


def test_what_is_kept_of_a_left_operand_means_the_same() -> None:
    for text in (on_the_left(3, least=16), on_the_left(3, dtype="f16", batch="2x", least=16)):
        module = parse_module(text)
        inputs = [
            RNG.standard_normal(argument.type.get_shape()).astype(dtype)  # pyright: ignore
            for argument, dtype in zip(
                entry_of(module).args, ("f4", "f2" if "f16" in text else "f4"), strict=True
            )
        ]
        expected = evaluate(module, inputs)
        PackConstants(columns=3).apply(new_context(), module)
        before = str(module)
        assert panels(module) == ["512x16"]
        PackConstants(columns=3).apply(new_context(), module)
        assert str(module) == before
        np.testing.assert_array_equal(evaluate(module, inputs), expected)


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_products_of_packed_weights_are_right(bits: int, rng: np.random.Generator) -> None:
    """Through the whole pipeline, for all widths, with columns around the edges of tiles."""
    machine = f"cpu:vector_bits={bits},vector_registers={32 if bits == 512 else 16}"
    steps = pipeline("cpu").aimed_at(f"{machine},l1_bytes=2048,l2_bytes=16384,l3_bytes=65536")
    steps = Pipeline(replace(s, least=0) if isinstance(s, PackConstants) else s for s in steps)
    for rows, depth, columns in ((9, 17, 63), (16, 33, 65), (37, 8, 130)):
        text = product((2, rows, depth), (2, depth, columns))
        x, w = (
            rng.standard_normal(shape, np.float32)
            for shape in ((2, rows, depth), (2, depth, columns))
        )
        executable = compile_module(parse_module(text), "cpu", passes=steps)
        assert executable.report.bytes_kept
        buffers = [executable.device.upload(array) for array in (x, w)]
        (y,) = (executable.device.download(buffer) for buffer in executable.run(buffers))
        exact = x.astype(np.float64) @ w
        np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-4)


def test_a_negative_width_is_an_error() -> None:
    with pytest.raises(OptionError, match="so many columns") as error:
        packed(product((4, 5), (5, 7)), columns=-1)
    assert error.value.code == "PG703"
