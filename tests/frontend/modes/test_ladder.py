"""The ladder of modes: one model, the same results in each, and what each of them keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import picograd as torch
from picograd import nn, optim
from picograd.compiler.executable import Executable, compile_module
from picograd.errors import DeviceError, IndexOutOfRange, OptionError, TraceError
from picograd.frontend.modes import eager
from picograd.frontend.modes.ladder import Rung

MODES = [str(rung) for rung in Rung]
OP_BY_OP = ["reference", "immediate", "cached"]
SCALE = 2.0


class Model(nn.Module):
    """Two layers, a buffer that forward changes in place, and noise."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.last = nn.Linear(4, 2)
        self.register_buffer("calls", torch.zeros(2))
        self.calls: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls[1:] += 1
        hidden = self.first(x + torch.rand(x.shape) * 0.1).relu()
        return self.last(hidden) * SCALE


class Training:
    """A step of training, as people write it."""

    def __init__(self, device: str) -> None:
        torch.manual_seed(5)
        self.model = Model().to(device)
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.05)
        self.step = torch.compile(self._step)

    def _step(self, x: torch.Tensor, labels: torch.Tensor, scale: float) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x) * scale, labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def state(self) -> list[np.ndarray[Any, Any]]:
        """All that a step changes."""
        tensors = [*self.model.parameters(), self.model.calls]
        grads = [tensor.grad for tensor in tensors if tensor.grad is not None]
        return [tensor.detach().numpy() for tensor in [*tensors, *grads]]


@pytest.fixture
def batch(rng: np.random.Generator, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.tensor(rng.standard_normal((5, 3)).astype(np.float32), device=device)
    return x, torch.tensor(rng.integers(0, 2, 5), device=device)


def trained(device: str, modes: list[str], batch: tuple[torch.Tensor, torch.Tensor]) -> Any:
    """Losses and state after a step in each of the modes."""
    training, losses = Training(device), []
    for number, mode in enumerate(modes):
        with torch.set_mode(mode):
            losses.append(training.step(*batch, 1.0 + number).item())
    return losses, training.state()


def test_all_modes_train_alike(device: str, batch: Any) -> None:
    results = {mode: trained(device, [mode] * 2, batch) for mode in MODES if mode != "immediate"}
    losses, state = results["compiled"]
    assert len(state) == 9 and state[4].tolist() == [0, 2]
    for mode, (other_losses, other_state) in results.items():
        np.testing.assert_allclose(other_losses, losses, rtol=2e-5, err_msg=mode)
        for ours, theirs in zip(other_state, state, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5, err_msg=mode)


def test_immediate_computes_what_cached_does(device: str, batch: Any) -> None:
    """The same kernels, kept or not: bit for bit. One step, because it compiles a hundred times."""
    (losses, state), (others, other_state) = (
        trained(device, [mode], batch) for mode in ("immediate", "cached")
    )
    assert losses == others
    for ours, theirs in zip(state, other_state, strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_one_model_goes_up_and_down_the_ladder(device: str, batch: Any) -> None:
    modes = ["compiled", "cached", "graph", "reference", "graph", "compiled", "cached"]
    losses, state = trained(device, modes, batch)
    expected_losses, expected = trained(device, ["compiled"] * len(modes), batch)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-4)
    for ours, theirs in zip(state, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-4)


def odd(x: torch.Tensor, y: torch.Tensor) -> Any:
    z = (x.T * y[:, None]).clone()
    z[1:, ::2].add_(1.5)
    return z, z.argmax(0), z > 1, torch.cat([z, z]).softmax(1), z.sum(), x.long() // 2


CASES: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "views, writes, indices": (odd, [(4, 3), (3,)]),
    "sizes of 1": (odd, [(1, 2), (2,)]),
    "rank 0": (lambda x: (x.exp(), x / 2, x.isnan()), [()]),
    "no elements": (lambda x: (x + 1, x.sum(0), x.sum()), [(0, 3)]),
    "an expanded view": (lambda x: x.expand(4, 3).sum(0) * x, [(1, 3)]),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_functions_agree_with_the_reference(
    case: str, mode: str, device: str, rng: np.random.Generator
) -> None:
    function, shapes = CASES[case]
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    if arrays[0].size > 2:
        arrays[0].flat[:3] = [np.nan, np.inf, -0.0] if device != "gpu" else [3.0, -2.0, -0.0]

    def results(device: str) -> list[Any]:
        tensors = [torch.tensor(array, device=device) for array in arrays]
        found = torch.compile(function)(*tensors)
        return list(found) if isinstance(found, tuple) else [found]

    expected = results("reference")
    with torch.set_mode(mode):
        found = results(device)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.device == device and ours.dtype is theirs.dtype
        assert ours.shape == theirs.shape and ours.stride() == theirs.stride()
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", OP_BY_OP)
def test_eager_ops_follow_the_mode_too(mode: str, device: str, rng: np.random.Generator) -> None:
    array = rng.standard_normal((3, 4)).astype(np.float32)
    with torch.set_mode(mode):
        x = torch.tensor(array, requires_grad=True)
        (x.tanh() * x).sum().backward()
    assert x.grad is not None and x.grad.device == device
    tanh = np.tanh(array)
    np.testing.assert_allclose(x.grad.numpy(), tanh + array * (1 - tanh**2), rtol=1e-4, atol=1e-5)


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The devices that single ops are compiled for, in order."""
    seen: list[str] = []

    def counting(module: Any, device: str, **options: Any) -> Executable:
        seen.append(device)
        return compile_module(module, device, **options)

    monkeypatch.setattr(eager, "compile_module", counting)
    return seen


def test_what_each_mode_compiles(compilations: list[str]) -> None:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], device="cpu")
    before = torch.get_mode()

    def count(mode: str) -> int:
        compilations.clear()
        with torch.set_mode(mode):
            for _ in range(3):
                x.cos()
        return len(compilations)

    assert count("immediate") == 3
    eager.eager("cpu")._executables.clear()
    assert count("cached") == 1
    assert count("cached") == count("graph") == count("compiled") == 0
    assert count("immediate") == 3
    eager.eager("reference")._executables.clear()
    assert count("reference") == 1 and compilations == ["reference"]
    assert torch.get_mode() == before == "compiled"


@pytest.mark.gpu
def test_immediate_makes_the_gpus_pipelines_anew(compilations: list[str]) -> None:
    pipelines = eager.eager("gpu")._device.gpu._pipelines  # type: ignore[attr-defined]
    x = torch.ones(11, device="gpu")
    x.sin()
    known = len(pipelines)
    with torch.set_mode("immediate"):
        assert x.sin().sin().shape == (11,)
    assert len(pipelines) == known and len(compilations) >= 2


def test_graph_is_one_submission_without_fusion(device: str) -> None:
    @torch.compile
    def f(x: torch.Tensor) -> torch.Tensor:
        return (x * 2 + 1).exp().sum(0)

    x = torch.ones(6, 5)
    with torch.set_mode("graph"):
        f(x)
    graph = f.report
    f(x)
    compiled = f.report
    assert f.recompilations == ["it is the first call", "the mode is 'compiled' now"]
    if device != "reference":
        assert graph.kernels == graph.kernels_unfused > compiled.kernels == 1
    with torch.set_mode("graph"):
        f(x)
    assert f.report is graph and len(f.recompilations) == 2


def test_a_change_is_seen_in_every_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    f = torch.compile(lambda x: x * SCALE)
    for scale in (2.0, 3.0, 2.0):
        monkeypatch.setitem(globals(), "SCALE", scale)
        for mode in MODES:
            with torch.set_mode(mode):
                assert f(torch.ones(1)).item() == scale
    assert f.recompilations == [
        "it is the first call",
        "the mode is 'compiled' now",
        "`SCALE` was 2.0 and is 3.0",
        "`SCALE` was 2.0 and is 3.0",
    ]


def test_why_it_is_traced_again() -> None:
    f = torch.compile(lambda x: x + 1)
    f(torch.ones(2))
    f(torch.ones(3))
    with torch.no_grad():
        f(torch.ones(3))
    assert f.recompilations[1:] == [
        "the call has new kinds of arguments",
        "gradients are not recorded",
    ]


@pytest.mark.parametrize("mode", OP_BY_OP)
def test_python_runs_as_it_stands_op_by_op(mode: str) -> None:
    f = torch.compile(lambda x: x if x.sum() > 0 else -x)
    with torch.set_mode(mode):
        assert f(torch.tensor([-2.0])).item() == 2
        assert f.recompilations == []
        with pytest.raises(OptionError, match="not been compiled"):
            f.ir("tensor")
    with pytest.raises(TraceError):
        f(torch.tensor([-2.0]))


@pytest.mark.parametrize("mode", MODES)
def test_a_compiled_function_keeps_to_its_device(mode: str) -> None:
    weight = torch.ones(3, device="cpu")
    functions = [
        torch.compile(lambda x: x + torch.ones(3)),
        torch.compile(lambda: weight + torch.ones(3)),
        torch.compile(lambda: torch.ones(3), device="cpu"),
    ]
    arguments: list[Any] = [[torch.zeros(3, device="cpu")], [], []]
    with torch.set_mode(mode):
        for function, given in zip(functions, arguments, strict=True):
            assert function(*given).device == "cpu"
        assert torch.ones(1).device == "reference"
        with pytest.raises(DeviceError, match=r"`x\.a` on 'reference'"):
            torch.compile(lambda x: x["a"], device="cpu")({"a": torch.ones(2)})


@pytest.mark.parametrize("mode", MODES)
def test_an_index_out_of_range_is_an_error(mode: str, device: str) -> None:
    table, index = torch.ones(3, 2), torch.tensor([0, 3])
    with torch.set_mode(mode), pytest.raises(IndexOutOfRange):
        torch.compile(lambda t, i: t.index_select(0, i))(table, index).numpy()


def test_a_device_has_one_mode_however_it_is_named() -> None:
    mode = eager.eager("cpu")
    for name in (torch.ones(1, device="cpu").device, torch.device("cpu")):
        assert eager.eager(name) is mode


def test_the_mode_is_restored() -> None:
    with torch.set_mode("cached"):
        with torch.set_mode("graph"):
            assert torch.get_mode() == "graph"
        with pytest.raises(ZeroDivisionError), torch.set_mode("immediate"):
            raise ZeroDivisionError
        assert torch.get_mode() == "cached"
    torch.set_mode("reference")
    try:
        assert torch.get_mode() == "reference"
    finally:
        torch.set_mode("compiled")


def test_each_thread_has_its_own_mode() -> None:
    seen: list[str] = []
    with torch.set_mode("cached"):
        thread = threading.Thread(target=lambda: seen.append(torch.get_mode()))
        thread.start()
        thread.join()
    assert seen == ["compiled"]


def test_mistakes() -> None:
    with pytest.raises(OptionError, match="there is no mode 'jit'") as caught:
        torch.set_mode("jit")
    assert "'immediate'" in caught.value.expected and "test_ladder.py" in caught.value.where
    assert torch.get_mode() == "compiled"

    def switches(x: torch.Tensor) -> torch.Tensor:
        with torch.set_mode("cached"):
            return x + 1

    with pytest.raises(TraceError, match="the mode is switched"):
        torch.compile(switches)(torch.ones(1))
    with torch.set_mode("cached"):
        assert torch.compile(switches)(torch.ones(1)).item() == 2


@pytest.mark.parametrize("mode", MODES)
def test_transformations_in_every_mode(mode: str, device: str) -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return (x * x * x).sum()

    x = torch.tensor([1.0, -2.0, 3.0])
    with torch.set_mode(mode):
        eager_gradient = torch.func.grad(function)(x)
        gradient = torch.compile(torch.func.grad(function))(x)
    assert gradient.tolist() == eager_gradient.tolist() == [3, 12, 27]


def test_the_mode_may_be_switched_inside_of_a_transformation() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        with torch.set_mode("immediate"):
            return x * x

    assert torch.func.grad(function)(torch.tensor(3.0)).item() == 6
    with pytest.raises(TraceError, match="the mode is switched"):
        torch.compile(torch.func.grad(function))(torch.tensor(3.0))
