"""`Function`: an operation whose gradient its author writes, as `torch.autograd.Function`."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, cast

from picograd.dialects.dtypes import DType
from picograd.errors import GradientError, OptionError, ShapeError
from picograd.frontend.autodiff.levels import Level
from picograd.frontend.autodiff.tape import (
    BarrierNode,
    FunctionNode,
    ResultNode,
    Stamp,
    Var,
    detached,
)
from picograd.frontend.core import TensorCore
from picograd.frontend.modes.eager import current
from picograd.frontend.modes.mode import SETTINGS, set_recording
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.quick_dataclasses import dataclass


class FunctionCtx:
    """What a function's `forward` leaves for its `backward`. Attributes may be set at will."""

    needs_input_grad: tuple[bool, ...]
    """For each argument, whether its gradient is asked for."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._to_save: tuple[TensorCore | None, ...] = ()
        self._saved: list[_Saved | None] | None = []
        self._without_gradient: tuple[TensorCore, ...] = ()
        self._fills = True

    def save_for_backward(self, *tensors: TensorCore | None) -> None:
        """Keep arguments, results or other tensors; `saved_tensors` gives them to `backward`."""
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What was saved. Raises GradientError if it was changed since, or freed."""
        if self._saved is None:
            raise located(
                GradientError(
                    "backward through the same graph a second time, after its values were freed",
                    code="PG403",
                    expected="one backward pass for each forward pass",
                    found="saved_tensors of a function that was already visited",
                    hint="call backward(retain_graph=True) the first time",
                )
            )
        return tuple(None if one is None else one.unpacked() for one in self._saved)

    def mark_non_differentiable(self, *tensors: TensorCore) -> None:
        """Let these results require no gradient."""
        self._without_gradient = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default), or None, for results that went unused."""
        self._fills = value

    def mark_dirty(self, *tensors: TensorCore) -> None:
        """Refused: a function that has its own gradient returns new tensors."""
        raise located(
            GradientError(
                "mark_dirty: a function with a gradient of its own changes no argument in place",
                code="PG410",
                expected="a forward that returns new tensors",
                found=f"{len(tensors)} arguments that were changed",
                hint="compute on x.clone(), and return that",
            )
        )

    # For `Function`

    def bind(self, results: Sequence[_Result]) -> None:
        """Read what is to be saved, now that the results have their nodes."""
        made = {id(result.given): result for result in results}
        self._saved = [None if one is None else _saved(one, made) for one in self._to_save]
        self._to_save = ()

    def is_without_gradient(self, tensor: TensorCore) -> bool:
        """Whether a result was marked as not differentiable."""
        return any(tensor is one for one in self._without_gradient)

    @property
    def fills(self) -> bool:
        """Whether gradients that nobody asked for are zeros."""
        return self._fills

    def release(self) -> None:
        """Forget the saved tensors."""
        self._saved = None


class _Result:
    """A result as `forward` gave it, and as the caller gets it."""

    def __init__(self, given: TensorCore, node: ResultNode | None) -> None:
        self.given = given
        self.var = Var(given.read().value, node)
        self.tensor = given.wrap(self.var)


class _Saved:
    """A value on its way to `backward`.

    A result is held without its node, because the two would keep each other alive.
    """

    def __init__(self, var: Var, device: str, node: ResultNode | None = None) -> None:
        self._var = var
        self._device = device
        self._node = None if node is None else weakref.ref(node)

    def unpacked(self) -> Tensor:
        stamp = self._var.stamp
        if stamp is not None and not stamp.is_current:
            raise located(
                GradientError(
                    "a tensor needed for the gradient has been changed by an operation in place",
                    code="PG404",
                    expected=f"version {stamp.version}, as it was saved",
                    found=f"version {stamp.cell.version}",
                    hint="change a copy (.clone()), or change it after backward()",
                )
            )
        var = self._var if self._node is None else Var(self._var.value, self._node())
        return _wrapped(var if SETTINGS.recording else detached(var), self._device)


def _saved(tensor: TensorCore, results: Mapping[int, _Result]) -> _Saved:
    result = results.get(id(tensor))
    if result is None:
        return _Saved(tensor.read(), tensor.device)
    cell = result.tensor.cell
    node = result.var.node
    assert node is None or isinstance(node, ResultNode)
    var = Var(result.var.value, None, Stamp(cell, cell.version))
    return _Saved(var, tensor.device, node)


def _wrapped(var: Var, device: str) -> Tensor:
    """A tensor of a value of the present mode."""
    return Tensor(current(device).new_cell(var.value)).wrap(var)


class Function:
    """Base of operations with a gradient of their own.

    A subclass defines two static methods: `forward(ctx, *args)`, or `forward(*args)` and
    `setup_context(ctx, inputs, output)`, which computes without being recorded; and
    `backward(ctx, *grads)`, which returns a gradient, or None, for each argument. The operation is
    called through `apply`.
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """What the operation computes."""
        raise _undefined("forward")

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep what `backward` needs, when `forward` takes no context."""

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments, given those of the results."""
        raise _undefined("backward")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Call the operation. Raises GradientError in a function transformation."""
        if isinstance(SETTINGS.trace, Level):
            raise located(
                GradientError(
                    f"{cls.__name__} has a gradient of its own, which {SETTINGS.trace.what} "
                    "does not ask for",
                    code="PG410",
                    expected="a function made of picograd's own operations",
                    found=f"{cls.__name__}.apply under {SETTINGS.trace.what}",
                    hint="use backward() or torch.autograd.grad, in compiled functions too",
                )
            )
        edges = [arg.read().node if isinstance(arg, TensorCore) else None for arg in args]
        if not SETTINGS.recording:
            edges = [None] * len(args)
        ctx = FunctionCtx(tuple(edge is not None for edge in edges))
        with set_recording(False):
            if cls.setup_context is Function.setup_context:
                output = cls.forward(ctx, *args)
            else:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
        results = cls._recorded(ctx, args, edges, _listed(output))
        return tuple(results) if isinstance(output, tuple) else results[0]

    @classmethod
    def _recorded(
        cls,
        ctx: FunctionCtx,
        args: Sequence[Any],
        edges: Sequence[Any],
        given: Sequence[Any],
    ) -> list[Any]:
        """The results, with nodes that lead to the arguments."""
        tensors = [arg for arg in args if isinstance(arg, TensorCore)]
        outputs = {i: one for i, one in enumerate(given) if isinstance(one, TensorCore)}
        source: FunctionNode | None = None
        if any(edge is not None for edge in edges):
            mode = current(tensors[0].device)
            pull = _Pull(cls, ctx, [_like(arg) for arg in args], [_like(one) for one in given])
            source = FunctionNode(f"{cls.__name__}Backward", edges, mode, pull, ctx.release)
        made: dict[int, _Result] = {}
        for i, tensor in outputs.items():
            tracks = source is not None and tensor.dtype.is_float
            node = None
            if source is not None and tracks and not ctx.is_without_gradient(tensor):
                node = ResultNode(source, i)
            made[i] = _Result(tensor, node)
        ctx.bind(list(made.values()))
        return [made[i].tensor if i in made else one for i, one in enumerate(given)]


@dataclass(frozen=True)
class _Like:
    """What a gradient has in common with its tensor."""

    shape: tuple[int, ...]
    dtype: DType
    device: str


def _like(value: Any) -> _Like | None:
    if not isinstance(value, TensorCore):
        return None
    return _Like(value.shape, value.dtype, value.device)


class _Pull:
    """The backward pass of one call."""

    def __init__(
        self,
        function: type[Function],
        ctx: FunctionCtx,
        args: Sequence[_Like | None],
        outputs: Sequence[_Like | None],
    ) -> None:
        self._function = function
        self._ctx = ctx
        self._args = args
        self._outputs = outputs

    def __call__(self, grads: Mapping[int, Var], records: bool) -> list[Var | None]:
        with set_recording(records):
            given = [self._gradient(grads.get(i), one) for i, one in enumerate(self._outputs)]
            return self._checked(self._function.backward(self._ctx, *given))

    def _gradient(self, grad: Var | None, output: _Like | None) -> Tensor | None:
        if output is None or (grad is None and not self._ctx.fills):
            return None
        if grad is None:
            grad = Var(current(output.device).full(output.shape, 0, output.dtype))
        return _wrapped(grad, output.device)

    def _checked(self, returned: Any) -> list[Var | None]:
        """One gradient for each argument; beyond them only None may stand."""
        parts = _listed(returned)
        extra = parts[len(self._args) :]
        if len(parts) < len(self._args) or any(part is not None for part in extra):
            raise located(
                OptionError(
                    f"{self._function.__name__}.backward returns a gradient for each argument",
                    code="PG410",
                    expected=f"{len(self._args)} gradients",
                    found=f"{len(parts)}",
                    hint="return None for arguments that have none",
                )
            )
        return [self._fitting(*pair) for pair in zip(self._args, parts, strict=False)]

    def _fitting(self, arg: _Like | None, part: Any) -> Var | None:
        if part is None or arg is None:
            return None
        if part.shape != arg.shape:
            raise located(
                ShapeError(
                    f"what {self._function.__name__}.backward returns does not fit its argument",
                    code="PG410",
                    expected=list(arg.shape),
                    found=list(part.shape),
                    hint="sum the gradient over the axes that forward broadcast",
                )
            )
        return part.to(arg.dtype).read()


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A `backward` that may compute with anything, and whose gradients have none themselves."""

    @wraps(backward)
    def call(ctx: FunctionCtx, *grads: Any) -> Any:
        recording = SETTINGS.recording
        with set_recording(False):
            returned = backward(ctx, *grads)
        if not recording:
            return returned
        return tuple(_ended(part) for part in _listed(returned))

    return call


def _listed(value: Any) -> list[Any]:
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else [value]


def _ended(part: Any) -> Any:
    """A gradient that refuses to be differentiated."""
    if not isinstance(part, TensorCore):
        return part
    node = BarrierNode(
        "a gradient marked @once_differentiable is differentiated again",
        "write the backward without the mark, of differentiable operations",
        part.device,
    )
    return part.wrap(Var(part.read().value, node))


def _undefined(method: str) -> OptionError:
    return located(
        OptionError(
            f"a Function without {method}",
            code="PG410",
            expected=f"a static method `{method}` in the subclass",
            found=f"a call of Function.{method}",
            hint=f"define it: @staticmethod def {method}(ctx, …)",
        )
    )
