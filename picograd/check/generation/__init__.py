"""Random programs and random orders of passes: valid by construction, the same for the same seed.

programs     random tensor-level modules with inputs, from a seed
strategy     the same as a Hypothesis strategy, which shrinks them
sketch       a function that is being drawn, and who chooses
operands     values that are there, or that are made to fit
makers, makers_order, makers_windows     how one op of each class is appended
makers_chains moves of elements, one right after the other
makers_edges what tensor compilers are known to get wrong, several ops at a time
orders       random legal orders of passes, and prefixes that lead to a pass
effects      whether a pass does anything to a module
options      random options for passes, from the module at hand
"""
