"""Derivatives: the tape that records what ran, the walk back along it, and levels.

A level is a mode inside of a mode, one for each function transformation in progress (`grad`, `jvp`,
`vmap`). The rules themselves stand in `picograd.semantics`, and serve the passes as well.
"""
