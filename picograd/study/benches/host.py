"""What Python costs around small kernels: eager operations beside PyTorch's, and a compiled call.

On tensors of 8 × 8 a kernel takes a fraction of a microsecond, so all that is measured is the way
to it and back. What counts is the processor time of this thread, which other processes do not
disturb as they disturb the time of day.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from time import thread_time
from typing import Any

import numpy as np

import picograd
from picograd.quick_dataclasses import dataclass
from picograd.study.benches.measure import Action, interleave

OURS, PYTORCH, KERNELS = "picograd", "PyTorch", "kernels"
_SIZE = 8


@dataclass(frozen=True)
class HostRow:
    """Seconds of one call, ours and PyTorch's (None where it is not installed)."""

    name: str
    ours: float
    peer: float | None

    @property
    def ratio(self) -> float | None:
        """How many times as long as PyTorch's ours takes."""
        return None if self.peer is None else self.ours / self.peer


@dataclass(frozen=True)
class CompiledRow:
    """Seconds of one call of a compiled function, and of its machine code alone."""

    name: str
    call: float
    kernels: float

    @property
    def over(self) -> float:
        """Seconds that the call takes beside its kernels."""
        return self.call - self.kernels


def eager_actions(torch: Any) -> dict[str, Action]:
    """Eager operations in PyTorch's words, which are picograd's too."""
    torch.manual_seed(0)
    x, y, row = torch.rand(_SIZE, _SIZE), torch.rand(_SIZE, _SIZE), torch.rand(_SIZE)
    whole = torch.arange(_SIZE)
    a, b = (torch.rand(_SIZE, _SIZE).requires_grad_() for _ in range(2))
    total = torch.zeros(_SIZE, _SIZE)
    array = np.random.default_rng(0).random((_SIZE, _SIZE), np.float32)
    numbers: list[list[float]] = array.tolist()

    def there_and_back() -> None:
        ((x @ a).relu() @ b).sum().backward()
        a.grad = b.grad = None

    return {
        "x + y": lambda: x + y,
        "x * 2.0": lambda: x * 2.0,
        "x + row (broadcast)": lambda: x + row,
        "x + whole (promoted)": lambda: x + whole,
        "x * y[0] (a view)": lambda: x * y[0],
        "x.T + y (a view)": lambda: x.T + y,
        "x[0]": lambda: x[0],
        "x @ y": lambda: x @ y,
        "x.exp()": lambda: x.exp(),
        "x.sum(1)": lambda: x.sum(1),
        "x.softmax(-1)": lambda: x.softmax(-1),
        "x.max(1)": lambda: x.max(1),
        "x.sort()": lambda: x.sort(),
        "x.topk(3)": lambda: x.topk(3),
        "x[whole]": lambda: x[whole],
        "x.clone()": lambda: x.clone(),
        "x.numpy()": lambda: x.numpy(),
        "from_numpy(array)": lambda: torch.from_numpy(array),
        "as_tensor(array)": lambda: torch.as_tensor(array),
        "tensor(array)": lambda: torch.tensor(array),
        "tensor(lists)": lambda: torch.tensor(numbers),
        "tensor(2.0)": lambda: torch.tensor(2.0),
        "cat([x, y])": lambda: torch.cat([x, y]),
        'einsum("ij,jk->ik", x, y)': lambda: torch.einsum("ij,jk->ik", x, y),
        "dropout(x)": lambda: torch.nn.functional.dropout(x),
        "randn(8, 8)": lambda: torch.randn(_SIZE, _SIZE),
        "zeros(8, 8)": lambda: torch.zeros(_SIZE, _SIZE),
        "total.add_(x)": lambda: total.add_(x),
        "total.copy_(x)": lambda: total.copy_(x),
        "total.zero_()": lambda: total.zero_(),
        "a + x (recorded)": lambda: a + x,
        "a * x (recorded)": lambda: a * x,
        "((x @ a).relu() @ b).sum(), backward": there_and_back,
    }


def measure_eager(names: Sequence[str], rounds: int) -> list[HostRow]:
    """The rows of these names."""
    ours, peers = eager_actions(picograd), {}
    if importlib.util.find_spec("torch") is not None:
        torch = importlib.import_module("torch")  # no dependency: it is looked for when asked for
        torch.set_num_threads(1)
        peers = eager_actions(torch)
    rows: list[HostRow] = []
    for name in names:
        contenders = {OURS: ours[name]} | ({PYTORCH: peers[name]} if peers else {})
        seconds = interleave(contenders, rounds, clock=thread_time)
        rows.append(HostRow(name, seconds[OURS], seconds.get(PYTORCH)))
    return rows


def measure_compiled(rounds: int) -> list[CompiledRow]:
    """Compiled functions of a few arguments, beside their machine code."""
    x, y = (picograd.rand(_SIZE, _SIZE) for _ in range(2))
    functions: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "x * y + 1": (_product_and_one, (x, y)),
        "x * number": (_scaled, (x, 2.5)),
        "x @ y, x.sum()": (_product_and_sum, (x, y)),
    }
    rows: list[CompiledRow] = []
    for name, (function, arguments) in functions.items():
        compiled = picograd.compile(function)
        compiled(*arguments)
        contenders: dict[str, Action] = {
            OURS: lambda call=compiled, given=arguments: call(*given),
            KERNELS: _machine_code(compiled, arguments),
        }
        seconds = interleave(contenders, rounds, clock=thread_time)
        rows.append(CompiledRow(name, seconds[OURS], seconds[KERNELS]))
    return rows


def _product_and_one(x: Any, y: Any) -> Any:
    return x * y + 1.0


def _scaled(x: Any, number: Any) -> Any:
    return x * number


def _product_and_sum(x: Any, y: Any) -> Any:
    return x @ y, x.sum()


def _machine_code(compiled: Any, arguments: Sequence[Any]) -> Action:
    """Enters the machine code of a call, on buffers that are there already."""
    program, device = compiled.executable.program, compiled.executable.device
    traced = compiled.trace(*arguments)
    given = [device.upload(array) for array in traced.inputs]
    buffers = [*compiled.executable.with_constants(given)]
    buffers += [device.allocate(type) for type in compiled.executable.outputs]
    addresses = [buffer.address for buffer in buffers]
    kept = [*buffers]
    return lambda: (program.launch(*addresses), kept)
