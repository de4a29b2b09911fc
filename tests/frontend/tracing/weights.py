"""A layer whose weight is laid out once, ways to change it, and counters for what is kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import picograd as torch
from picograd import nn
from picograd.backends.runtime import Buffer
from picograd.compiler.executable import Constants
from picograd.compiler.pipelines import pipeline
from picograd.frontend.tracing.kept_constants import KeptConstants
from picograd.passes.pack_constants import PackConstants

RNG = np.random.default_rng(17)

PASSES = pipeline("cpu").before("outline_kernels", PackConstants(columns=8))
"""Every weight is laid out, however little it pays."""

Linear = nn.Linear


def fresh(*shape: int) -> torch.Tensor:
    return torch.tensor(RNG.standard_normal(shape).astype(np.float32))


def bias_of(linear: Linear) -> torch.Tensor:
    assert linear.bias is not None
    return linear.bias


class Runs:
    """How often constants were computed."""

    def __init__(self) -> None:
        self.count = 0

    def since(self) -> int:
        """How often since it was last asked."""
        count, self.count = self.count, 0
        return count


INIT = KeptConstants.__init__


def count_runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Count how often constants are computed."""
    counted, of = Runs(), Constants.of

    def counting(self: Constants, inputs: Any) -> list[Buffer]:
        counted.count += 1
        return of(self, inputs)

    monkeypatch.setattr(Constants, "of", counting)
    return counted


def set_price(monkeypatch: pytest.MonkeyPatch, price: float) -> None:
    """Let a program without constants cost so many seconds."""

    def made(self: KeptConstants, constants: Constants, sources: Any, _: float) -> None:
        INIT(self, constants, sources, price)

    monkeypatch.setattr(KeptConstants, "__init__", made)


def compiled(function: Callable[..., Any]) -> Any:
    return torch.compile(function, passes=PASSES)


Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """How a function reads the weight of a layer."""

    compute: Callable[[Linear, torch.Tensor], torch.Tensor]
    exact: Callable[[Array, Array, Array], Array]
    """The same of weight, bias and input."""
    shape: tuple[int, int] = (5, 12)
    """Of its input."""
    dtype: torch.dtype = torch.float32

    def layer(self) -> Linear:
        return Linear(12, 20).to(self.dtype)

    def input(self) -> torch.Tensor:
        return fresh(*self.shape).to(self.dtype)


A_LAYER = Reading(lambda layer, x: layer(x), lambda w, b, x: x @ w.T + b)
READINGS = {
    "a layer": A_LAYER,
    "halves": replace(A_LAYER, dtype=torch.float16),
    "on the left, transposed": Reading(
        lambda layer, x: layer.weight.T @ x, lambda w, b, x: w.T @ x, (20, 5)
    ),
    "on the left, computed": Reading(
        lambda layer, x: (layer.weight * 3 - 1) @ x, lambda w, b, x: (w * 3 - 1) @ x, (12, 5)
    ),
}


def check(function: Any, linear: Linear, x: torch.Tensor, reading: Reading = A_LAYER) -> None:
    """Hold what a compiled function computes against what its weights say now."""
    weight, bias, given = (np.array(one.tolist()) for one in (linear.weight, bias_of(linear), x))
    expected = reading.exact(weight, bias, given)
    # The terms of a sum may be large where the sum is not.
    close = 1e-4 + 1e-5 * np.abs(expected).max()
    if reading.dtype is torch.float16:
        close += 2e-3 * np.abs(expected).max()
    np.testing.assert_allclose(function(x).tolist(), expected, rtol=1e-4, atol=close)


def like(linear: Linear, *shape: int) -> torch.Tensor:
    """Random numbers of the type of a layer's."""
    return fresh(*shape).to(linear.weight.dtype)


def training_step(linear: Linear) -> Any:
    """A compiled step, which writes over the weights where they lie."""
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.05)

    @torch.compile
    def step(x: torch.Tensor) -> torch.Tensor:
        loss = linear(x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def _update(linear: Linear) -> None:
    with torch.enable_grad():
        optimizer = torch.optim.Adam(linear.parameters(), lr=0.1, eps=1e-3)  # 1e-8 is 0 in halves
        linear(like(linear, 3, 12)).square().mean().backward()
        optimizer.step()


def _compiled_update(linear: Linear) -> None:
    with torch.enable_grad():
        training_step(linear)(like(linear, 3, 12))


def _through_an_array(linear: Linear) -> None:
    linear.weight.detach().numpy()[3] = RNG.standard_normal(12)


def _through_an_array_that_stays(linear: Linear) -> None:
    held = linear.weight.detach().numpy()
    HELD.append(held)
    held *= 2


def _assign_item(linear: Linear) -> None:
    linear.weight[2, 3] = 40


def _set_data(linear: Linear) -> None:
    linear.weight.data = like(linear, 20, 12)


def _rebind(linear: Linear) -> None:
    linear.weight = nn.Parameter(like(linear, 20, 12))


def _borrow(linear: Linear) -> None:
    array = like(linear, 20, 12).numpy().copy()
    linear.weight = nn.Parameter(torch.from_numpy(array))
    HELD.append(array)


def _write_borrowed(linear: Linear) -> None:
    _borrow(linear)
    linear(like(linear, 2, 12))
    HELD[-1][:] += 1


def _restore(linear: Linear) -> None:
    linear.load_state_dict(Linear(12, 20).to(linear.weight.dtype).state_dict())


def _there_and_back(linear: Linear) -> None:
    dtype = linear.weight.dtype
    linear.double()
    linear.weight.add_(1)
    linear.to(dtype)


def _through_a_compiled_function(linear: Linear) -> None:
    torch.compile(lambda: linear.weight.mul_(3))()


def _as_an_argument(linear: Linear) -> None:
    torch.compile(lambda weight: weight.mul_(3))(linear.weight.detach())


def _as_a_vector(linear: Linear) -> None:
    nn.utils.vector_to_parameters(like(linear, 12 * 20 + 20), linear.parameters())


def _failed_trace(linear: Linear) -> None:
    """A trace that fails puts versions back: the change after it has the number of one in it."""

    def fails() -> None:
        linear.weight.add_(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        torch.compile(fails)()
    linear.weight.add_(2)


HELD: list[Any] = []

CHANGES: dict[str, Callable[[Linear], object]] = {
    "in place": lambda linear: linear.weight.mul_(2),
    "an operator": lambda linear: linear.weight.__iadd__(1),
    "an item": _assign_item,
    "a view": lambda linear: linear.weight.T[1:3].zero_(),
    "a view of what is detached": lambda linear: linear.weight.detach().view(-1)[5:9].fill_(7),
    "data in place": lambda linear: linear.weight.data.sub_(1),
    "data set": _set_data,
    "copied": lambda linear: linear.weight.copy_(fresh(20, 12)),
    "filled": lambda linear: nn.init.xavier_uniform_(linear.weight),
    "random numbers": lambda linear: linear.weight.normal_(),
    "another parameter": _rebind,
    "state": _restore,
    "another type and back": _there_and_back,
    "an optimizer": _update,
    "a compiled optimizer": _compiled_update,
    "a compiled function": _through_a_compiled_function,
    "an argument of one": _as_an_argument,
    "a vector": _as_a_vector,
    "an array": _through_an_array,
    "an array that stays": _through_an_array_that_stays,
    "an array of the user's": _borrow,
    "an array of the user's, later": _write_borrowed,
    "a trace that fails": _failed_trace,
    "the bias": lambda linear: bias_of(linear).add_(1),
}
