"""Learning rates that change from step to step, as in `torch.optim.lr_scheduler`.

A scheduler writes into the optimizer's groups. The learning rate is an input of compiled steps, so
nothing is compiled again; `OneCycleLR` makes momentum an input too. Each rate is computed from the
number of steps and the initial rate, so one scheduler at a time has the say: `SequentialLR`
combines several.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import cos, pi
from typing import Any

from picograd.errors import OptionError, TraceError
from picograd.frontend.modes.mode import SETTINGS
from picograd.frontend.problems import located
from picograd.optim.optimizer import Group, Optimizer
from picograd.optim.plateau import ReduceLROnPlateau

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


def _refuse(name: str, expected: str, found: object, hint: str) -> OptionError:
    return located(
        OptionError(
            f"{name} does not work with these settings",
            code="PG802",
            expected=expected,
            found=found,
            hint=hint,
        )
    )


def _check_outside(name: str) -> None:
    if SETTINGS.trace is not None:
        raise located(
            TraceError(
                f"{name}.step() inside a compiled function, where it would run only once",
                code="PG503",
                expected="a call after the compiled step",
                found="a call while tracing",
                hint="call scheduler.step() outside; the learning rate is an input of the step",
            )
        )


class LRScheduler:
    """Base of all schedulers: counts steps and sets the learning rate of each group."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise _refuse(
                    type(self).__name__,
                    "groups with the key initial_lr, to go on from last_epoch",
                    f"last_epoch={last_epoch} and no initial_lr",
                    "load the optimizer's state first, or leave last_epoch out",
                )
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        self._apply()

    @abstractmethod
    def rate(self, base: float, number: int) -> float:
        """The learning rate after `last_epoch` steps; `number` is the group's."""

    def _apply(self) -> None:
        for number, (group, base) in enumerate(
            zip(self.optimizer.param_groups, self.base_lrs, strict=True)
        ):
            group["lr"] = self.rate(base, number)

    def step(self) -> None:
        """Move on by one step. Call it after the optimizer's."""
        _check_outside(type(self).__name__)
        self.last_epoch += 1
        self._apply()

    def restart(self) -> None:
        """Begin anew, as SequentialLR does when a scheduler's turn comes."""
        self.last_epoch = 0
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The present learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All settings and counts; functions are left out."""
        return {
            key: value
            for key, value in vars(self).items()
            if key != "optimizer" and not callable(value) and key != "lr_lambdas"
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over settings and counts."""
        vars(self).update(state_dict)


class StepLR(LRScheduler):
    """Times gamma every `step_size` steps."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if step_size < 1:
            raise _refuse("StepLR", "step_size >= 1", step_size, "pass how many steps a rate lasts")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, number: int) -> float:
        return base * self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """Times gamma at each milestone."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, number: int) -> float:
        return base * self.gamma ** bisect_right(self.milestones, self.last_epoch)


class ExponentialLR(LRScheduler):
    """Times gamma every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, number: int) -> float:
        return base * self.gamma**self.last_epoch


class ConstantLR(LRScheduler):
    """Times a factor during the first `total_iters` steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= factor <= 1:
            raise _refuse("ConstantLR", "0 <= factor <= 1", factor, "pass a smaller factor")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, number: int) -> float:
        return base * self.factor if self.last_epoch < self.total_iters else base


class LinearLR(LRScheduler):
    """Times a factor that goes straight from `start_factor` to `end_factor`."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not (0 < start_factor <= 1 and 0 <= end_factor <= 1):
            raise _refuse(
                "LinearLR",
                "0 < start_factor <= 1 and 0 <= end_factor <= 1",
                f"start_factor={start_factor}, end_factor={end_factor}",
                "pass factors between 0 and 1",
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, number: int) -> float:
        share = min(self.last_epoch, self.total_iters) / max(self.total_iters, 1)
        return base * (self.start_factor + (self.end_factor - self.start_factor) * share)


class PolynomialLR(LRScheduler):
    """Down to 0 in `total_iters` steps, as a power of what is left of them."""

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, number: int) -> float:
        left = 1 - min(self.last_epoch, self.total_iters) / max(self.total_iters, 1)
        return base * left**self.power


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial rate to `eta_min` in `T_max` steps, then back again."""

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_max < 1:
            raise _refuse("CosineAnnealingLR", "T_max >= 1", T_max, "pass the number of steps")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, number: int) -> float:
        wave = (1 + cos(pi * self.last_epoch / self.T_max)) / 2
        return self.eta_min + (base - self.eta_min) * wave


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine down to `eta_min`, again and again; each lasts `T_mult` times as long
    (Loshchilov and Hutter, 2017).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if T_0 < 1 or T_mult < 1:
            raise _refuse(
                "CosineAnnealingWarmRestarts",
                "T_0 >= 1 and T_mult >= 1",
                f"T_0={T_0}, T_mult={T_mult}",
                "pass the steps of the first cosine, and by how much later ones are longer",
            )
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, number: int) -> float:
        into, lasts = self.last_epoch, self.T_0
        if self.T_mult == 1:
            into %= lasts
        while into >= lasts:
            into, lasts = into - lasts, lasts * self.T_mult
        return self.eta_min + (base - self.eta_min) * (1 + cos(pi * into / lasts)) / 2


class LambdaLR(LRScheduler):
    """Times what a function makes of the number of steps; one function, or one a group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(optimizer.param_groups)
        functions = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(functions) != groups:
            raise _refuse(
                "LambdaLR", f"{groups} functions", len(functions), "pass one for each group"
            )
        self.lr_lambdas = functions
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, number: int) -> float:
        return base * self.lr_lambdas[number](self.last_epoch)


class OneCycleLR(LRScheduler):
    """Up to `max_lr`, then down to far below the start; momentum goes the other way
    (Smith and Topin, 2019).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None and epochs is not None and steps_per_epoch is not None:
            total_steps = epochs * steps_per_epoch
        strategies = ("cos", "linear")
        if not total_steps or not 0 <= pct_start <= 1 or anneal_strategy not in strategies:
            raise _refuse(
                "OneCycleLR",
                "total_steps (or epochs and steps_per_epoch) above 0, pct_start from 0 to 1, and "
                "anneal_strategy 'cos' or 'linear'",
                f"total_steps={total_steps}, pct_start={pct_start}, {anneal_strategy!r}",
                "pass how many steps the training takes",
            )
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        groups = optimizer.param_groups
        peaks = [max_lr] * len(groups) if isinstance(max_lr, int | float) else list(max_lr)
        if len(peaks) != len(groups):
            raise _refuse("OneCycleLR", f"{len(groups)} max_lr", peaks, "pass one for each group")
        self.peaks = [float(peak) for peak in peaks]
        self.final_div_factor = final_div_factor
        self.momenta = (float(base_momentum), float(max_momentum))
        rising = pct_start * total_steps - 1
        # (where the phase ends, rate from and to, momentum from and to), as indices.
        if three_phase:
            falling = 2 * pct_start * total_steps - 2
            self.phases = [
                (rising, 0, 1, 1, 0), (falling, 1, 0, 0, 1), (total_steps - 1.0, 0, 2, 1, 1),
            ]  # fmt: skip
        else:
            self.phases = [(rising, 0, 1, 1, 0), (total_steps - 1.0, 1, 2, 0, 1)]
        self.cycles = ""
        if cycle_momentum:
            self.cycles = next((key for key in ("betas", "momentum") if key in groups[0]), "")
            if not self.cycles:
                raise _refuse(
                    "OneCycleLR",
                    "an optimizer with momentum or betas",
                    type(optimizer).__name__,
                    "pass cycle_momentum=False",
                )
            optimizer.live = tuple(dict.fromkeys((*optimizer.live, self.cycles)))
        if last_epoch == -1:
            for group, peak in zip(groups, self.peaks, strict=True):
                group["initial_lr"] = peak / div_factor
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "cos":
            return end + (start - end) / 2 * (cos(pi * share) + 1)
        return start + (end - start) * share

    def rate(self, base: float, number: int) -> float:
        if self.last_epoch > self.total_steps:
            raise _refuse(
                "OneCycleLR",
                f"at most {self.total_steps} steps",
                self.last_epoch,
                "pass a larger total_steps",
            )
        rates = (base, self.peaks[number], base / self.final_div_factor)
        begin = 0.0
        for phase in self.phases:
            end, start_rate, end_rate, start_momentum, end_momentum = phase
            if self.last_epoch <= end or phase is self.phases[-1]:
                share = (self.last_epoch - begin) / (end - begin)
                group = self.optimizer.param_groups[number]
                momenta = self.momenta[start_momentum], self.momenta[end_momentum]
                self._set_momentum(group, self._anneal(*momenta, share))
                return self._anneal(rates[start_rate], rates[end_rate], share)
            begin = end
        raise AssertionError("the last phase takes every step")

    def _set_momentum(self, group: Group, momentum: float) -> None:
        if self.cycles == "betas":
            group["betas"] = (momentum, *group["betas"][1:])
        elif self.cycles:
            group["momentum"] = momentum


class SequentialLR(LRScheduler):
    """Schedulers one after another; each milestone hands over to the next, which begins anew."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        if len(milestones) != len(schedulers) - 1 or any(
            one.optimizer is not optimizer for one in schedulers
        ):
            raise _refuse(
                "SequentialLR",
                "schedulers of this optimizer, and one milestone between any two of them",
                f"{len(schedulers)} schedulers, {len(milestones)} milestones",
                "pass the steps at which one scheduler hands over to the next",
            )
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer, last_epoch)
        self.schedulers[0].restart()

    def rate(self, base: float, number: int) -> float:
        return self.optimizer.param_groups[number]["lr"]

    def step(self) -> None:
        _check_outside("SequentialLR")
        self.last_epoch += 1
        place = bisect_right(self.milestones, self.last_epoch)
        if place > 0 and self.milestones[place - 1] == self.last_epoch:
            self.schedulers[place].restart()
        else:
            self.schedulers[place].step()

    def restart(self) -> None:
        self.last_epoch = 0
        self.schedulers[0].restart()

    def state_dict(self) -> dict[str, Any]:
        return {
            "last_epoch": self.last_epoch,
            "milestones": self.milestones,
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.last_epoch, self.milestones = state_dict["last_epoch"], state_dict["milestones"]
        for scheduler, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)
