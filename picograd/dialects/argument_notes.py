"""What a trace notes at the arguments of `@main`, for every level."""

DONATED = "pico.donated"
"""The attribute of an argument that may be overwritten, at any level: the number of the result that
may be stored in it."""

NAME = "pico.name"
"""The attribute of an argument that holds the user's name for it."""
