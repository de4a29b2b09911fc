"""Machine code that is the same for all programs: the ways in and out, and the thread pool.

None of it is a kernel. `text.py` says what it is written in, `code.py` how it is made: once on a
machine, as two modules, which are kept on disk.
"""
