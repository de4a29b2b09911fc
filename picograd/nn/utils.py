"""Helpers for parameters and their gradients, as in `torch.nn.utils`."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from picograd.errors import OptionError, ShapeError
from picograd.frontend.functions.creation import zeros
from picograd.frontend.functions.joining import cat, stack
from picograd.frontend.modes.mode import set_recording
from picograd.frontend.problems import located
from picograd.frontend.tensor import Tensor


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    found = [tensor.grad for tensor in tensors]
    return [grad for grad in found if grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients in place so that their common norm is at most max_norm.

    Returns the norm before. Raises OptionError, with `error_if_nonfinite`, for one that is NaN or
    infinite; that reads it, and so cannot be asked for inside of a compiled function.
    """
    if not norm_type > 0:
        raise located(
            OptionError(
                "gradients are clipped by a norm of a positive order",
                code="PG802",
                expected="norm_type > 0",
                found=norm_type,
                hint="pass 2.0, or math.inf for the largest element",
            )
        )
    gradients = _gradients(parameters)
    if not gradients:
        return zeros(())
    with set_recording(False):
        if norm_type == inf:
            total = stack([grad.abs().max() for grad in gradients if grad.numel()]).max()
        else:
            parts = [(grad.abs() ** norm_type).sum() for grad in gradients]
            whole = parts[0]
            for part in parts[1:]:
                whole = whole + part
            total = whole ** (1 / norm_type)
        if error_if_nonfinite and not abs(float(total)) < inf:
            raise located(
                OptionError(
                    "the norm of the gradients is no finite number",
                    code="PG813",
                    expected="a finite norm",
                    found=float(total),
                    hint="look for a division by zero or a learning rate that is too large",
                )
            )
        factor = (max_norm / (total + 1e-6)).clamp(max=1.0)
        for grad in gradients:
            grad.mul_(factor)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clamp all elements of the gradients in place to -clip_value … clip_value."""
    with set_recording(False):
        for grad in _gradients(parameters):
            grad.copy_(grad.clamp(-clip_value, clip_value))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, flattened, one after another."""
    return cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Overwrite parameters with the elements of a vector, in their order."""
    tensors = list(parameters)
    count = sum(tensor.numel() for tensor in tensors)
    if vec.shape != (count,):
        raise located(
            ShapeError(
                "the vector does not hold as many elements as the parameters",
                code="PG105",
                expected=[count],
                found=list(vec.shape),
                hint="make it with parameters_to_vector from parameters of the same shapes",
            )
        )
    start = 0
    with set_recording(False):
        for tensor in tensors:
            tensor.copy_(vec.narrow(0, start, tensor.numel()).reshape(tensor.shape))
            start += tensor.numel()
