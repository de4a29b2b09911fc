"""A learning rate that falls when a metric stops improving, as in `torch.optim.lr_scheduler`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from picograd.errors import OptionError
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.optim.optimizer import Optimizer


class ReduceLROnPlateau:
    """Times `factor` when the metric has not improved for more than `patience` steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1 or mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise located(
                OptionError(
                    "ReduceLROnPlateau does not work with these settings",
                    code="PG802",
                    expected="factor < 1, mode 'min' or 'max', threshold_mode 'rel' or 'abs'",
                    found=f"factor={factor}, mode={mode!r}, threshold_mode={threshold_mode!r}",
                    hint="pass what to multiply the learning rate with, such as 0.1",
                )
            )
        self.optimizer = optimizer
        groups = len(optimizer.param_groups)
        one = isinstance(min_lr, int | float)
        self.min_lrs = [float(min_lr)] * groups if one else [float(least) for least in min_lr]
        if len(self.min_lrs) != groups:
            raise located(
                OptionError(
                    "there is one least learning rate for each group",
                    code="PG805",
                    expected=groups,
                    found=len(self.min_lrs),
                    hint="pass one number for all groups, or as many as there are groups",
                )
            )
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.last_epoch = 0
        self.best = inf if mode == "min" else -inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0

    def step(self, metrics: float | Tensor) -> None:
        """Tell how well training does; a tensor of one element is read."""
        current = float(metrics)
        self.last_epoch += 1
        if self._improves(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def _improves(self, current: float) -> bool:
        if self.mode == "min":
            relative = self.best * (1 - self.threshold)
            limit = relative if self.threshold_mode == "rel" else self.best - self.threshold
            return current < limit
        relative = self.best * (1 + self.threshold)
        limit = relative if self.threshold_mode == "rel" else self.best + self.threshold
        return current > limit

    def _reduce(self) -> None:
        for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            reduced = max(group["lr"] * self.factor, least)
            if group["lr"] - reduced > self.eps:
                group["lr"] = reduced

    def get_last_lr(self) -> list[float]:
        """The present learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All settings and counts."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over settings and counts."""
        vars(self).update(state_dict)
