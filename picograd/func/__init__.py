"""Function transformations, as `torch.func`: they take a function and return another one.

`grad`, `vjp` and `jvp` differentiate, `vmap` maps over a batch; all of them nest, in any order, and
with `picograd.compile`.
"""

from picograd.func.batch import vmap
from picograd.func.forward import jvp
from picograd.func.jacobians import hessian, jacfwd, jacrev
from picograd.func.modules import functional_call, stack_module_state
from picograd.func.reverse import grad, grad_and_value, value_and_grad, vjp

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "stack_module_state",
    "value_and_grad",
    "vjp",
    "vmap",
]
