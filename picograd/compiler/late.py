"""The compiler proper, which loads when something has to be compiled.

Passes and their like take a third of the time of an import, and a process that finds its programs
on disk never needs them.
"""

# pyright: reportUnknownParameterType=false


def compiler():
    """`picograd.compiler.whole`."""
    from picograd.compiler import whole

    return whole
