"""Initial values, and the helpers of torch.nn.utils."""

from __future__ import annotations

from math import inf, sqrt
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd import nn
from picograd.errors import OptionError, ShapeError


def test_distributions() -> None:
    torch.manual_seed(0)
    weight = torch.zeros(60, 40)
    expected = {
        nn.init.xavier_normal_: sqrt(2 / 100),
        nn.init.kaiming_normal_: sqrt(2 / 40),
        nn.init.xavier_uniform_: sqrt(2 / 100),
        nn.init.kaiming_uniform_: sqrt(2 / 40),
    }
    for function, deviation in expected.items():
        values = function(weight).numpy()
        assert abs(values.std() / deviation - 1) < 0.05 and abs(values.mean()) < 0.1 * deviation
    out = nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu").numpy()
    assert abs(out.std() / sqrt(2 / 60) - 1) < 0.05
    cut = nn.init.trunc_normal_(weight, 1.0, 2.0, 0.0, 2.0).numpy()
    assert cut.min() >= 0 and cut.max() <= 2 and abs(cut.mean() - 1) < 0.05


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 3)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weight = nn.init.orthogonal_(torch.zeros(*shape, dtype=torch.float64), 2.0).numpy()
    flat = weight.reshape(shape[0], -1)
    flat = flat if flat.shape[0] <= flat.shape[1] else flat.T
    np.testing.assert_allclose(flat @ flat.T, 4 * np.eye(len(flat)), atol=1e-6)


def test_seeds_repeat_them() -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(4)
        drawn.append(nn.init.orthogonal_(torch.zeros(3, 3)).tolist())
    assert drawn[0] == drawn[1]
    assert nn.init.eye_(torch.ones(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu"])
def test_gains_are_those_of_pytorch(name: str) -> None:
    theirs = pytest.importorskip("torch", reason="gains are compared with PyTorch's")
    assert nn.init.calculate_gain(name) == pytest.approx(theirs.nn.init.calculate_gain(name))


def test_errors() -> None:
    with pytest.raises(OptionError, match="no gain is known"):
        nn.init.calculate_gain("relu7")
    with pytest.raises(OptionError, match="one of two directions"):
        nn.init.kaiming_normal_(torch.zeros(2, 2), mode="fan")
    with pytest.raises(OptionError, match="hardly any normal number"):
        nn.init.trunc_normal_(torch.zeros(2), a=50, b=60)
    with pytest.raises(ShapeError, match="fills matrices"):
        nn.init.orthogonal_(torch.zeros(2))
    with pytest.raises(ShapeError, match="fills matrices"):
        nn.init.eye_(torch.zeros(2, 2, 2))


def parameters(library: Any, rng: np.random.Generator) -> list[Any]:
    found = []
    for shape in ((3,), (2, 2), ()):
        found.append(library.zeros(shape, requires_grad=True))
        found[-1].grad = library.tensor(rng.standard_normal(shape).astype(np.float32))
    return found


@pytest.mark.parametrize(("limit", "order"), [(0.5, 2.0), (100.0, 2.0), (0.5, 1.0), (0.3, inf)])
def test_clipping_is_that_of_pytorch(limit: float, order: float) -> None:
    theirs = pytest.importorskip("torch", reason="clipped gradients are compared with PyTorch's")
    results = []
    for library in (torch, theirs):
        given = parameters(library, np.random.default_rng(5))
        norm = library.nn.utils.clip_grad_norm_(given, limit, order)
        results.append([float(norm), *[p.grad.tolist() for p in given]])
        library.nn.utils.clip_grad_value_(given, 0.1)
        results[-1] += [p.grad.tolist() for p in given]
    for ours, other in zip(*results, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-5)


def test_clipping_inside_of_a_compiled_step() -> None:
    p = torch.tensor([3.0, 4.0], requires_grad=True)

    def step() -> torch.Tensor:
        p.grad = None
        (p * p / 2).sum().backward()
        return nn.utils.clip_grad_norm_([p], 1.0)

    assert torch.compile(step)().item() == pytest.approx(5)
    assert p.grad is not None and p.grad.tolist() == pytest.approx([0.6, 0.8], rel=1e-5)


def test_vectors_of_parameters() -> None:
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])
    vector = nn.utils.parameters_to_vector([a, b])
    assert vector.tolist() == [1, 2, 3]
    nn.utils.vector_to_parameters(vector * 2, [a, b])
    assert a.tolist() == [2, 4] and b.tolist() == [[6]]
    with pytest.raises(ShapeError, match="as many elements"):
        nn.utils.vector_to_parameters(vector[:2], [a, b])
    with pytest.raises(OptionError, match="norm of a positive order"):
        nn.utils.clip_grad_norm_([a], 1.0, 0.0)
    a.grad = torch.tensor([inf, 0.0])
    with pytest.raises(OptionError, match="no finite number"):
        nn.utils.clip_grad_norm_(a, 1.0, error_if_nonfinite=True)
    assert nn.utils.clip_grad_norm_([b], 1.0).item() == 0
