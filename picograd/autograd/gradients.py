"""Backward passes that start at several tensors, or end at chosen ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from picograd.errors import GradientError, OptionError
from picograd.frontend.autodiff.backward import pull_back
from picograd.frontend.core import TensorCore
from picograd.frontend.functions.creation import zeros_like
from picograd.frontend.methods.gradient_methods import differentiated, run_backward, seeded
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor

Tensors: TypeAlias = Tensor | Sequence[Tensor]
Gradients: TypeAlias = Tensor | Sequence[Tensor | None] | None


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the outputs, weighted with `grad_outputs` and summed, for each input.

    No `.grad` is changed. Outputs of one element need no weights. With `create_graph` the results
    can be differentiated in turn. Raises GradientError for an input on which no output depends,
    unless `allow_unused`: then its gradient is None, or zeros with `materialize_grads`.
    """
    ends = _listed(outputs)
    starts = _listed(inputs)
    retain = create_graph if retain_graph is None else retain_graph
    roots = [
        seeded(tensor, given, "grad()", "grad_outputs")
        for tensor, given in zip(ends, _for_each(ends, grad_outputs), strict=True)
    ]
    nodes = [differentiated(tensor) for tensor in starts]
    found = pull_back(roots, nodes, retain_graph=retain, create_graph=create_graph)
    results: list[Tensor | None] = []
    for position, (tensor, var) in enumerate(zip(starts, found, strict=True)):
        if var is not None:
            results.append(tensor.wrap(var))
        elif materialize_grads:
            results.append(zeros_like(tensor))
        elif allow_unused:
            results.append(None)
        else:
            raise located(
                GradientError(
                    f"no output depends on input {position}",
                    code="PG409",
                    expected="inputs that were used to compute the outputs",
                    found=f"a tensor of shape {list(tensor.shape)} that was not used",
                    hint="leave it out, or pass allow_unused=True, which gives None for it",
                )
            )
    return tuple(results)


def backward(
    tensors: Tensors,
    grad_tensors: Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradients of all the tensors to `.grad` of the leaves; as `Tensor.backward`."""
    ends = _listed(tensors)
    run_backward(ends, _for_each(ends, grad_tensors), retain_graph, create_graph, inputs)


def _listed(tensors: Tensors) -> list[Tensor]:
    listed = [tensors] if isinstance(tensors, TensorCore) else list(tensors)
    if not listed:
        raise located(
            OptionError(
                "no tensor was given to differentiate",
                code="PG408",
                expected="a tensor, or a sequence of at least one",
                found="an empty sequence",
                hint="pass the outputs and the inputs of the computation",
            )
        )
    return listed


def _for_each(tensors: Sequence[Tensor], given: Gradients) -> Sequence[Tensor | None]:
    """One gradient, or None, for each of the tensors."""
    if given is None:
        return [None] * len(tensors)
    listed = [given] if isinstance(given, TensorCore) else list(given)
    if len(listed) != len(tensors):
        raise located(
            OptionError(
                "there is not one gradient for each output",
                code="PG408",
                expected=f"{len(tensors)} gradients, None for outputs of one element",
                found=f"{len(listed)}",
                hint="pass as many grad_outputs as outputs",
            )
        )
    return listed
