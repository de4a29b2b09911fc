"""Stochastic gradient descent, as `torch.optim.SGD`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from picograd.errors import OptionError
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.optim.optimizer import Group, Optimizer


class SGD(Optimizer):
    """parameter -= lr * gradient, with momentum and weight decay."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        wrong_nesterov = nesterov and (momentum == 0 or dampening != 0)
        if lr < 0 or momentum < 0 or weight_decay < 0 or wrong_nesterov:
            raise located(
                OptionError(
                    "SGD does not work with these settings",
                    code="PG802",
                    expected="numbers of 0 or more; nesterov with momentum and without dampening",
                    found=f"lr={lr}, momentum={momentum}, dampening={dampening}, "
                    f"weight_decay={weight_decay}, nesterov={nesterov}",
                    hint="pass numbers of 0 or more, and a momentum above 0 with nesterov",
                )
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def update(self, group: Group, params: Sequence[Tensor]) -> None:
        lr, momentum = self.learning_rate(group), self.setting(group, "momentum")
        for parameter in params:
            gradient = self.gradient(group, parameter)
            if group["weight_decay"]:
                gradient = gradient.add(parameter, alpha=group["weight_decay"])
            if group["momentum"]:
                # It starts at zero: the first step stores the gradient itself, as PyTorch does.
                buffer = self.state_for(parameter, ["momentum_buffer"])["momentum_buffer"]
                buffer.mul_(momentum).add_(self._dampened(group, parameter, gradient))
                gradient = gradient.add(buffer, alpha=momentum) if group["nesterov"] else buffer
            parameter.sub_(gradient, alpha=lr)

    def _dampened(self, group: Group, parameter: Tensor, gradient: Tensor) -> Tensor:
        """The gradient times 1 - dampening; the first one whole, as PyTorch has it."""
        if not group["dampening"]:
            return gradient
        state = self.state[parameter]
        if "started" not in state:
            state["started"] = self.new_scalar(parameter, "started")
        share = 1 - state["started"] * group["dampening"]
        state["started"].fill_(1)
        return gradient * share
