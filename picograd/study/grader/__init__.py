"""The grader of exercises.

grade      what is judged: meaning on generated programs, then gain in counters
report     the verdict, in one screen

`picograd exercise check` runs it in a process of its own (`picograd/cli/grading.py`).
"""
