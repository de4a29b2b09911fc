"""Adadelta, as `torch.optim.Adadelta`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from picograd.errors import OptionError
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.optim.optimizer import Group, Optimizer


class Adadelta(Optimizer):
    """Steps as large as recent steps were, where gradients are as large as recent ones were."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        if min(lr, eps, weight_decay) < 0 or not 0 <= rho <= 1:
            raise located(
                OptionError(
                    "Adadelta does not work with these settings",
                    code="PG802",
                    expected="numbers of 0 or more, rho from 0 to 1",
                    found=f"lr={lr}, rho={rho}, eps={eps}, weight_decay={weight_decay}",
                    hint="pass numbers of 0 or more; 0.9 is common for rho",
                )
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def update(self, group: Group, params: Sequence[Tensor]) -> None:
        lr, rho, eps = self.learning_rate(group), group["rho"], group["eps"]
        for parameter in params:
            gradient = self.gradient(group, parameter)
            if group["weight_decay"]:
                gradient = gradient.add(parameter, alpha=group["weight_decay"])
            state = self.state_for(parameter, ["square_avg", "acc_delta"])
            square = state["square_avg"].mul_(rho).addcmul_(gradient, gradient, value=1 - rho)
            delta = (state["acc_delta"] + eps).sqrt() / (square + eps).sqrt() * gradient
            state["acc_delta"].mul_(rho).addcmul_(delta, delta, value=1 - rho)
            parameter.sub_(delta, alpha=lr)
