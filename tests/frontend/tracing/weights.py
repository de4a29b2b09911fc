"""A layer whose weight is laid out once, ways to change it, and counters for what is kept."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

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


def check(function: Any, linear: Linear, x: torch.Tensor) -> None:
    """Hold a compiled layer against what its weights say now."""
    weight, bias = linear.weight.tolist(), bias_of(linear).tolist()
    expected = np.array(x.tolist()) @ np.array(weight).T + np.array(bias)
    # The terms of a sum may be large where the sum is not.
    close = 1e-4 + 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(function(x).tolist(), expected, rtol=1e-4, atol=close)


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
        optimizer = torch.optim.Adam(linear.parameters(), lr=0.1)
        linear(fresh(3, 12)).square().sum().backward()
        optimizer.step()


def _compiled_update(linear: Linear) -> None:
    with torch.enable_grad():
        training_step(linear)(fresh(3, 12))


def _through_an_array(linear: Linear) -> None:
    linear.weight.detach().numpy()[3] = RNG.standard_normal(12)


def _through_an_array_that_stays(linear: Linear) -> None:
    held = linear.weight.detach().numpy()
    HELD.append(held)
    held *= 2


def _assign_item(linear: Linear) -> None:
    linear.weight[2, 3] = 40


def _set_data(linear: Linear) -> None:
    linear.weight.data = fresh(20, 12)


def _rebind(linear: Linear) -> None:
    linear.weight = nn.Parameter(fresh(20, 12))


def _borrow(linear: Linear) -> None:
    array = RNG.standard_normal((20, 12)).astype(np.float32)
    linear.weight = nn.Parameter(torch.from_numpy(array))
    HELD.append(array)


def _write_borrowed(linear: Linear) -> None:
    _borrow(linear)
    linear(fresh(2, 12))
    HELD[-1][:] += 1


def _restore(linear: Linear) -> None:
    linear.load_state_dict(Linear(12, 20).state_dict())


def _there_and_back(linear: Linear) -> None:
    linear.double()
    linear.weight.add_(1)
    linear.float()


def _through_a_compiled_function(linear: Linear) -> None:
    torch.compile(lambda: linear.weight.mul_(3))()


def _as_an_argument(linear: Linear) -> None:
    torch.compile(lambda weight: weight.mul_(3))(linear.weight.detach())


def _as_a_vector(linear: Linear) -> None:
    nn.utils.vector_to_parameters(fresh(12 * 20 + 20), linear.parameters())


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
