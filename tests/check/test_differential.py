"""Differential runs find nothing where nothing is wrong, else the guilty kernel or pass."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, ModuleOp, f32
from xdsl.rewriter import Rewriter

import picograd as torch
from picograd.check.differential import run_on
from picograd.compiler.pipelines import pipeline
from picograd.dialects import loop
from picograd.dialects.buffer import PlaceOp
from picograd.dialects.tensor import BinaryKind, BinaryOp
from picograd.errors import OptionError
from picograd.frontend.tracing.compiled import Traced
from picograd.nn import functional as F
from picograd.passes import Level, Pass

DEVICES = ["reference", "cpu", pytest.param("gpu", marks=pytest.mark.gpu)]


@pytest.fixture(scope="module")
def traced() -> Traced:
    """A training step with labels, a product, a softmax and an update."""
    rng = np.random.default_rng(11)
    torch.set_default_device("reference")
    x = torch.tensor(rng.standard_normal((9, 6)).astype(np.float32))
    w = torch.tensor(rng.standard_normal((4, 6)).astype(np.float32)).requires_grad_()
    labels = torch.tensor(rng.integers(0, 4, 9))

    def step(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        w.grad = None
        hidden = F.linear(x, w).tanh() - x[:, :4]
        loss = F.cross_entropy(hidden, labels)
        loss.backward()
        with torch.no_grad():
            gradient = w.grad
            assert gradient is not None
            w.sub_(gradient * 0.1)
        return loss

    traced = torch.compile(step).trace(x, labels)
    torch.set_default_device(None)
    return traced


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mode", ["cached", "graph", "compiled"])
def test_devices_agree_in_every_mode(traced: Traced, device: str, mode: str) -> None:
    outcome = run_on(device, traced.module, traced.inputs, mode=mode)
    assert outcome.ok, outcome.explain()
    assert outcome.explain() == f"{device}: every value lies within its budget"
    assert len(outcome.steps) > 3 and outcome.elements > 50
    assert 0 < outcome.used <= 1


def test_a_pass_may_be_left_out(traced: Traced) -> None:
    outcome = run_on(
        "cpu", traced.module, traced.inputs, passes_off=["fuse", "plan_buffers", "tile_loops"]
    )
    fused = run_on("cpu", traced.module, traced.inputs)
    assert outcome.ok and len(outcome.steps) > len(fused.steps)


@pytest.mark.parametrize(
    ("name", "message"),
    [("fuze", "has no pass 'fuze'"), ("outline_kernels", "cannot do without 'outline_kernels'")],
)
def test_what_cannot_be_left_out(traced: Traced, name: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        run_on("cpu", traced.module, traced.inputs, passes_off=[name])


def test_an_unknown_mode(traced: Traced) -> None:
    with pytest.raises(OptionError, match="no mode 'fast'"):
        run_on("cpu", traced.module, traced.inputs, mode="fast")


@dataclass(frozen=True)
class SwapSubtraction(Pass):
    """Wrong: turns a - b into b - a in tensors."""

    name: ClassVar[str] = "swap_subtraction"
    level_in: ClassVar[Level] = Level.TENSOR
    level_out: ClassVar[Level] = Level.TENSOR

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        found = [
            inner
            for inner in op.walk()
            if isinstance(inner, BinaryOp) and inner.kind.data is BinaryKind.SUB
        ]
        Rewriter.replace_op(found[0], BinaryOp("sub", found[0].b, found[0].a))


def test_a_wrong_pass_above_the_kernels_is_named(traced: Traced) -> None:
    passes = pipeline("cpu").after("canonicalize", SwapSubtraction())
    outcome = run_on("cpu", traced.module, traced.inputs, passes=passes)
    assert not outcome.ok
    assert outcome.first_divergence is None, "each kernel does what the wrong module says"
    assert outcome.suspect == "swap_subtraction"
    assert "after the pass swap_subtraction the module means something else" in outcome.explain()


@dataclass(frozen=True)
class NudgeProducts(Pass):
    """Wrong by little: multiplies by b * 1.0002 where a kernel multiplies by b."""

    name: ClassVar[str] = "nudge_products"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    kernel: str = ""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in op.ops:
            if isinstance(kernel, loop.KernelOp) and self.kernel in kernel.sym_name.data:
                for product in [one for one in kernel.walk() if isinstance(one, arith.MulfOp)]:
                    factor = arith.ConstantOp(FloatAttr(1.0002, f32))
                    wrong = arith.MulfOp(product.rhs, factor)
                    Rewriter.replace_op(
                        product,
                        [factor, wrong, arith.MulfOp(product.lhs, wrong)],
                    )


def test_a_wrong_kernel_is_named_with_values_and_line(traced: Traced) -> None:
    passes = pipeline("cpu").after("lower_buffers_to_loops", NudgeProducts("matmul"))
    outcome = run_on("cpu", traced.module, traced.inputs, passes=passes)
    step = outcome.first_divergence
    assert step is not None and not outcome.ok
    assert step.label == "matmul"
    assert step is outcome.steps[0]
    text = outcome.explain()
    assert "first divergence" in text and "test_differential.py:" in text
    assert "matmul" in text and "expected:" in text and "times the budget" in text


@dataclass(frozen=True)
class OverlapBuffers(Pass):
    """Wrong: moves every buffer to the start of the arena."""

    name: ClassVar[str] = "overlap_buffers"
    level_in: ClassVar[Level] = Level.LOOP
    level_out: ClassVar[Level] = Level.LOOP

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for place in [one for one in op.walk() if isinstance(one, PlaceOp)]:
            new = PlaceOp(place.arena, 0, place.result.type)
            Rewriter.replace_op(place, new)


def test_a_wrong_memory_plan_shows_in_the_results_only() -> None:
    torch.set_default_device("reference")
    x = torch.tensor(np.random.default_rng(3).standard_normal((5, 5)).astype(np.float32))
    traced = torch.compile(lambda x: (x.exp() @ x) + (x @ x).tanh() @ x.abs()).trace(x)
    torch.set_default_device(None)
    passes = pipeline("cpu").without("fuse", "reuse_in_place")
    assert run_on("cpu", traced.module, traced.inputs, passes=passes).ok
    passes = passes.after("lower_buffers_to_loops", OverlapBuffers())
    outcome = run_on("cpu", traced.module, traced.inputs, passes=passes)
    assert not outcome.ok and outcome.first_divergence is None
    assert "--passes-off plan_buffers" in outcome.explain()
