"""Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), as in `torch.optim`.

The running means start at zero and are too small by the factor 1 - beta**step. That factor is
kept as state too, and moves towards 1 by `c += (1 - beta) * (1 - c)`: computed from the step
count in float32, 1 - 0.999**step would lose four digits in the first steps, and differently on
every device.

Parameters that have always been changed together share one step count and its factors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from picograd.errors import OptionError
from picograd.frontend.core import Operand
from picograd.frontend.modes.mode import set_trace
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.optim.optimizer import Group, Optimizer

_COUNTERS = ("step", "bias_correction1", "bias_correction2")


class Adam(Optimizer):
    """Steps of the size lr, scaled by running means of the gradient and of its square."""

    decoupled = False
    """Whether weight decay acts on the parameter, instead of being added to the gradient."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        if lr < 0 or eps < 0 or weight_decay < 0 or not all(0 <= beta < 1 for beta in betas):
            raise located(
                OptionError(
                    "Adam does not work with these settings",
                    code="PG802",
                    expected="numbers of 0 or more, betas below 1",
                    found=f"lr={lr}, betas={betas}, eps={eps}, weight_decay={weight_decay}",
                    hint="pass lr, eps and weight_decay of 0 or more, and betas in [0, 1)",
                )
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
            },
        )

    def update(self, group: Group, params: Sequence[Tensor]) -> None:
        for counter, members in self._by_counter(params):
            self._advance(counter, self._rates(group))
            for parameter in members:
                self._update_one(group, parameter)

    def _rates(self, group: Group) -> list[Operand]:
        """How far both means move towards the new value: 1 - beta."""
        return [self.setting(group, "betas", place, from_one=True) for place in (0, 1)]

    def _update_one(self, group: Group, parameter: Tensor) -> None:
        lr, (rate1, rate2) = self.learning_rate(group), self._rates(group)
        beta2: Operand = self.setting(group, "betas", 1)
        gradient = self.gradient(group, parameter)
        decay = group["weight_decay"]
        if decay and self.decoupled:
            parameter.sub_(parameter * decay, alpha=lr)
        elif decay:
            gradient = gradient.add(parameter, alpha=decay)
        state = self.state_for(parameter, ["exp_avg", "exp_avg_sq"])
        mean = state["exp_avg"].lerp_(gradient, rate1)
        square = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=rate2)
        if group["amsgrad"]:
            # The largest of the means so far; not corrected, as in PyTorch.
            largest = self.state_for(parameter, ["max_exp_avg_sq"])["max_exp_avg_sq"]
            square = largest.copy_(largest.maximum(square))
        spread = (square / state["bias_correction2"]).sqrt().add_(group["eps"])
        size = state["bias_correction1"].reciprocal() * lr
        parameter.addcdiv_(mean, spread, value=-size)

    def _advance(self, counter: Mapping[str, Tensor], rates: Sequence[Operand]) -> None:
        counter["step"].add_(1)
        for name, rate in zip(_COUNTERS[1:], rates, strict=True):
            counter[name].add_(counter[name].neg().add_(1).mul(rate))

    def _by_counter(self, params: Sequence[Tensor]) -> list[tuple[dict[str, Tensor], list[Tensor]]]:
        """The parameters in sets that share their counters; fresh ones get new counters."""
        fresh = [p for p in params if "step" not in self.state.get(p, {})]
        if fresh:
            self._share(fresh, {name: self.new_scalar(fresh[0], name) for name in _COUNTERS})
        sets: dict[int, list[Tensor]] = {}
        for parameter in params:
            sets.setdefault(id(self.state[parameter]["step"]), []).append(parameter)
        for members in sets.values():
            self._split(members)
        return [({n: self.state[m[0]][n] for n in _COUNTERS}, m) for m in sets.values()]

    def _split(self, members: Sequence[Tensor]) -> None:
        """Give these their own counters if parameters left out of this step share them."""
        first = self.state[members[0]]
        sharing = sum(state.get("step") is first["step"] for state in self.state.values())
        if sharing > len(members):
            with set_trace(None):
                copies = {name: first[name].clone() for name in _COUNTERS}
            for name, copy in copies.items():
                copy.cell.name = name
            self._share(members, copies)

    def _share(self, members: Sequence[Tensor], counters: Mapping[str, Tensor]) -> None:
        for parameter in members:
            self.state.setdefault(parameter, {}).update(counters)


class AdamW(Adam):
    """Adam, whose weight decay acts on the parameters and not through the gradient."""

    decoupled = True

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
