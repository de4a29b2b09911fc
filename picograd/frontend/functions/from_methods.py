"""Methods as functions: `torch.exp(x)` beside `x.exp()`.

This file defines functions named `all`, `max`, `sum` and so on; it therefore does nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from picograd.frontend.core import Operand, TensorCore
from picograd.frontend.functions.joining import checked
from picograd.frontend.methods.numpy_names import with_usual_names
from picograd.frontend.tensor import Tensor

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "addcdiv",
    "addcmul",
    "addmm",
    "addmv",
    "all",
    "allclose",
    "amax",
    "amin",
    "aminmax",
    "any",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "argmax",
    "argmin",
    "argsort",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "baddbmm",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "bmm",
    "broadcast_to",
    "cdist",
    "ceil",
    "chunk",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clone",
    "cos",
    "cosh",
    "count_nonzero",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "diag",
    "diag_embed",
    "diagonal",
    "dist",
    "div",
    "dot",
    "eq",
    "equal",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "fix",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "floor",
    "floor_divide",
    "fmod",
    "frac",
    "gather",
    "ge",
    "gt",
    "hypot",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_select",
    "inner",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "kron",
    "kthvalue",
    "le",
    "lerp",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logaddexp",
    "logcumsumexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "lt",
    "masked_fill",
    "masked_select",
    "matmul",
    "max",
    "maximum",
    "mean",
    "median",
    "min",
    "minimum",
    "mm",
    "moveaxis",
    "movedim",
    "mul",
    "mv",
    "nan_to_num",
    "nanmean",
    "nansum",
    "narrow",
    "ne",
    "neg",
    "nonzero",
    "norm",
    "numel",
    "outer",
    "permute",
    "pow",
    "prod",
    "ravel",
    "reciprocal",
    "relu",
    "remainder",
    "repeat_interleave",
    "reshape",
    "roll",
    "rot90",
    "round",
    "rsqrt",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "std",
    "std_mean",
    "sub",
    "sum",
    "swapaxes",
    "swapdims",
    "t",
    "take_along_dim",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "topk",
    "trace",
    "transpose",
    "tril",
    "triu",
    "true_divide",
    "trunc",
    "unbind",
    "unflatten",
    "unsqueeze",
    "var",
    "var_mean",
]

P = ParamSpec("P")
R = TypeVar("R")


def _function(
    method: Callable[Concatenate[Tensor, P], R],
) -> Callable[Concatenate[Tensor, P], R]:
    """The function form of a method; its first argument must be a tensor."""

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> R:
        if kwargs:
            with_usual_names(kwargs)
            if "input" in kwargs and not args:
                args = (kwargs.pop("input"),)
        first, *rest = args or (None,)
        return cast(Any, method)(checked(first, method.__name__), *rest, **kwargs)

    return cast(Callable[Concatenate[Tensor, P], R], call)


acos = _function(Tensor.acos)
acosh = _function(Tensor.acosh)
arccos = _function(Tensor.arccos)
arccosh = _function(Tensor.arccosh)
arcsin = _function(Tensor.arcsin)
arcsinh = _function(Tensor.arcsinh)
arctan = _function(Tensor.arctan)
arctan2 = _function(Tensor.arctan2)
arctanh = _function(Tensor.arctanh)
asin = _function(Tensor.asin)
asinh = _function(Tensor.asinh)
atan = _function(Tensor.atan)
atan2 = _function(Tensor.atan2)
atanh = _function(Tensor.atanh)
abs = _function(Tensor.abs)
add = _function(Tensor.add)
addcdiv = _function(Tensor.addcdiv)
addcmul = _function(Tensor.addcmul)
addmm = _function(Tensor.addmm)
addmv = _function(Tensor.addmv)
all = _function(Tensor.all)
allclose = _function(Tensor.allclose)
amax = _function(Tensor.amax)
amin = _function(Tensor.amin)
aminmax = _function(Tensor.aminmax)
any = _function(Tensor.any)
argmax = _function(Tensor.argmax)
argmin = _function(Tensor.argmin)
argsort = _function(Tensor.argsort)
baddbmm = _function(Tensor.baddbmm)
bitwise_and = _function(Tensor.bitwise_and)
bitwise_left_shift = _function(Tensor.bitwise_left_shift)
bitwise_not = _function(Tensor.bitwise_not)
bitwise_or = _function(Tensor.bitwise_or)
bitwise_right_shift = _function(Tensor.bitwise_right_shift)
bitwise_xor = _function(Tensor.bitwise_xor)
bmm = _function(Tensor.bmm)
broadcast_to = _function(Tensor.broadcast_to)
cdist = _function(Tensor.cdist)
ceil = _function(Tensor.ceil)
chunk = _function(Tensor.chunk)
clamp = _function(Tensor.clamp)
clamp_max = _function(Tensor.clamp_max)
clamp_min = _function(Tensor.clamp_min)
clone = _function(Tensor.clone)
cos = _function(Tensor.cos)
cosh = _function(Tensor.cosh)
count_nonzero = _function(Tensor.count_nonzero)
cummax = _function(Tensor.cummax)
cummin = _function(Tensor.cummin)
cumprod = _function(Tensor.cumprod)
cumsum = _function(Tensor.cumsum)
diag = _function(Tensor.diag)
diag_embed = _function(Tensor.diag_embed)
diagonal = _function(Tensor.diagonal)
dist = _function(Tensor.dist)
div = _function(Tensor.div)
dot = _function(Tensor.dot)
eq = _function(Tensor.eq)
equal = _function(Tensor.equal)
erf = _function(Tensor.erf)
exp = _function(Tensor.exp)
exp2 = _function(Tensor.exp2)
expm1 = _function(Tensor.expm1)
fix = _function(Tensor.fix)
flatten = _function(Tensor.flatten)
flip = _function(Tensor.flip)
fliplr = _function(Tensor.fliplr)
flipud = _function(Tensor.flipud)
floor = _function(Tensor.floor)
floor_divide = _function(Tensor.floor_divide)
fmod = _function(Tensor.fmod)
frac = _function(Tensor.frac)
gather = _function(Tensor.gather)
ge = _function(Tensor.ge)
gt = _function(Tensor.gt)
hypot = _function(Tensor.hypot)
index_add = _function(Tensor.index_add)
index_copy = _function(Tensor.index_copy)
index_fill = _function(Tensor.index_fill)
index_put = _function(Tensor.index_put)
index_select = _function(Tensor.index_select)
inner = _function(Tensor.inner)
isclose = _function(Tensor.isclose)
isfinite = _function(Tensor.isfinite)
isinf = _function(Tensor.isinf)
isnan = _function(Tensor.isnan)
kron = _function(Tensor.kron)
kthvalue = _function(Tensor.kthvalue)
le = _function(Tensor.le)
lerp = _function(Tensor.lerp)
log = _function(Tensor.log)
log10 = _function(Tensor.log10)
log1p = _function(Tensor.log1p)
log2 = _function(Tensor.log2)
log_softmax = _function(Tensor.log_softmax)
logaddexp = _function(Tensor.logaddexp)
logcumsumexp = _function(Tensor.logcumsumexp)
logical_and = _function(Tensor.logical_and)
logical_not = _function(Tensor.logical_not)
logical_or = _function(Tensor.logical_or)
logical_xor = _function(Tensor.logical_xor)
logsumexp = _function(Tensor.logsumexp)
lt = _function(Tensor.lt)
masked_fill = _function(Tensor.masked_fill)
masked_select = _function(Tensor.masked_select)
matmul = _function(Tensor.matmul)
maximum = _function(Tensor.maximum)
mean = _function(Tensor.mean)
median = _function(Tensor.median)
minimum = _function(Tensor.minimum)
mm = _function(Tensor.mm)
moveaxis = _function(Tensor.moveaxis)
movedim = _function(Tensor.movedim)
mul = _function(Tensor.mul)
mv = _function(Tensor.mv)
nan_to_num = _function(Tensor.nan_to_num)
nanmean = _function(Tensor.nanmean)
nansum = _function(Tensor.nansum)
narrow = _function(Tensor.narrow)
ne = _function(Tensor.ne)
neg = _function(Tensor.neg)
nonzero = _function(Tensor.nonzero)
norm = _function(Tensor.norm)
numel = _function(Tensor.numel)
outer = _function(Tensor.outer)
permute = _function(Tensor.permute)


def pow(input: Operand, exponent: Operand) -> Tensor:
    """input ** exponent, of which one at least is a tensor."""
    if isinstance(exponent, TensorCore) and not isinstance(input, TensorCore):
        return checked(exponent, "pow").__rpow__(input)
    return checked(input, "pow").pow(exponent)


prod = _function(Tensor.prod)
ravel = _function(Tensor.ravel)
reciprocal = _function(Tensor.reciprocal)
relu = _function(Tensor.relu)
remainder = _function(Tensor.remainder)
repeat_interleave = _function(Tensor.repeat_interleave)
reshape = _function(Tensor.reshape)
roll = _function(Tensor.roll)
rot90 = _function(Tensor.rot90)
round = _function(Tensor.round)
rsqrt = _function(Tensor.rsqrt)
scatter = _function(Tensor.scatter)
scatter_add = _function(Tensor.scatter_add)
scatter_reduce = _function(Tensor.scatter_reduce)
sigmoid = _function(Tensor.sigmoid)
sign = _function(Tensor.sign)
sin = _function(Tensor.sin)
sinh = _function(Tensor.sinh)
softmax = _function(Tensor.softmax)
sort = _function(Tensor.sort)
split = _function(Tensor.split)
sqrt = _function(Tensor.sqrt)
square = _function(Tensor.square)
squeeze = _function(Tensor.squeeze)
std = _function(Tensor.std)
std_mean = _function(Tensor.std_mean)
sub = _function(Tensor.sub)
sum = _function(Tensor.sum)
swapaxes = _function(Tensor.swapaxes)
swapdims = _function(Tensor.swapdims)
t = _function(Tensor.t)
take_along_dim = _function(Tensor.take_along_dim)
tan = _function(Tensor.tan)
tanh = _function(Tensor.tanh)
tensordot = _function(Tensor.tensordot)
tile = _function(Tensor.tile)
topk = _function(Tensor.topk)
trace = _function(Tensor.trace)
transpose = _function(Tensor.transpose)
tril = _function(Tensor.tril)
triu = _function(Tensor.triu)
true_divide = _function(Tensor.true_divide)
trunc = _function(Tensor.trunc)
unbind = _function(Tensor.unbind)
unflatten = _function(Tensor.unflatten)
unsqueeze = _function(Tensor.unsqueeze)
var = _function(Tensor.var)
var_mean = _function(Tensor.var_mean)
max = Tensor.max
min = Tensor.min
