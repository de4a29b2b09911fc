"""Reverse mode: `grad`, `value_and_grad` and `vjp`.

The function runs in a level of its own, whose tape records it; then a backward pass goes over the
tape, in the mode around. One table of rules, `semantics.gradients`, serves these and `.backward()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from picograd.errors import DTypeError, GradientError
from picograd.frontend.autodiff.backward import pull_back
from picograd.frontend.autodiff.levels import GradientLevel
from picograd.frontend.autodiff.tape import Node, Var
from picograd.frontend.core import TensorCore
from picograd.frontend.methods.gradient_methods import check_like
from picograd.frontend.modes.eager import current
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor
from picograd.func import trees
from picograd.func.transformed import (
    Argnums,
    Function,
    Transformed,
    check_tensors,
    device_of,
    left,
    positions,
    split_aux,
)
from picograd.quick_dataclasses import dataclass


@dataclass(frozen=True)
class _Recording:
    """A function that has run, and the graph of its run."""

    level: GradientLevel
    given: list[Tensor]
    """The tensors that gradients are taken for."""
    inputs: list[Node]
    result: Any

    def nodes(self, outputs: Sequence[Any]) -> list[Node | None]:
        """Where the backward pass begins for each of the tensors that the function returned."""
        with self.level.running():
            return [tensor.read().node for tensor in outputs]

    def pull_back(
        self, seeds: Sequence[tuple[Node | None, Var]], *, retain_graph: bool
    ) -> list[Tensor]:
        """The gradients of what was given; zeros where nothing depends on it."""
        roots = [(node, seed) for node, seed in seeds if node is not None]
        found = pull_back(roots, self.inputs, retain_graph=retain_graph)
        gradients: list[Tensor] = []
        for tensor, grad in zip(self.given, found, strict=True):
            if grad is None:
                grad = Var(current(tensor.device).full(tensor.shape, 0, tensor.dtype))
            gradients.append(tensor.wrap(grad))
        return gradients


def _record(
    function: Function,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    chosen: Sequence[int],
    what: str,
) -> _Recording:
    """Run the function; its arguments at the positions `chosen` are to be differentiated."""
    given: list[Tensor] = []
    for position in chosen:
        for leaf in trees.leaves(args[position]):
            check_differentiable(leaf, f"argument {position}", what)
            given.append(leaf)
    level = GradientLevel(device_of(given, args, kwargs))
    values = [tensor.read() for tensor in given]
    with level.running():
        tracked = [Tensor(level.new_cell(level.lifted(value))) for value in values]
        inside = iter([tensor.requires_grad_() for tensor in tracked])
        passed = list(args)
        for position in chosen:
            passed[position] = trees.mapped(args[position], lambda leaf: next(inside))
        result = function(*passed, **kwargs)
    inputs = [node for tensor in tracked if (node := tensor.history.node) is not None]
    return _Recording(level, given, inputs, result)


def check_differentiable(leaf: object, role: str, what: str) -> None:
    """Raise DTypeError unless a part of an argument is a float tensor."""
    if not isinstance(leaf, TensorCore):
        raise located(
            DTypeError(
                f"{what} differentiates tensors, and {role} holds something else",
                code="PG210",
                expected="a float tensor, or tuples, lists and dictionaries of such",
                found=type(leaf).__name__,
                hint="pass torch.tensor(…), or choose other arguments with argnums",
            )
        )
    if not leaf.dtype.is_float:
        raise located(
            DTypeError(
                f"{what} differentiates floats, and {role} holds integers or bools",
                code="PG210",
                expected="float32 or another float",
                found=leaf.dtype.name,
                hint="convert it first: x.float(); or choose other arguments with argnums",
            )
        )


class _Gradient(Transformed):
    """The function that `grad` and its relatives return."""

    def __init__(
        self, function: Function, argnums: Argnums, has_aux: bool, arrange: Callable[..., Any]
    ) -> None:
        super().__init__(function)
        self.argnums = argnums
        self.has_aux = has_aux
        self._arrange = arrange

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        chosen = positions(self.argnums, len(args), "grad")
        run = _record(self.function, args, kwargs, chosen, "grad")
        output, aux = split_aux(run.result, "grad") if self.has_aux else (run.result, None)
        _check_scalar(output)
        (node,) = run.nodes([output])
        seed = Var(current(run.level.device).full((), 1, output.dtype))
        gradients = iter(run.pull_back([(node, seed)], retain_graph=False))
        each = [trees.mapped(args[position], lambda leaf: next(gradients)) for position in chosen]
        found = each[0] if isinstance(self.argnums, int) else tuple(each)
        return self._arrange(found, left(run.level, output), left(run.level, aux), self.has_aux)


def _check_scalar(output: object) -> None:
    if not isinstance(output, TensorCore):
        raise located(
            GradientError(
                "grad needs a function that returns one tensor",
                code="PG401",
                expected="a scalar, such as a loss",
                found=type(output).__name__,
                hint="return the loss alone, or (loss, aux) with has_aux=True",
            )
        )
    if output.ndim or not output.dtype.is_float:
        raise located(
            GradientError(
                "grad needs a function that returns a scalar",
                code="PG401",
                expected="a float tensor of shape []",
                found=f"{output.dtype.name} of shape {list(output.shape)}",
                hint="reduce it (.sum(), .mean()), or use torch.func.vjp or torch.func.jacrev",
            )
        )


def grad(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Transformed:
    """The function that returns the gradient of `func` for the arguments `argnums`.

    `func` returns a scalar, or with `has_aux` a pair of a scalar and anything; the pair
    (gradient, anything) is returned then. An argument may hold tensors in tuples, lists and
    dictionaries; its gradient does likewise. Raises GradientError for an output that is no scalar.
    """
    return _Gradient(func, argnums, has_aux, _gradient_first)


def value_and_grad(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Transformed:
    """As `grad`, but the function returns (value, gradient), as JAX does.

    With `has_aux` it returns ((value, aux), gradient).
    """
    return _Gradient(func, argnums, has_aux, _value_first)


def grad_and_value(func: Function, argnums: Argnums = 0, has_aux: bool = False) -> Transformed:
    """As `grad`, but the function returns (gradient, value), or (gradient, (value, aux))."""
    return _Gradient(func, argnums, has_aux, _value_last)


def _gradient_first(gradient: Any, value: Any, aux: Any, has_aux: bool) -> Any:
    return (gradient, aux) if has_aux else gradient


def _value_first(gradient: Any, value: Any, aux: Any, has_aux: bool) -> Any:
    return ((value, aux) if has_aux else value), gradient


def _value_last(gradient: Any, value: Any, aux: Any, has_aux: bool) -> Any:
    return gradient, ((value, aux) if has_aux else value)


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The output of `func`, and the function from the output's gradient to the arguments'.

    With `has_aux`, `func` returns a pair, whose second part is returned third. The function may be
    called more than once. It returns a tuple with the gradient of each argument.
    """
    run = _record(func, primals, {}, range(len(primals)), "vjp")
    output, aux = split_aux(run.result, "vjp") if has_aux else (run.result, None)
    ends = check_tensors(output, "vjp")
    nodes = run.nodes(ends)
    result = left(run.level, output)

    def pullback(cotangents: Any) -> tuple[Any, ...]:
        """The gradients of the arguments, from gradients structured like the output."""
        trees.check_same_structure(cotangents, output, "the gradients given to a vjp function")
        seeds: list[tuple[Node | None, Var]] = []
        for node, end, given in zip(nodes, ends, trees.leaves(cotangents), strict=True):
            check_like(given, end, "a gradient given to a vjp function does not fit the output")
            seeds.append((node, given.read()))
        gradients = iter(run.pull_back(seeds, retain_graph=True))
        return tuple(trees.mapped(primal, lambda leaf: next(gradients)) for primal in primals)

    return (result, pullback, left(run.level, aux)) if has_aux else (result, pullback)
