"""What all optimizers share: groups of parameters with their settings, and state.

`step()` may run inside of a compiled function. Then the learning rate is an input of the graph,
read from its group at each call; the other settings are constants, whose change compiles again.
State (momenta, step counts) consists of tensors made outside of the graph, which the graph reads
and overwrites.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast, overload

from picograd.errors import OptionError
from picograd.frontend.core import Operand
from picograd.frontend.functions.creation import zeros, zeros_like
from picograd.frontend.modes.mode import set_recording, set_trace
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.frontend.tracing.numbers import setting
from picograd.frontend.tracing.watch import Watched
from picograd.nn.modules.module import clear_grad

Group = dict[str, Any]


class Optimizer(Watched):
    """Base of all optimizers.

    `params` is tensors, or dicts with the key "params" and own settings.
    """

    def __init__(
        self, params: Iterable[Tensor] | Iterable[Mapping[str, Any]], defaults: Mapping[str, Any]
    ) -> None:
        self.defaults = dict(defaults)
        # A step of its own reads the settings as they are.
        own_step = type(self).step is not Optimizer.step
        self.live: tuple[str, ...] = () if own_step else ("lr",)
        """The settings that are inputs of compiled steps: others are constants there."""
        self.param_groups: list[Group] = []
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        given = list(cast(Iterable[Any], params))
        if not given:
            raise located(
                OptionError(
                    "an optimizer without parameters",
                    code="PG805",
                    expected="model.parameters(), or a list of tensors",
                    found="nothing",
                    hint="pass the list itself; a generator is empty once it was used",
                )
            )
        groups = given if isinstance(given[0], Mapping) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Optimize more tensors, with settings of their own.

        Raises OptionError for what is no leaf.
        """
        params = group["params"]
        tensors = [params] if isinstance(params, Tensor) else list(params)
        known = {id(tensor) for present in self.param_groups for tensor in present["params"]}
        for tensor in tensors:
            if not isinstance(tensor, Tensor) or not tensor.is_leaf:
                raise located(
                    OptionError(
                        "an optimizer changes leaf tensors",
                        code="PG805",
                        expected="parameters, or tensors made with requires_grad=True",
                        found=type(tensor).__name__,
                        hint="pass the leaves themselves, for instance model.parameters()",
                    )
                )
            if id(tensor) in known:
                raise located(
                    OptionError(
                        "a parameter appears twice",
                        code="PG805",
                        expected="each once",
                        found="twice",
                        hint="pass each parameter once, also where modules share it",
                    )
                )
            known.add(id(tensor))
        self.param_groups.append({**self.defaults, **group, "params": tensors})

    def watched(self) -> Iterable[tuple[str, Any, Any]]:
        slots: list[tuple[str, Any, Any]] = [("live", vars(self), "live")]
        for number, state in enumerate(self.state.values()):
            numbers = [key for key, value in state.items() if not isinstance(value, Tensor)]
            slots += [(f"state.{number}.{key}", state, key) for key in numbers]
        for number, group in enumerate(self.param_groups):
            constants = [key for key in group if key not in ("params", "initial_lr", *self.live)]
            slots += [(f"param_groups.{number}.{key}", group, key) for key in constants]
        return slots

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                clear_grad(parameter, set_to_none)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], Tensor]) -> Tensor: ...
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Change every parameter that has a gradient.

        A closure computes the loss and the gradients first; its result is returned.
        """
        loss: Tensor | None = None
        if closure is not None:
            with set_recording(True):
                loss = closure()
        with set_recording(False):
            for group in self.param_groups:
                params = [p for p in group["params"] if p.grad is not None]
                if params:
                    self.update(group, params)
        return loss

    def update(self, group: Group, params: Sequence[Tensor]) -> None:
        """Change these parameters, all of which have gradients; gradients are not recorded.

        A subclass defines this, or `step` as in PyTorch.
        """
        raise located(
            OptionError(
                f"{type(self).__name__} does not say how parameters change",
                code="PG804",
                expected="a method `step`, or `update(group, params)`",
                found="neither",
                hint="define step(self, closure=None) under @torch.no_grad(), as in PyTorch",
            )
        )

    def learning_rate(self, group: Group) -> Operand:
        """The group's learning rate; an input of the graph inside of a compiled function."""
        return setting("lr", lambda: float(group["lr"]), ("lr", id(group)))

    def setting(
        self, group: Group, key: str, place: int | None = None, *, from_one: bool = False
    ) -> Operand:
        """A setting, a part of it, or 1 minus that; an input of the graph if it is `live`."""

        def read() -> float:
            value = float(group[key] if place is None else group[key][place])
            return 1 - value if from_one else value

        if key not in self.live:
            return read()
        name = key if place is None else f"{key}{place}"
        return setting(name, read, (key, place, from_one, id(group)))

    def gradient(self, group: Group, parameter: Tensor) -> Tensor:
        """The direction to go against: the gradient, or its negative when maximizing."""
        gradient = parameter.grad
        assert gradient is not None
        return -gradient if group["maximize"] else gradient

    def state_for(self, parameter: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """The parameter's state: tensors of its shape, zero at first, which outlive any trace."""
        state = self.state[parameter]
        with set_trace(None):
            for name in names:
                if name not in state:
                    state[name] = zeros_like(parameter)
                    state[name].cell.name = f"{parameter.cell.name or 'parameter'}_{name}"
        return state

    def new_scalar(self, like: Tensor, name: str) -> Tensor:
        """A 0-d state on the device of a tensor, zero at first, which outlives any trace."""
        with set_trace(None):
            scalar = zeros((), device=like.device, dtype=like.dtype)
        scalar.cell.name = name
        return scalar

    # Saving

    def _numbered(self) -> dict[Tensor, int]:
        tensors = [tensor for group in self.param_groups for tensor in group["params"]]
        return {tensor: number for number, tensor in enumerate(tensors)}

    def state_dict(self) -> dict[str, Any]:
        """State and settings, with parameters replaced by their numbers."""
        numbers = self._numbered()
        groups = [
            {**group, "params": [numbers[tensor] for tensor in group["params"]]}
            for group in self.param_groups
        ]
        state = {numbers[tensor]: dict(entry) for tensor, entry in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take over state and settings. Raises OptionError when the groups are of other sizes."""
        sizes = [len(group["params"]) for group in saved["param_groups"]]
        mine = [len(group["params"]) for group in self.param_groups]
        if sizes != mine:
            raise located(
                OptionError(
                    "the saved groups have other sizes",
                    code="PG806",
                    expected=mine,
                    found=sizes,
                    hint="load into an optimizer that was made for the same parameters",
                )
            )
        for group, other in zip(self.param_groups, saved["param_groups"], strict=True):
            group.update({key: value for key, value in other.items() if key != "params"})
        copies: dict[int, Any] = {}  # state that parameters share stays shared
        self.state.clear()
        for tensor, number in self._numbered().items():
            for name, value in saved["state"].get(number, {}).items():
                if isinstance(value, Tensor) and id(value) not in copies:
                    copies[id(value)] = value.detach().clone()
                self.state[tensor][name] = copies.get(id(value), value)
