"""Checking the compiler: random modules, random legal orders of passes.

programs     random tensor-level modules, valid by construction, from a seed
generator    the same as a Hypothesis strategy, which shrinks them
makers       how it appends one op of each class
meaning      whether a pass keeps what a program computes, with a counterexample if not
reduce       cutting a failing case down: fewer ops, smaller sizes, simpler numbers
orders       random legal orders of passes, and prefixes that lead to a pass
"""
