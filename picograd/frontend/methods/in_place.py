"""Operations in place: each is the operation of the same name without `_`, written over its tensor.

The result must have the tensor's shape, and a dtype whose kind (bool < int < float) is not above
the tensor's. What the gradient needs of the old elements is kept, as PyTorch keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from picograd.frontend.core import TensorCore
from picograd.frontend.methods.arithmetic import Arithmetic
from picograd.frontend.methods.bits import Bits
from picograd.frontend.methods.comparison import Comparison
from picograd.frontend.methods.elementary import Elementary
from picograd.frontend.methods.elementwise import Elementwise
from picograd.frontend.methods.inverses import Inverses
from picograd.frontend.methods.picking import Picking
from picograd.frontend.methods.rounding import Rounding
from picograd.frontend.methods.scans_and_sorts import ScansAndSorts
from picograd.frontend.methods.triangles import Triangles
from picograd.frontend.plans.planned import OPERANDS, planned_alone_in_place
from picograd.frontend.plans.planned_operands import planned_operands
from picograd.frontend.promotion import require_fit

P = ParamSpec("P")
T = TypeVar("T", bound=TensorCore)


def in_place(method: Callable[Concatenate[Any, P], Any]) -> Callable[Concatenate[T, P], T]:
    """The method that writes over its tensor what `method` would return, and returns the tensor."""

    @wraps(method)
    def call(tensor: T, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: TensorCore = method(tensor.snapshot(), *args, **kwargs)
        require_fit(result.shape, result.dtype, tensor)
        return tensor.write_(tensor.builder().cast(result.read(), tensor.dtype))

    call.__name__ = f"{method.__name__}_"
    call.__qualname__ = f"Tensor.{call.__name__}"
    call.__doc__ = f"As `{method.__name__}`, in place."
    operands = getattr(method, OPERANDS, None)
    if operands is None:
        return call
    if operands == ((), ()):
        return planned_alone_in_place(call)
    numbers, tensors = operands
    return planned_operands(*numbers, tensors=tensors, in_place=True)(call)


class InPlace(TensorCore):
    """Made of the methods of the other classes, a line for each."""

    abs_ = in_place(Elementwise.abs)
    acos_ = in_place(Inverses.acos)
    acosh_ = in_place(Inverses.acosh)
    asin_ = in_place(Inverses.asin)
    asinh_ = in_place(Inverses.asinh)
    atan_ = in_place(Inverses.atan)
    atan2_ = in_place(Inverses.atan2)
    atanh_ = in_place(Inverses.atanh)
    addcdiv_ = in_place(Arithmetic.addcdiv)
    addcmul_ = in_place(Arithmetic.addcmul)
    bitwise_and_ = in_place(Bits.bitwise_and)
    bitwise_left_shift_ = in_place(Bits.bitwise_left_shift)
    bitwise_not_ = in_place(Bits.bitwise_not)
    bitwise_or_ = in_place(Bits.bitwise_or)
    bitwise_right_shift_ = in_place(Bits.bitwise_right_shift)
    bitwise_xor_ = in_place(Bits.bitwise_xor)
    ceil_ = in_place(Elementwise.ceil)
    clamp_ = in_place(Elementwise.clamp)
    clamp_max_ = in_place(Rounding.clamp_max)
    clamp_min_ = in_place(Rounding.clamp_min)
    cos_ = in_place(Elementwise.cos)
    cosh_ = in_place(Elementary.cosh)
    cumprod_ = in_place(ScansAndSorts.cumprod)
    cumsum_ = in_place(ScansAndSorts.cumsum)
    eq_ = in_place(Comparison.eq)
    erf_ = in_place(Elementwise.erf)
    exp2_ = in_place(Elementary.exp2)
    exp_ = in_place(Elementwise.exp)
    expm1_ = in_place(Elementary.expm1)
    fix_ = in_place(Rounding.fix)
    floor_ = in_place(Elementwise.floor)
    floor_divide_ = in_place(Arithmetic.floor_divide)
    fmod_ = in_place(Rounding.fmod)
    frac_ = in_place(Rounding.frac)
    ge_ = in_place(Comparison.ge)
    gt_ = in_place(Comparison.gt)
    hypot_ = in_place(Elementary.hypot)
    index_add_ = in_place(Picking.index_add)
    index_copy_ = in_place(Picking.index_copy)
    index_fill_ = in_place(Picking.index_fill)
    le_ = in_place(Comparison.le)
    lerp_ = in_place(Arithmetic.lerp)
    log10_ = in_place(Elementary.log10)
    log1p_ = in_place(Elementary.log1p)
    log2_ = in_place(Elementary.log2)
    log_ = in_place(Elementwise.log)
    logical_and_ = in_place(Bits.logical_and)
    logical_not_ = in_place(Comparison.logical_not)
    logical_or_ = in_place(Bits.logical_or)
    logical_xor_ = in_place(Bits.logical_xor)
    lt_ = in_place(Comparison.lt)
    masked_fill_ = in_place(Picking.masked_fill)
    nan_to_num_ = in_place(Rounding.nan_to_num)
    ne_ = in_place(Comparison.ne)
    neg_ = in_place(Elementwise.neg)
    pow_ = in_place(Arithmetic.pow)
    reciprocal_ = in_place(Elementwise.reciprocal)
    remainder_ = in_place(Arithmetic.remainder)
    round_ = in_place(Elementwise.round)
    rsqrt_ = in_place(Elementwise.rsqrt)
    scatter_ = in_place(Picking.scatter)
    scatter_add_ = in_place(Picking.scatter_add)
    scatter_reduce_ = in_place(Picking.scatter_reduce)
    sigmoid_ = in_place(Elementwise.sigmoid)
    sign_ = in_place(Elementwise.sign)
    sin_ = in_place(Elementwise.sin)
    sinh_ = in_place(Elementary.sinh)
    sqrt_ = in_place(Elementwise.sqrt)
    square_ = in_place(Elementwise.square)
    tan_ = in_place(Elementary.tan)
    tanh_ = in_place(Elementwise.tanh)
    tril_ = in_place(Triangles.tril)
    triu_ = in_place(Triangles.triu)
    trunc_ = in_place(Rounding.trunc)

    # Operators

    __iand__ = in_place(Bits.bitwise_and)
    __ifloordiv__ = in_place(Arithmetic.floor_divide)
    __ilshift__ = in_place(Bits.bitwise_left_shift)
    __imod__ = in_place(Arithmetic.remainder)
    __ior__ = in_place(Bits.bitwise_or)
    __ipow__ = in_place(Arithmetic.pow)
    __irshift__ = in_place(Bits.bitwise_right_shift)
    __ixor__ = in_place(Bits.bitwise_xor)
