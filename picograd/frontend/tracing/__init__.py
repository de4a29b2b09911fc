"""`picograd.compile`: from a Python function to a graph, and from a call to the graph's inputs.

`trace.py` lets ops go into a graph. `arguments.py`, `sources.py` and `watch.py` tell where inputs
come from and what the graph depends on; `results.py` replays what a call returns and changes;
`donation.py` says which buffers it may overwrite. A `Version` (`version.py`) is all of this for one
kind of arguments, `compiled.py` keeps them, and `explain.py` tells what they are.
"""
