"""RMSprop (Tieleman and Hinton, 2012) and Adagrad (Duchi et al., 2011), as in `torch.optim`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from picograd.errors import OptionError
from picograd.frontend.modes.mode import set_trace
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.optim.optimizer import Group, Optimizer


class RMSprop(Optimizer):
    """Steps of the size lr, divided by the root of a running mean of the squared gradient.

    `centered` subtracts the square of the running mean of the gradient.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        if min(lr, alpha, eps, weight_decay, momentum) < 0:
            raise located(
                OptionError(
                    "RMSprop does not work with these settings",
                    code="PG802",
                    expected="numbers of 0 or more",
                    found=f"lr={lr}, alpha={alpha}, eps={eps}, weight_decay={weight_decay}, "
                    f"momentum={momentum}",
                    hint="pass numbers of 0 or more",
                )
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "maximize": maximize,
            },
        )

    def update(self, group: Group, params: Sequence[Tensor]) -> None:
        lr, alpha, momentum = self.learning_rate(group), group["alpha"], group["momentum"]
        names = ["square_avg"]
        names += ["grad_avg"] if group["centered"] else []
        names += ["momentum_buffer"] if momentum else []
        for parameter in params:
            gradient = self.gradient(group, parameter)
            if group["weight_decay"]:
                gradient = gradient.add(parameter, alpha=group["weight_decay"])
            state = self.state_for(parameter, names)
            square = state["square_avg"].mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
            if group["centered"]:
                mean = state["grad_avg"].lerp_(gradient, 1 - alpha)
                square = square - mean * mean
            spread = square.sqrt().add_(group["eps"])
            if momentum:
                buffer = state["momentum_buffer"].mul_(self.setting(group, "momentum"))
                parameter.sub_(buffer.addcdiv_(gradient, spread), alpha=lr)
            else:
                parameter.sub_(gradient / spread, alpha=lr)


class Adagrad(Optimizer):
    """Steps of the size lr, divided by the root of the sum of all squared gradients so far."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        if min(lr, lr_decay, weight_decay, initial_accumulator_value, eps) < 0:
            raise located(
                OptionError(
                    "Adagrad does not work with these settings",
                    code="PG802",
                    expected="numbers of 0 or more",
                    found=f"lr={lr}, lr_decay={lr_decay}, weight_decay={weight_decay}, "
                    f"initial_accumulator_value={initial_accumulator_value}, eps={eps}",
                    hint="pass numbers of 0 or more",
                )
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "eps": eps,
                "maximize": maximize,
            },
        )

    def update(self, group: Group, params: Sequence[Tensor]) -> None:
        lr = self.learning_rate(group)
        for parameter in params:
            gradient = self.gradient(group, parameter)
            if group["weight_decay"]:
                gradient = gradient.add(parameter, alpha=group["weight_decay"])
            if "step" not in self.state.get(parameter, {}):
                state = self.state_for(parameter, ["sum"])
                state["step"] = self.new_scalar(parameter, "step")
                with set_trace(None):
                    state["sum"].fill_(group["initial_accumulator_value"])
            state = self.state[parameter]
            rate = lr / (state["step"] * group["lr_decay"] + 1) if group["lr_decay"] else lr
            state["step"].add_(1)
            total = state["sum"].addcmul_(gradient, gradient)
            parameter.sub_(gradient / total.sqrt().add_(group["eps"]), alpha=rate)
