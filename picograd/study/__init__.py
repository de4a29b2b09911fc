"""Ways of looking at the compiler.

`benches` measure it and draw what they found, `demos` are the models it shows itself with, and
`documentation` fills pages from what the code says of itself (of passes: `pass_docs.py`).
`exercises` and their `grader` are for those who learn to write passes, and `scaffold` is what a
pass of their own starts from.
"""
