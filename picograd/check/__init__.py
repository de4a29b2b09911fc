"""Checking the compiler: what is right, what is wrong, who is to blame, how small it can be shown.

generation   random modules, valid by construction, and random legal orders of passes
oracle       does anything go wrong when these passes run on this module, and on this device?
replay       a failing case as a text with all that it needs to happen again
blame        the one rewrite of a pass, or store of a device, that is wrong
reduce       cutting a failing case down: fewer ops, smaller sizes, simpler numbers
fuzz         random programs through random passes on every device, until something is wrong
mutants      wrong variants of picograd itself, each of which these tools must find
rules        for each rewrite rule, modules that it must match and must not
functions    the table of functions: what each computes in NumPy, and samples of it
meaning      whether a pass keeps what a program computes, with a counterexample if not
differential, outcome        one function on several devices, each kernel judged alone
loop_samples, array_ops      loop nests as text, and a builder of ops on arrays, for tests
"""
