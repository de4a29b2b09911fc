"""The toolchain, which loads when something has to be compiled.

Passes and their like take a third of the time of an import, and a process that finds its programs
on disk never needs them.
"""

# pyright: reportUnknownParameterType=false

from picograd.compiler.garbage import without_garbage_collection


def toolchain():
    """`picograd.compiler.toolchain`; what loading makes stays alive."""
    with without_garbage_collection():
        from picograd.compiler import toolchain

    return toolchain
