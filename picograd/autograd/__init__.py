"""Gradients asked for by name, as `torch.autograd`: `grad`, `backward`, and checks of both."""

from picograd.autograd import function
from picograd.autograd.check import gradcheck, gradgradcheck
from picograd.autograd.function import Function
from picograd.autograd.gradients import backward, grad
from picograd.frontend.autodiff.grad_mode import enable_grad, no_grad, set_grad_enabled

__all__ = [
    "Function",
    "backward",
    "enable_grad",
    "function",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "no_grad",
    "set_grad_enabled",
]
