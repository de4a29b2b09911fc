"""One element of random bits: Philox 4x32-10 in 32-bit arithmetic.

Source: Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011). WGSL
has no 64-bit product, so the upper half of a product is put together from products of halves.
"""

from collections.abc import Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from picograd.dialects import loop
from picograd.dialects.affine import Linear
from picograd.passes.lowering.arithmetic import Place, compare, select

ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)


def _signed(word: int) -> int:
    """The value that a signless 32-bit word is written as."""
    return word - 2**32 if word >= 2**31 else word


def _word(at: Place, word: int) -> SSAValue:
    return at.constant(_signed(word), i32)


def first_counter(
    at: Place, state: Sequence[SSAValue], block: Linear
) -> tuple[list[SSAValue], list[SSAValue]]:
    """The counter (four words) and key (two words) of a block of four random words.

    `state` is key low, key high, counter low, counter high; `block` is added to the counter.
    """
    key, (low, high) = list(state[:2]), state[2:]
    moved = at.add(arith.AddiOp(low, at.add(loop.IndexOp(block, i32))))
    # The sum wrapped around if it is less than a part of it, both taken as unsigned.
    least = _word(at, 0x80000000)
    wrapped = compare(
        at, "lt", at.add(arith.XOrIOp(moved, least)), at.add(arith.XOrIOp(low, least))
    )
    carried = at.add(arith.AddiOp(high, at.add(arith.ExtUIOp(wrapped, i32))))
    zero = _word(at, 0)
    return [moved, carried, zero, zero], key


def one_round(at: Place, counter: Sequence[SSAValue], key: Sequence[SSAValue]) -> list[SSAValue]:
    """Counter and key (six words) after one round."""
    (high0, low0), (high1, low1) = (
        _product(at, counter[2 * n], factor) for n, factor in enumerate(_MULTIPLIERS)
    )

    def mixed(high: SSAValue, word: SSAValue, key_word: SSAValue) -> SSAValue:
        return at.add(arith.XOrIOp(at.add(arith.XOrIOp(high, word)), key_word))

    next_key = [
        at.add(arith.AddiOp(word, _word(at, step)))
        for word, step in zip(key, _KEY_STEPS, strict=True)
    ]
    mixed1, mixed0 = mixed(high1, counter[1], key[0]), mixed(high0, counter[3], key[1])
    return [mixed1, low1, mixed0, low0, *next_key]


def _product(at: Place, a: SSAValue, factor: int) -> tuple[SSAValue, SSAValue]:
    """The upper and the lower word of a 32 × 32 bit product with a constant."""
    sixteen, mask = _word(at, 16), _word(at, 0xFFFF)

    def upper(value: SSAValue) -> SSAValue:
        return at.add(arith.ShRUIOp(value, sixteen))

    def lower(value: SSAValue) -> SSAValue:
        return at.add(arith.AndIOp(value, mask))

    def times(x: SSAValue, y: SSAValue) -> SSAValue:
        return at.add(arith.MuliOp(x, y))

    def plus(x: SSAValue, y: SSAValue) -> SSAValue:
        return at.add(arith.AddiOp(x, y))

    factor_high, factor_low = _word(at, factor >> 16), _word(at, factor & 0xFFFF)
    a_high, a_low = upper(a), lower(a)
    low_high, high_low = times(a_low, factor_high), times(a_high, factor_low)
    carry = plus(plus(upper(times(a_low, factor_low)), lower(low_high)), lower(high_low))
    high = plus(plus(times(a_high, factor_high), upper(low_high)), upper(high_low))
    return plus(high, upper(carry)), times(a, _word(at, factor))


def chosen_word(at: Place, words: Sequence[SSAValue], position: Linear) -> SSAValue:
    """The word out of four that the index `position` mod 4 names."""
    if position.is_constant:
        return words[position.constant]
    lane = at.add(loop.IndexOp(position, i32))
    result = words[3]
    for n in (2, 1, 0):
        result = select(at, compare(at, "eq", lane, _word(at, n)), words[n], result)
    return result
