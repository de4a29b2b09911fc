"""A program's kernels, cut out: they are those of the program, and compute what it does."""

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

import picograd as torch
from picograd import Tensor, nn
from picograd.compiler.diagnostics import parse_module, verify_module
from picograd.compiler.driver import run_pipeline
from picograd.compiler.in_parts import run_in_parts
from picograd.compiler.pipelines import pipeline
from picograd.dialects.dtypes import from_ir, type_of
from picograd.errors import PipelineError
from picograd.passes.choose_schedules import digest_of
from picograd.passes.rewriting.loops import kernels
from picograd.semantics.bounds import analyse, judge
from picograd.semantics.evaluate import entry_of, evaluate
from picograd.study.tuning.cut_kernels import cut_kernels, split

STEPS = pipeline("cpu")

TABLE = """
func.func @main(%x: tensor<5x3xf32>) -> tensor<5x3xf32> {
  %table = pico.constant dense<[[1.5, -2.0, 0.25]]> : tensor<1x3xf32>
  %t = pico.broadcast %table to [5, 3] : tensor<1x3xf32> -> tensor<5x3xf32>
  %y = pico.binary add %x, %t : tensor<5x3xf32>
  func.return %y : tensor<5x3xf32>
}"""


def training_step() -> ModuleOp:
    model = nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 5), nn.GELU(), nn.Linear(5, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

    def step(x: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    x, labels = torch.randn(4, 6), torch.randint(0, 3, (4,))
    return torch.compile(step, "cpu").trace(x, labels).module


@pytest.mark.parametrize("module", [training_step(), parse_module(TABLE)], ids=["step", "table"])
def test_cut_kernels_are_those_of_the_program(module: ModuleOp, rng: np.random.Generator) -> None:
    before = str(module)
    found = cut_kernels(module, STEPS)
    assert str(module) == before
    to_buffers, to_loops, _ = split(STEPS)
    whole = module.clone()
    run_pipeline(whole, [*to_buffers, *to_loops])
    assert [digest_of(kernel) for kernel in kernels(whole)] == [cut.digest for cut in found]
    launches = sum(op.name == "loop.launch" for op in entry_of(whole).walk())
    assert sum(cut.launches for cut in found) == launches
    for cut in found:
        verify_module(cut.loops)
        verify_module(cut.tensors)
        function = entry_of(cut.tensors)
        inputs = [
            rng.uniform(0.5, 1.5, type_of(arg).get_shape()).astype(dtype.numpy)
            if (dtype := from_ir(type_of(arg).element_type)).is_float
            else rng.integers(0, 2, type_of(arg).get_shape()).astype(dtype.numpy)
            for arg in function.args
        ]
        results = evaluate(cut.loops, inputs)
        types = list(function.function_type.outputs)
        comparison = judge(analyse(cut.tensors, inputs), types, results)  # type: ignore
        assert comparison.excesses == 0, f"{cut.name}: {comparison}"


def test_kernels_read_what_is_computed_once() -> None:
    """Choices are found for the kernels that calls run, and so are known by their digests."""
    linear = nn.Linear(70, 96)
    with torch.no_grad():
        module = torch.compile(lambda x: linear(x), "cpu").trace(torch.randn(64, 70)).module
    way = module.clone()
    to_buffers, to_loops, _ = split(STEPS)
    assert run_in_parts(way, [*to_buffers, *to_loops]).rest is not None
    (cut,) = cut_kernels(module, STEPS)
    assert [digest_of(kernel) for kernel in kernels(way)] == [cut.digest]
    assert "tensor<96x70xf32>" not in str(cut.tensors)


def test_equal_layers_are_one_kernel() -> None:
    def layers(x: Tensor, weights: Tensor) -> Tensor:
        for _ in range(3):
            x = (x @ weights).tanh()
        return x

    module = torch.compile(layers, "cpu").trace(torch.zeros(8, 8), torch.zeros(8, 8)).module
    (cut,) = cut_kernels(module, STEPS)
    assert cut.launches == 3


def test_a_program_without_buffers_ahead_is_refused() -> None:
    module = parse_module(TABLE)
    for steps in (STEPS[-3:], (), pipeline("gpu")):
        with pytest.raises(PipelineError, match="do not show where schedules begin") as caught:
            cut_kernels(module, steps)
        assert caught.value.hint
