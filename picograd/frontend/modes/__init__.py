"""Where ops go: a `Mode` builds them, at once on a device or elsewhere.

`mode.py` says what a mode is, and holds the thread's settings. `eager.py` is the mode that runs
ops at once; traces and function transformations are others. `ladder.py` names the ways in which
one model may run, from NumPy to a compiled graph, and `devices.py` where new tensors live.
"""
