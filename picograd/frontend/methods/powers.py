"""Powers of integers whose exponents stand in a tensor, by repeated squaring."""

from __future__ import annotations

from picograd.frontend.autodiff.tape import Tape, Var


def integer_power(ops: Tape, base: Var, exponent: Var) -> Var:
    """base ** exponent with the wrap-around of its dtype.

    Each bit of the exponent multiplies another square. Of negative exponents only 1 and -1 have
    a whole power; that of all others is 0, as in PyTorch.
    """
    dtype = ops.dtype_of(base)
    zero, one = ops.full_like(base, 0), ops.full_like(base, 1)
    result, square = one, base
    for bit in range(_bits(dtype.itemsize, dtype.is_signed)):
        chosen = ops.binary("and", exponent, ops.full_like(exponent, 1 << bit))
        result = ops.select(ops.compare("ne", chosen, zero), ops.mul(result, square), result)
        square = ops.mul(square, square)
    if not dtype.is_signed:
        return result
    minus = ops.neg(one)
    odd = ops.compare("ne", ops.binary("and", exponent, one), zero)
    signs = ops.select(odd, minus, one)
    inverse = ops.select(ops.compare("eq", base, minus), signs, zero)
    inverse = ops.select(ops.compare("eq", base, one), one, inverse)
    return ops.select(ops.compare("lt", exponent, zero), inverse, result)


def _bits(size: int, signed: bool) -> int:
    """How many bits of an integer of `size` bytes count up."""
    return 8 * size - signed
