"""What few compilations need, loaded by the first that does."""

# pyright: reportUnknownParameterType=false


def dumps():
    """`picograd.compiler.dump`."""
    from picograd.compiler import dump

    return dump


def profiles():
    """`picograd.compiler.profile`."""
    from picograd.compiler import profile

    return profile


def validations():
    """`picograd.compiler.validation.validation`."""
    from picograd.compiler.validation import validation

    return validation
