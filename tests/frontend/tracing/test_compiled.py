"""`picograd.compile`: the same results and effects as eager, guards, runtime inputs, names,
errors.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd import nn, optim
from picograd.errors import (
    DeviceError,
    GradientError,
    IndexOutOfRange,
    OptionError,
    ShapeError,
    TraceError,
)
from picograd.nn.modules.module import clear_grad

SCALE = 2.0
TABLE = {"a": [1.0, 2.0]}


def both(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run eagerly and compiled, twice, and compare."""
    compiled = torch.compile(function)
    for _ in range(2):
        expected = function(*arguments)
        result = compiled(*arguments)
        assert_same(result, expected)
    assert len(compiled.recompilations) == 1
    return compiled


def assert_same(a: Any, b: Any) -> None:
    if isinstance(b, torch.Tensor):
        assert a.shape == b.shape and a.dtype is b.dtype
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-6, atol=1e-7)
    elif isinstance(b, dict):
        assert list(a) == list(b)
        for key in b:
            assert_same(a[key], b[key])
    elif isinstance(b, list | tuple):
        assert type(a) is type(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def test_structures_of_arguments_and_results(rng: np.random.Generator) -> None:
    x, y = torch.tensor(rng.standard_normal((2, 3))), torch.tensor(rng.standard_normal(3))

    def function(pair: Any, *rest: Any, scale: float = 3.0, **named: Any) -> Any:
        a, b = pair["a"], pair["b"][0]
        return {"sum": a + b, "rest": [rest[0] * scale, (named["c"], "text", None)]}

    compiled = torch.compile(function)
    arguments = ({"a": x, "b": [y]}, y)
    assert_same(compiled(*arguments, c=x), function(*arguments, c=x))
    assert_same(compiled(*arguments, c=x, scale=5.0), function(*arguments, c=x, scale=5.0))
    assert len(compiled.recompilations) == 1


def test_functions_of_several_kinds(rng: np.random.Generator) -> None:
    x = torch.tensor(rng.standard_normal((4, 3)).astype(np.float32))
    both(lambda x: (x * 2 + 1).relu().sum(0), x)
    both(lambda x: x.max(1), x)
    both(lambda x: x[1:, ::2].T.reshape(-1).exp(), x)
    both(lambda x: torch.where(x > 0, x, 0).softmax(1) @ x.T, x)
    both(lambda x: x, x)
    both(lambda x: torch.arange(3) + x.argmax(0), x)
    both(lambda x: (), x)


def test_a_result_that_is_a_view_keeps_its_alias(rng: np.random.Generator) -> None:
    def function(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = x * 2
        return y, y[0]

    y, row = torch.compile(function)(torch.ones(2, 2))
    row.zero_()
    assert y.tolist() == [[0, 0], [2, 2]]
    x = torch.ones(2)
    assert torch.compile(lambda x: x)(x) is x
    view = torch.compile(lambda x: x[1:])(x)
    view.zero_()
    assert x.tolist() == [1, 0]


def test_changes_in_place_of_arguments_and_captures() -> None:
    state = torch.zeros(3)
    alias = state[1:]

    def function(x: torch.Tensor) -> torch.Tensor:
        x.T[0] += 1
        alias.add_(x.sum())
        return state * 2

    compiled, x = torch.compile(function), torch.zeros(2, 2)
    assert compiled(x).tolist() == [0, 4, 4]
    assert x.tolist() == [[1, 0], [1, 0]] and state.tolist() == [0, 2, 2]
    version = state._version
    assert compiled(x).tolist() == [0, 12, 12]
    assert state.tolist() == [0, 6, 6] and alias.tolist() == [6, 6]
    assert state._version == version + 1 and len(compiled.recompilations) == 1


def test_aliased_arguments() -> None:
    def function(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        a.add_(1)
        return b * 1

    compiled = torch.compile(function)
    x, y = torch.zeros(2), torch.zeros(2)
    assert compiled(x, y).tolist() == [0, 0]
    assert compiled(x, x).tolist() == [2, 2]
    assert compiled(x, y[:1].expand(2)).tolist() == [0, 0]
    assert len(compiled.recompilations) == 3


def test_a_tensor_that_is_argument_and_captured() -> None:
    x, y = torch.ones(2), torch.zeros(2)
    reads = torch.compile(lambda a: a + x)
    assert reads(x).tolist() == [2, 2] and reads(y).tolist() == [1, 1]
    assert len(reads.recompilations) == 1
    writes = torch.compile(lambda a: a.add_(x))
    assert writes(y).tolist() == [1, 1]
    with pytest.raises(TraceError, match="an argument and captured as well"):
        writes(x)
    assert x.tolist() == [1, 1]


def test_as_decorator() -> None:
    @torch.compile
    def double(x: torch.Tensor) -> torch.Tensor:
        """Twice x."""
        return x * 2

    @torch.compile(device="reference")
    def triple(x: torch.Tensor) -> torch.Tensor:
        return x * 3

    assert double(torch.ones(1)).item() == 2 and triple(torch.ones(1)).item() == 3
    assert double.__name__ == "double" and double.__doc__ == "Twice x."


def test_an_optimizer_step_alone() -> None:
    p = torch.ones(2, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)
    step = torch.compile(optimizer.step)
    for _ in range(2):
        optimizer.zero_grad()
        p.sum().backward()
        step()
    assert p.tolist() == [0, 0] and len(step.recompilations) == 1


def test_backward_gives_the_eager_gradients(rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3))
    x, y = (
        torch.tensor(rng.standard_normal((5, 4)).astype(np.float32)),
        torch.tensor([0, 2, 1, 1, 0]),
    )

    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        net.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        return loss

    expected = loss_of(x, y)
    gradients = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    assert len(gradients) == 6
    compiled = torch.compile(loss_of)
    for _ in range(2):
        net.zero_grad()
        np.testing.assert_allclose(float(compiled(x, y)), float(expected), rtol=1e-6)
        for parameter, gradient in zip(net.parameters(), gradients, strict=True):
            assert parameter.grad is not None and parameter.is_leaf
            np.testing.assert_allclose(parameter.grad.numpy(), gradient.numpy(), atol=1e-6)
    assert len(compiled.recompilations) == 1


def test_gradients_accumulate_over_calls() -> None:
    w = torch.ones(2, requires_grad=True)
    compiled = torch.compile(lambda x: (w * x).sum().backward())
    x = torch.tensor([1.0, 2.0])
    for count in range(1, 4):
        compiled(x)
        assert w.grad is not None and w.grad.tolist() == [count, 2 * count]
    clear_grad(w, set_to_none=True)
    compiled(x)
    assert w.grad is not None and w.grad.tolist() == [1, 2]
    assert len(compiled.recompilations) == 2  # without and with a gradient before


def test_gradients_of_tensors_made_inside() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        inner = torch.ones(2, requires_grad=True)
        (inner * x).sum().backward()
        return inner

    inner = torch.compile(function)(torch.tensor([3.0, 4.0]))
    assert inner.is_leaf and inner.requires_grad
    assert inner.grad is not None and inner.grad.tolist() == [3, 4]


def test_numbers_among_the_arguments_are_inputs() -> None:
    compiled = torch.compile(lambda x, k, n: x * k + n)
    x = torch.tensor([1.0, 2.0])
    assert compiled(x, 2.0, 1).tolist() == [3, 5]
    assert compiled(x, 0.5, 7).tolist() == [7.5, 8]
    assert len(compiled.recompilations) == 1
    assert compiled(x.long(), 2, 1).dtype is torch.int64
    assert compiled(x.long(), 2.5, 1).dtype is torch.float32
    exact = compiled(torch.tensor([1.0], dtype=torch.float64), 0.1, 0)
    assert exact.item() == 0.1  # not rounded to float32 on its way


def test_closed_over_numbers_are_guarded(caplog: pytest.LogCaptureFixture) -> None:
    local = 1.0

    def function(x: torch.Tensor) -> torch.Tensor:
        return x * SCALE + local + TABLE["a"][1]

    compiled, x = torch.compile(function), torch.ones(1)
    assert compiled(x).item() == 5
    with caplog.at_level(logging.INFO, "picograd"):
        local = 10.0
        assert compiled(x).item() == 14
    assert compiled.recompilations[1] == "`local` was 1.0 and is 10.0"
    assert "`local` was 1.0 and is 10.0" in caplog.text
    TABLE["a"][1] = 3.0
    try:
        assert compiled(x).item() == 15
    finally:
        TABLE["a"][1] = 2.0
    assert compiled(x).item() == 14
    assert len(compiled.recompilations) == 3


def helper(x: torch.Tensor) -> torch.Tensor:
    return x * SCALE


def test_numbers_behind_other_functions_are_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, x = torch.compile(lambda x: helper(x)), torch.ones(1)
    assert compiled(x).item() == 2
    monkeypatch.setitem(globals(), "SCALE", 4.0)
    assert compiled(x).item() == 4


def test_numbers_that_code_reads_are_compared_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, x = torch.compile(lambda x: x * SCALE), torch.ones(2)
    for scale, signed in ((0.0, False), (-0.0, True), (0.0, False)):
        monkeypatch.setitem(globals(), "SCALE", scale)
        assert np.signbit(compiled(x).numpy()).tolist() == [signed] * 2
    for _ in range(3):
        monkeypatch.setitem(globals(), "SCALE", float("nan"))
        assert np.isnan(compiled(x).numpy()).all()
    assert len(compiled.recompilations) == 3


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = 2.0
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight * self.scale if self.training else x


def test_modules_are_guarded() -> None:
    net = Scaled()
    compiled, x = torch.compile(net), torch.ones(2)
    assert compiled(x).tolist() == [2, 2]
    net.scale = 3.0
    assert compiled(x).tolist() == [3, 3]
    net.eval()
    assert compiled(x).tolist() == [1, 1]
    net.train()
    net.weight = nn.Parameter(torch.full((2,), 5.0))
    assert compiled(x).tolist() == [15, 15]
    net.weight.data.zero_()
    assert compiled(x).tolist() == [0, 0]
    net.weight.requires_grad_(False)
    assert not compiled(x).requires_grad
    assert len(compiled.recompilations) == 5


def test_methods_and_modules_as_arguments() -> None:
    net, other = Scaled(), Scaled()
    other.scale = 7.0
    assert torch.compile(net.forward)(torch.ones(2)).tolist() == [2, 2]
    compiled = torch.compile(lambda net, x: net(x))
    assert compiled(net, torch.ones(2)).tolist() == [2, 2]
    assert compiled(other, torch.ones(2)).tolist() == [7, 7]


def test_new_shapes_dtypes_and_grad_modes_are_new_versions() -> None:
    w = torch.ones(1, requires_grad=True)
    compiled = torch.compile(lambda x: x * w)
    assert compiled(torch.ones(2)).shape == (2,)
    assert compiled(torch.ones(3)).shape == (3,)
    assert compiled(torch.ones(2, dtype=torch.float64)).dtype is torch.float64
    with torch.no_grad():
        assert not compiled(torch.ones(2)).requires_grad
    assert len(compiled.recompilations) == 4


def test_many_versions_earn_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, x = torch.compile(lambda x: x + SCALE), torch.ones(1)
    for scale in range(8):
        monkeypatch.setitem(globals(), "SCALE", scale)
        compiled(x)
    monkeypatch.setitem(globals(), "SCALE", 9)
    with pytest.warns(UserWarning, match="Make what changes an argument"):
        compiled(x)


def test_random_numbers_are_those_of_eager() -> None:
    def function(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x + torch.rand(3), torch.randn(2, 2)

    compiled, x = torch.compile(function), torch.zeros(3)
    torch.manual_seed(5)
    expected = [function(x) for _ in range(3)]
    torch.manual_seed(5)
    for pair in expected:
        assert_same(compiled(x), pair)
    assert len(compiled.recompilations) == 1


def test_compiled_functions_nest() -> None:
    inner = torch.compile(lambda x: x * 2)
    outer = torch.compile(lambda x: inner(x) + 1)
    assert outer(torch.ones(2)).tolist() == [3, 3]
    assert inner.recompilations == []


def test_names_and_places() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        net.zero_grad()
        logits = net(x)
        probabilities = torch.name(logits.softmax(1), "chances")
        loss = (probabilities - y).square().mean()
        loss.backward()
        return loss

    compiled = torch.compile(step)
    compiled(torch.ones(2, 3), torch.zeros(2, 2))
    text = compiled.ir("tensor")
    assert '%net_0_weight: tensor<4x3xf32> {pico.name = "net_0_weight"}' in text
    for name in ("x", "y", "net_2_bias", "net_0_out", "logits", "chances", "loss"):
        assert re.search(rf"%{name}\b", text), name
    assert re.search(r"%net_0_weight_grad\b", text)
    line = step.__code__.co_firstlineno + 2
    assert f'at = "test_compiled.py:{line}"' in text
    # what the backward pass adds carries the line of the operation that it differentiates
    assert text.count(f"test_compiled.py:{line}") > 6


def test_names_of_a_compiled_module() -> None:
    compiled = torch.compile(nn.Sequential(nn.Linear(2, 2)))
    compiled(torch.ones(1, 2))
    assert "%sequential_0_weight" in compiled.ir("tensor")


def test_report_dump_and_levels(tmp_path: Path) -> None:
    compiled = torch.compile(lambda x: x.exp() + 1, device="cpu", dump=tmp_path)
    with pytest.raises(OptionError, match="has not been compiled yet"):
        compiled.ir("tensor")
    compiled(torch.ones(4, device="cpu"))
    assert compiled.report.kernels == 1 and compiled.report.kernels_unfused >= 1
    for level in ("tensor", "kernel", "buffer", "loop", "target"):
        assert compiled.ir(level)
    assert (tmp_path / "index.md").exists()


def test_threads_share_a_compiled_function(rng: np.random.Generator, device: str) -> None:
    """Four threads call it at once, the first time too, with inputs of their own."""
    compiled = torch.compile(lambda x, w: ((x @ w).relu() * 2).softmax(1))
    w = rng.standard_normal((17, 9)).astype(np.float32)
    arrays = rng.standard_normal((4, 33, 17)).astype(np.float32)
    weight = torch.tensor(w, device=device)
    wrong: list[int] = []
    finished: list[int] = []

    def work(number: int) -> None:
        x = torch.tensor(arrays[number], device=device)
        e = np.exp(2 * np.maximum(arrays[number].astype(np.float64) @ w, 0))
        for _ in range(25):
            if not np.allclose(compiled(x, weight).numpy(), e / e.sum(1, keepdims=True), atol=1e-5):
                wrong.append(number)
        finished.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(finished) == [0, 1, 2, 3] and not wrong
    assert len(compiled.recompilations) == 1


def test_the_environment_asks_for_dumps_of_compiled_functions_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICOGRAD_DUMP", str(tmp_path))
    x = torch.full((1, 3, 7), 0.25, device="cpu")
    (x * 3 - x.tanh()).sum()  # eager ops are compiled too, one by one: nobody reads those
    torch.rand(3, 7, device="cpu")
    assert list(tmp_path.iterdir()) == []
    compiled = torch.compile(lambda x: x.exp() + 1)
    compiled(x)
    compiled(x)
    compiled(x[0])
    torch.compile(lambda x: x + 1, dump=tmp_path / "own")(x)
    *folders, own = sorted(tmp_path.iterdir())
    assert own.name == "own"
    assert [folder.name[3:] for folder in folders] == ["-cpu", "-cpu"]
    for folder in (*folders, own):
        names = re.findall(r"^\| \[(\S+)\]", (folder / "index.md").read_text("utf-8"), re.MULTILINE)
        assert names[0] == "00-input.mlir" and names[-1].endswith("target.s")
        assert {path.name for path in folder.iterdir()} == {*names, "index.md"}


def test_every_device(device: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))

    def step(x: torch.Tensor, y: torch.Tensor, k: float) -> torch.Tensor:
        net.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y) * k
        loss.backward()
        return loss

    x, y = torch.rand(4, 5), torch.tensor([0, 1, 2, 1])
    expected = float(step(x, y, 2.0))
    gradients = [p.grad.numpy() for p in net.parameters() if p.grad is not None]
    assert float(torch.compile(step)(x, y, 2.0)) == pytest.approx(expected, rel=1e-5)
    for parameter, gradient in zip(net.parameters(), gradients, strict=True):
        assert parameter.grad is not None
        np.testing.assert_allclose(parameter.grad.numpy(), gradient, rtol=1e-4, atol=1e-6)


# Errors


@pytest.mark.parametrize(
    ("what", "function"),
    [
        ("bool", lambda x: x if x.sum() > 0 else -x),
        ("int", lambda x: int(x.sum())),
        ("float", lambda x: float(x.sum())),
        ("item", lambda x: x.sum().item()),
        ("numpy", lambda x: x.numpy()),
        ("tolist", lambda x: x.tolist()),
        ("a number as index", lambda x: x[torch.tensor(0)].sum().item()),
    ],
)
def test_values_do_not_exist_while_tracing(what: str, function: Callable[..., Any]) -> None:
    with pytest.raises(TraceError, match="has no value while traced") as caught:
        torch.compile(function)(torch.ones(2))
    assert "torch.where" in caught.value.hint
    assert "test_compiled.py" in caught.value.where


def test_numbers_among_the_arguments_have_no_value_either() -> None:
    functions: list[Callable[..., Any]] = [
        lambda x, n: x.sum(n),
        lambda x, n: [x for _ in range(n)],
        lambda x, n: x * 2 if n > 0 else x,
        lambda x, n: x.reshape(n, -1),
    ]
    for function in functions:
        with pytest.raises(TraceError) as caught:
            torch.compile(function)(torch.ones(2), 1)
        assert "close over it instead" in caught.value.hint
        assert "test_compiled.py" in caught.value.where


def test_a_compiled_module_has_the_modules_attributes() -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    compiled = torch.compile(net)
    assert list(compiled.parameters()) == list(net.parameters())
    assert compiled.eval() is net and not net.training
    with pytest.raises(AttributeError):
        _ = compiled.nothing


def test_a_failed_trace_leaves_everything_as_it_was() -> None:
    state, w = torch.zeros(2), torch.ones(2, requires_grad=True)

    def function(x: torch.Tensor) -> float:
        state.add_(x)
        (w * x).sum().backward()
        return state.sum().item()

    version = state._version
    with pytest.raises(TraceError):
        torch.compile(function)(torch.ones(2))
    assert state.tolist() == [0, 0] and state._version == version and w.grad is None


def test_tensors_that_leak_are_found() -> None:
    kept: list[torch.Tensor] = []
    torch.compile(lambda x: kept.append(x * 2))(torch.ones(2))
    assert "traced" in repr(kept[0])
    with pytest.raises(TraceError, match="used outside of it"):
        kept[0] + 1
    with pytest.raises(TraceError, match="another compiled function"):
        torch.compile(lambda x: x + kept[0])(torch.ones(2))


def test_gradients_stay_inside() -> None:
    w = torch.ones(2, requires_grad=True)
    result = torch.compile(lambda x: (w * x).sum())(torch.ones(2))
    assert result.requires_grad
    with pytest.raises(GradientError, match="result of a compiled function"):
        result.backward()
    with pytest.raises(GradientError, match="ran outside"):
        torch.compile(lambda x: x.sum().backward())(w * 2)
    outside = w * 2
    with pytest.raises(GradientError, match="ran outside"):
        torch.compile(lambda x: (outside * x).sum().backward())(torch.ones(2))
    state = torch.zeros(2)
    with pytest.raises(GradientError, match="keeps a gradient"):
        torch.compile(lambda x: state.copy_(w * x))(torch.ones(2))
    assert not state.requires_grad and state.tolist() == [0, 0]


def test_devices_do_not_mix() -> None:
    x = torch.ones(2)
    with pytest.raises(DeviceError, match="an argument is on another device"):
        torch.compile(lambda x: x + 1, device="cpu")(x)
    captured = torch.ones(2, device="cpu")
    with pytest.raises(DeviceError):
        torch.compile(lambda x: x + captured)(x)
    with pytest.raises(TraceError, match="runs on one device"):
        torch.compile(lambda x: x.to("cpu"))(x)
    with pytest.raises(TraceError, match="runs on one device"):
        torch.compile(lambda x: torch.ones(2, device="cpu"))(x)


def test_errors_of_ops_and_of_calls() -> None:
    compiled = torch.compile(lambda x: x @ x)
    with pytest.raises(ShapeError, match="inner sizes differ") as caught:
        compiled(torch.ones(2, 3))
    assert "test_compiled.py" in caught.value.where
    with pytest.raises(TypeError):
        compiled()  # pyright: ignore[reportCallIssue]
    lookup = torch.compile(lambda x, i: x[i])
    with pytest.raises(IndexOutOfRange):
        lookup(torch.ones(2), torch.tensor([5]))
