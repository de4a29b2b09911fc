"""Methods as functions: `torch.exp(x)` beside `x.exp()`.

This file defines functions named `all`, `max`, `sum` and so on; it therefore does nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from picograd.frontend.joining import checked
from picograd.frontend.tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def _function(
    method: Callable[Concatenate[Tensor, P], R],
) -> Callable[Concatenate[Tensor, P], R]:
    """The function form of a method; its first argument must be a tensor."""

    @wraps(method)
    def call(x: Tensor, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(checked(x, method.__name__), *args, **kwargs)

    return call


abs = _function(Tensor.abs)
add = _function(Tensor.add)
all = _function(Tensor.all)
amax = _function(Tensor.amax)
amin = _function(Tensor.amin)
any = _function(Tensor.any)
argmax = _function(Tensor.argmax)
argmin = _function(Tensor.argmin)
broadcast_to = _function(Tensor.broadcast_to)
ceil = _function(Tensor.ceil)
chunk = _function(Tensor.chunk)
clamp = _function(Tensor.clamp)
clone = _function(Tensor.clone)
cos = _function(Tensor.cos)
div = _function(Tensor.div)
dot = _function(Tensor.dot)
eq = _function(Tensor.eq)
erf = _function(Tensor.erf)
exp = _function(Tensor.exp)
flatten = _function(Tensor.flatten)
flip = _function(Tensor.flip)
floor = _function(Tensor.floor)
floor_divide = _function(Tensor.floor_divide)
gather = _function(Tensor.gather)
ge = _function(Tensor.ge)
gt = _function(Tensor.gt)
index_select = _function(Tensor.index_select)
isnan = _function(Tensor.isnan)
le = _function(Tensor.le)
log = _function(Tensor.log)
log_softmax = _function(Tensor.log_softmax)
logical_not = _function(Tensor.logical_not)
logsumexp = _function(Tensor.logsumexp)
lt = _function(Tensor.lt)
matmul = _function(Tensor.matmul)
maximum = _function(Tensor.maximum)
mean = _function(Tensor.mean)
minimum = _function(Tensor.minimum)
mul = _function(Tensor.mul)
narrow = _function(Tensor.narrow)
ne = _function(Tensor.ne)
neg = _function(Tensor.neg)
numel = _function(Tensor.numel)
permute = _function(Tensor.permute)
pow = _function(Tensor.pow)
prod = _function(Tensor.prod)
reciprocal = _function(Tensor.reciprocal)
relu = _function(Tensor.relu)
remainder = _function(Tensor.remainder)
reshape = _function(Tensor.reshape)
round = _function(Tensor.round)
rsqrt = _function(Tensor.rsqrt)
scatter_add = _function(Tensor.scatter_add)
sigmoid = _function(Tensor.sigmoid)
sign = _function(Tensor.sign)
sin = _function(Tensor.sin)
softmax = _function(Tensor.softmax)
split = _function(Tensor.split)
sqrt = _function(Tensor.sqrt)
square = _function(Tensor.square)
squeeze = _function(Tensor.squeeze)
std = _function(Tensor.std)
sub = _function(Tensor.sub)
sum = _function(Tensor.sum)
t = _function(Tensor.t)
tanh = _function(Tensor.tanh)
transpose = _function(Tensor.transpose)
unbind = _function(Tensor.unbind)
unsqueeze = _function(Tensor.unsqueeze)
var = _function(Tensor.var)
max = Tensor.max
min = Tensor.min
