"""How tensor ops become loops: what `lower_buffers_to_loops` is made of.

indices      affine index arithmetic that knows the ranges of loop variables
views        reshape, permute, broadcast, slice, reverse as maps from index to index
arithmetic   one element of unary, binary, compare and cast, in arith, math and loop ops
philox       one element of random bits
rules        one rule for each tensor op: how one element of its result is computed
nest         scopes: the loops under construction, and where an element is computed
placement    which values get a buffer of their own, and in which loop
kernel       a whole kernel: nests over the written values
"""
