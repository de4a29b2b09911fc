"""Error bounds of convolutions: an inner product's, taken along windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from picograd.dialects.tensor import ConvolutionOp
from picograd.semantics.accuracy import Accuracy
from picograd.semantics.bounded import Array, Bounded, discrete, settle, unit_roundoff
from picograd.semantics.bounds_others import sum_rounding
from picograd.semantics.bounds_sums import products, remembers_terms
from picograd.semantics.sliding import convolve
from picograd.semantics.tensor import evaluate_op


def convolution(op: ConvolutionOp, operands: Sequence[Bounded], accuracy: Accuracy) -> Bounded:
    """Bounds of `pico.convolution` (Higham, Accuracy and Stability, section 3.1)."""
    x, w = operands
    value = evaluate_op(op, [x.value, w.value], "float64")
    if not x.is_float:
        return discrete(value, _meets(op, x.doubtful, w.doubtful))
    dtype = accuracy.dtype_of(op.result.type)
    total = convolve(op, x.magnitude, w.magnitude)
    error = convolve(op, x.error, w.magnitude + w.error) + convolve(op, x.magnitude, w.error)
    # One more than the sum's: each product is rounded too.
    count = prod(w.value.shape[1:]) + 1
    terms = products(count, total, error) if remembers_terms(accuracy, dtype) else None
    error = error + sum_rounding([x, w], total, count, dtype.name, unit_roundoff(dtype))
    lost = _meets(op, x.lost, w.lost)
    # An infinity times a factor of unknown sign; the zeros around x are known to be zeros.
    lost |= _both(op, ~np.isfinite(x.value), w.straddles_zero)
    lost |= _both(op, x.straddles_zero, ~np.isfinite(w.value))
    # What a NaN of w meets beside x may be left out.
    sure = _both(op, x.surely_nan, np.ones(w.value.shape))
    sure |= _both(op, np.ones(x.value.shape), w.surely_nan)
    result = settle(
        value, error, dtype, lost=lost, doubtful=lost, sure=sure, peak=total + error,
        nonfinite=accuracy.nonfinite,
    )  # fmt: skip
    return replace(result, terms=terms)


def _meets(op: ConvolutionOp, x: Array, w: Array) -> Array:
    """Elements whose window holds a true element, or whose kernel does, even beside x."""
    everywhere = convolve(op, np.ones(x.shape), w.astype(np.float64), padding=1)
    return (convolve(op, x.astype(np.float64), np.ones(w.shape)) > 0) | (everywhere > 0)


def _both(op: ConvolutionOp, x: Array, w: Array) -> Array:
    """Elements in which a true element of x meets a true one of w."""
    return convolve(op, x.astype(np.float64), w.astype(np.float64)) > 0
