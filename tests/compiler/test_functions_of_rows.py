"""Functions of rows on the CPU: how many kernels they are, and right at the edges of tiles."""

from collections.abc import Callable

import numpy as np
import pytest

import picograd as pg
from picograd.compiler.diagnostics import parse_module
from picograd.compiler.pipelines import pipeline
from picograd.dialects import loop
from picograd.passes.loops.scalar_loops import scalar_hot_loops
from tests.check.test_properties import narrowed

Function = Callable[..., pg.Tensor]

WIDTHS = (128, 256, 512)
EDGES = (1, 2, 15, 17, 63, 65, 127, 128, 129, 257)
"""Rows next to the lanes of a vector, and to the tiles of sums (4 or 8 vectors) of these widths."""


def softmax(x: np.ndarray) -> np.ndarray:
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def layer_norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


FUNCTIONS: dict[str, tuple[Function, Callable[[np.ndarray], np.ndarray]]] = {
    "softmax": (lambda x: pg.softmax(x, -1), softmax),
    "layer_norm": (lambda x: pg.nn.functional.layer_norm(x, (x.shape[-1],)), layer_norm),
    "variance": (lambda x: x.var(-1, correction=0), lambda x: x.var(-1)),
    "column sum": (lambda x: x.sum(0), lambda x: x.sum(0)),
}


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_kernel_right_at_every_edge(name: str, bits: int, rng: np.random.Generator) -> None:
    function, exact = FUNCTIONS[name]
    for columns in EDGES[WIDTHS.index(bits) :: len(WIDTHS)]:
        compiled = pg.compile(function, passes=narrowed(pipeline("cpu"), f"cpu:vector_bits={bits}"))
        x = rng.normal(size=(9, columns)).astype(np.float32)
        found = compiled(pg.tensor(x)).numpy()
        np.testing.assert_allclose(
            found, exact(x.astype(np.float64)), rtol=1e-5, atol=2e-6, err_msg=f"{columns}"
        )
        assert compiled.report.kernels == 1
        module = parse_module(compiled.ir("loop"))
        for kernel in module.ops:
            # Of a last column alone there is nothing beside each other.
            if isinstance(kernel, loop.KernelOp) and "column" not in name:
                assert scalar_hot_loops(kernel) == []


def test_a_row_that_is_not_a_number_stays_alone(rng: np.random.Generator) -> None:
    x = rng.normal(size=(5, 200)).astype(np.float32)
    x[1, 150], x[2, 3], x[3, :] = np.nan, np.inf, -np.inf
    found = pg.compile(lambda t: pg.softmax(t, -1))(pg.tensor(x)).numpy()
    assert np.isnan(found[1:4]).all()
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(found[[0, 4]], softmax(x[[0, 4]].astype(np.float64)), rtol=1e-5)


def test_cross_entropy_and_its_gradient_read_the_scores_in_one_kernel(
    rng: np.random.Generator,
) -> None:
    """Three kernels, as few as the data flow allows: how many labels count is known before the
    first row's gradient, which is divided by that; and the loss is a sum over all rows.
    """

    def loss_and_gradient(x: pg.Tensor, labels: pg.Tensor) -> tuple[pg.Tensor, pg.Tensor]:
        scores = x.detach().requires_grad_()
        loss = pg.nn.functional.cross_entropy(scores, labels)
        loss.backward()
        assert scores.grad is not None
        return loss.detach(), scores.grad

    x = rng.normal(size=(300, 129)).astype(np.float32)
    labels = rng.integers(0, 129, 300)
    labels[7] = -100
    compiled = pg.compile(loss_and_gradient)
    loss, gradient = compiled(pg.tensor(x), pg.tensor(labels))
    assert compiled.report.kernels == 3
    kernels = [op for op in parse_module(compiled.ir("loop")).ops if isinstance(op, loop.KernelOp)]
    wide = "memref<300x129xf32>"
    assert sum(any(str(a.type) == wide for a in k.body.block.args) for k in kernels) == 1

    counts = labels != -100
    chances = softmax(x.astype(np.float64))
    one_hot = np.eye(129)[np.where(counts, labels, 0)]
    exact = (chances - one_hot) * counts[:, None] / counts.sum()
    picked = np.log(chances[np.arange(300), np.where(counts, labels, 0)])
    np.testing.assert_allclose(gradient.numpy(), exact, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(loss.numpy(), -picked[counts].mean(), rtol=1e-5)
