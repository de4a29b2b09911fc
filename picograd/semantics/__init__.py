"""What the IR means: evaluation in NumPy at every level, error bounds, samples, gradient rules.

`evaluate` runs any level; the modules named after the levels hold their tables.
"""
