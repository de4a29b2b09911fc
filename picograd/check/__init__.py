"""Checking the compiler: random modules, random legal orders of passes.

generator    a Hypothesis strategy of tensor-level modules, valid by construction
makers       how it appends one op of each class
orders       random legal orders of passes, and prefixes that lead to a pass
"""
