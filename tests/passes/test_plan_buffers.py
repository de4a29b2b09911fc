"""plan_buffers: no two live buffers overlap, and memory is used again."""

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from picograd.compiler.diagnostics import parse_module
from picograd.dialects import new_context
from picograd.dialects.buffer import ArenaOp
from picograd.errors import OptionError
from picograd.passes.lower_kernels_to_buffers import LowerKernelsToBuffers
from picograd.passes.outline_kernels import OutlineKernels
from picograd.passes.plan_buffers import MemoryPlan, PlanBuffers, plan
from picograd.semantics.evaluate import evaluate

RNG = np.random.default_rng(24)


def random_graph(rng: np.random.Generator, length: int) -> str:
    """A function of adds and concats over vectors of different sizes, with far-reaching reads."""
    lines, values = [], [("%x", 3)]
    for number in range(length):
        a, size_a = values[rng.integers(max(0, len(values) - 6), len(values))]
        b, size_b = values[rng.integers(0, len(values))]
        if size_a == size_b:
            line = f"pico.binary add {a}, {b} : tensor<{size_a}xf32>"
            size = size_a
        else:
            size = size_a + size_b
            types = f"tensor<{size_a}xf32>, tensor<{size_b}xf32>"
            line = f"pico.concat {a}, {b} axis 0 : {types} -> tensor<{size}xf32>"
        if size > 500:
            size = 1 + number % 40
            (a, size_a) = max(values[-8:], key=lambda v: v[1])
            size = min(size, size_a)
            types = f"tensor<{size_a}xf32> -> tensor<{size}xf32>"
            line = f"pico.slice {a} from [0] to [{size}] step [1] : {types}"
        lines.append(f"  %v{number} = {line}")
        values.append((f"%v{number}", size))
    last, size = values[-1]
    return (
        f"func.func @main(%x: tensor<3xf32>) -> tensor<{size}xf32> {{\n"
        + "\n".join(lines)
        + f"\n  func.return {last} : tensor<{size}xf32>\n}}"
    )


def at_buffer_level(text: str) -> ModuleOp:
    module = parse_module(text)
    OutlineKernels().apply(new_context(), module)
    LowerKernelsToBuffers().apply(new_context(), module)
    return module


def check(found: MemoryPlan, alignment: int) -> None:
    """Live buffers do not overlap, offsets are aligned, and the sums are right."""
    for i, a in enumerate(found.buffers):
        assert a.offset % alignment == 0 and a.size % alignment == 0
        for b in found.buffers[:i]:
            together = a.first <= b.last and b.first <= a.last
            apart = a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
            assert apart or not together, f"{a} overlaps {b}"
    assert found.bytes_unplanned == sum(b.size for b in found.buffers)
    assert found.bytes_planned == max((b.offset + b.size for b in found.buffers), default=0)


@pytest.mark.parametrize(("target", "alignment"), [("cpu", 64), ("gpu", 256)])
@pytest.mark.parametrize("length", [1, 7, 60])
def test_live_buffers_do_not_overlap(target: str, alignment: int, length: int) -> None:
    for seed in range(5):
        text = random_graph(np.random.default_rng(seed), length)
        module = at_buffer_level(text)
        before = plan(module, target)
        check(before, alignment)
        PlanBuffers(target=target).apply(new_context(), module)
        module.verify()
        assert plan(module, target).bytes_planned == before.bytes_planned
        x = RNG.normal(size=3).astype(np.float32)
        (expected,), (found,) = evaluate(parse_module(text), [x]), evaluate(module, [x])
        assert np.array_equal(expected, found)


def test_a_chain_needs_two_buffers_however_long_it_is() -> None:
    body = "\n".join(f"%v{i + 1} = pico.unary neg %v{i} : tensor<100xf32>" for i in range(20))
    text = f"""func.func @main(%v0: tensor<100xf32>) -> tensor<100xf32> {{
      {body}
      func.return %v20 : tensor<100xf32>
    }}"""
    found = plan(at_buffer_level(text))
    assert len(found.buffers) == 19
    assert found.bytes_planned == 2 * 448 and found.bytes_unplanned == 19 * 448
    assert "19 buffers" in str(found) and "%v1" in str(found)


def test_a_gpu_stores_bools_in_words() -> None:
    text = """
      func.func @main(%x: tensor<100xf32>) -> tensor<100xf32> {
        %c = pico.compare lt %x, %x : tensor<100xf32> -> tensor<100xi1>
        %y = pico.select %c, %x, %x : tensor<100xi1>, tensor<100xf32>
        func.return %y : tensor<100xf32>
      }"""
    module = at_buffer_level(text)
    assert plan(module, "cpu").bytes_planned == 128
    assert plan(module, "gpu").bytes_planned == 512


def test_what_is_placed_keeps_its_place() -> None:
    module = at_buffer_level(random_graph(np.random.default_rng(1), 20))
    PlanBuffers().apply(new_context(), module)
    before = str(module)
    PlanBuffers().apply(new_context(), module)
    assert str(module) == before


def test_no_intermediates_no_arena() -> None:
    text = """func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
      %y = pico.unary exp %x : tensor<3xf32>
      func.return %y : tensor<3xf32>
    }"""
    module = at_buffer_level(text)
    PlanBuffers().apply(new_context(), module)
    assert not [op for op in module.walk() if isinstance(op, ArenaOp)]
    assert plan(module) == MemoryPlan((), 0, 0)


def test_an_unknown_target_is_an_error() -> None:
    with pytest.raises(OptionError, match="target"):
        PlanBuffers(target="tpu").apply(new_context(), ModuleOp([]))
