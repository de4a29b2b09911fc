"""Recurrent layers, as in `torch.nn`: a cell's formula, applied once for each step of a sequence.

There is no loop in a program: a sequence of 20 steps is 20 times the cell's operations, in a
compiled function too, which is traced anew for another length. What the cells take from the input
is one product for all steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import TypeAlias, cast

from picograd.dialects.dtypes import DType
from picograd.errors import OptionError, ShapeError
from picograd.frontend.functions.creation import zeros
from picograd.frontend.functions.joining import cat, checked, stack
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.nn import functional, init
from picograd.nn.modules.module import Module, Parameter

State: TypeAlias = tuple[Tensor, ...]
"""What a cell hands to the next step: the hidden value, and for an LSTM the cell's beside it."""
Formula: TypeAlias = Callable[[Tensor, Tensor, State], State]
"""The next state, of the maps of input and hidden value to all gates, and the state."""


def _simple(activation: Callable[[Tensor], Tensor]) -> Formula:
    return lambda x, h, state: (activation(x + h),)


def _lstm(x: Tensor, h: Tensor, state: State) -> State:
    keep_new, keep_old, new, show = (x + h).chunk(4, -1)
    cell = keep_old.sigmoid() * state[1] + keep_new.sigmoid() * new.tanh()
    return show.sigmoid() * cell.tanh(), cell


def _gru(x: Tensor, h: Tensor, state: State) -> State:
    (x_reset, x_old, x_new), (h_reset, h_old, h_new) = x.chunk(3, -1), h.chunk(3, -1)
    old = (x_old + h_old).sigmoid()
    new = (x_new + (x_reset + h_reset).sigmoid() * h_new).tanh()
    return ((1 - old) * new + old * state[0],)


_ACTIVATIONS = {"tanh": functional.tanh, "relu": functional.relu}


def _activation(name: str) -> Formula:
    if name not in _ACTIVATIONS:
        raise located(
            OptionError(
                "a recurrent layer knows two nonlinearities",
                code="PG801",
                expected="'tanh' or 'relu'",
                found=repr(name),
                hint="write the cell yourself for another one: it is two linear layers",
            )
        )
    return _simple(_ACTIVATIONS[name])


class _Weights(Module):
    """Weights of one cell or several, whose names end in a suffix."""

    gates: int = 1
    states: int = 1
    formula: Formula

    def __init__(self, input_size: int, hidden_size: int, bias: bool) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias

    def add_weights(
        self, inputs: int, suffix: str, device: str | None, dtype: DType | None
    ) -> None:
        """The four parameters of one cell, with values within 1 / sqrt(hidden_size)."""
        rows = self.gates * self.hidden_size
        shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, self.hidden_size)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        for name, shape in shapes.items():
            setattr(self, name + suffix, Parameter(zeros(shape, device=device, dtype=dtype)))

    def reset_parameters(self) -> None:
        """Draw new values: uniform within 1 / sqrt(hidden_size)."""
        bound = 1 / sqrt(self.hidden_size) if self.hidden_size else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def mapped(self, kind: str, suffix: str, x: Tensor) -> Tensor:
        """The map of the input ("ih") or of the hidden value ("hh") to all gates."""
        bias = getattr(self, f"bias_{kind}{suffix}", None)
        return functional.linear(x, getattr(self, f"weight_{kind}{suffix}"), bias)

    def start(self, given: Tensor | State | None, shape: Sequence[int], like: Tensor) -> State:
        """The state to begin with: zeros where none is given. Raises ShapeError."""
        if given is None:
            return (like.new_zeros(shape),) * self.states
        state = (given,) if isinstance(given, Tensor) else tuple(given)
        if len(state) != self.states or any(part.shape != tuple(shape) for part in state):
            raise located(
                ShapeError(
                    f"the state does not fit the {type(self).__name__}",
                    code="PG113",
                    expected=" and ".join([str(list(shape))] * self.states),
                    found=" and ".join(str(list(part.shape)) for part in state),
                    hint="pass what an earlier call returned, or nothing for zeros",
                )
            )
        return state

    def check_input(self, input: Tensor, ranks: tuple[int, int], expected: str) -> None:
        """Raise ShapeError unless the input has one of two ranks and ends in `input_size`."""
        checked(input, type(self).__name__)
        if input.ndim not in ranks or input.shape[-1] != self.input_size:
            raise located(
                ShapeError(
                    f"the input does not fit the {type(self).__name__}",
                    code="PG113",
                    expected=expected,
                    found=list(input.shape),
                    hint="its last axis is input_size; batch_first puts the batch in front",
                )
            )


class _Cell(_Weights):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        self.add_weights(input_size, "", device, dtype)
        self.reset_parameters()

    def step(self, input: Tensor, given: Tensor | State | None) -> State:
        """The state after one step."""
        size = self.input_size
        self.check_input(input, (1, 2), f"[N, {size}], or [{size}]")
        state = self.start(given, (*input.shape[:-1], self.hidden_size), input)
        return self.formula(self.mapped("ih", "", input), self.mapped("hh", "", state[0]), state)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """tanh(W x + b + U h + c), for an input [N, input_size] and a hidden value [N, hidden_size]."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self.formula = _activation(nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self.step(input, hx)[0]


class GRUCell(_Cell):
    """One step of a gated recurrent unit, which chooses how much of the old value to keep."""

    gates, formula = 3, staticmethod(_gru)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self.step(input, hx)[0]


class LSTMCell(_Cell):
    """One step of a long short-term memory; its state is the hidden value and the cell's."""

    gates, states, formula = 4, 2, staticmethod(_lstm)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        return cast(tuple[Tensor, Tensor], self.step(input, hx))


class _Recurrent(_Weights):
    """Layers of cells over a sequence [L, N, input_size], or [N, L, …] with `batch_first`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        if num_layers < 1 or not 0 <= dropout <= 1:
            raise located(
                OptionError(
                    f"{type(self).__name__} does not work with these settings",
                    code="PG802",
                    expected="num_layers of 1 or more, dropout from 0 to 1",
                    found=f"num_layers={num_layers}, dropout={dropout}",
                    hint="dropout is applied between layers; pass 0 for none",
                )
            )
        self.num_layers, self.batch_first, self.dropout = num_layers, batch_first, dropout
        self.bidirectional = bidirectional
        self._directions = ("", "_reverse") if bidirectional else ("",)
        inputs = input_size
        for layer in range(num_layers):
            for direction in self._directions:
                self.add_weights(inputs, f"_l{layer}{direction}", device, dtype)
            inputs = hidden_size * len(self._directions)
        self.reset_parameters()

    def run(self, input: Tensor, given: Tensor | State | None) -> tuple[Tensor, State]:
        """The last layer's hidden values of all steps, and the last state of every layer."""
        size = self.input_size
        first = f"[N, L, {size}]" if self.batch_first else f"[L, N, {size}]"
        self.check_input(input, (2, 3), f"{first}, or [L, {size}]")
        alone, time = input.ndim == 2, 1 if self.batch_first and input.ndim == 3 else 0
        x = input.unsqueeze(1) if alone else input.transpose(0, time)
        if x.shape[0] == 0:
            raise located(
                ShapeError(
                    f"{type(self).__name__} takes a sequence",
                    code="PG114",
                    expected="one step or more",
                    found=list(input.shape),
                    hint="leave empty sequences out",
                )
            )
        parts = len(self._directions) * self.num_layers
        shape = (parts, self.hidden_size) if alone else (parts, x.shape[1], self.hidden_size)
        state = self.start(given, shape, input)
        if alone:
            state = tuple(part.unsqueeze(1) for part in state)
        last: list[State] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = functional.dropout(x, self.dropout, self.training)
            outputs: list[Tensor] = []
            for direction in self._directions:
                begin = tuple(part[len(last)] for part in state)
                output, end = self._along(x, f"_l{layer}{direction}", begin)
                outputs.append(output)
                last.append(end)
            x = cat(outputs, -1)
        ends = tuple(stack(list(part)) for part in zip(*last, strict=True))
        if alone:
            return x.squeeze(1), tuple(part.squeeze(1) for part in ends)
        return x.transpose(0, time), ends

    def _along(self, x: Tensor, suffix: str, state: State) -> tuple[Tensor, State]:
        """One cell over a sequence, in the order that the suffix says."""
        steps = list(self.mapped("ih", suffix, x).unbind(0))
        backwards = suffix.endswith("_reverse")
        outputs: list[Tensor] = []
        for step in reversed(steps) if backwards else steps:
            state = self.formula(step, self.mapped("hh", suffix, state[0]), state)
            outputs.append(state[0])
        return stack(outputs[::-1] if backwards else outputs), state

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        changed = {name: getattr(self, name) for name in defaults}
        return text + "".join(
            f", {name}={value}" for name, value in changed.items() if value != defaults[name]
        )


class RNN(_Recurrent):
    """Simple recurrent cells, with tanh or ReLU."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self.formula = _activation(nonlinearity)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device,
            dtype,
        )

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output, (hidden,) = self.run(input, hx)
        return output, hidden


class GRU(_Recurrent):
    """Gated recurrent units."""

    gates, formula = 3, staticmethod(_gru)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output, (hidden,) = self.run(input, hx)
        return output, hidden


class LSTM(_Recurrent):
    """Long short-term memories; the state is a pair, of hidden values and of the cells'."""

    gates, states, formula = 4, 2, staticmethod(_lstm)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, state = self.run(input, hx)
        return output, cast(tuple[Tensor, Tensor], state)
