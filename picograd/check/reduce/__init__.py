"""Small cases from large ones, that fail in the same way.

search       what is the smallest so far, and whether a candidate is taken
chunks       delta debugging: few of many items
excerpt      some ops of a function, fed with the values that they got
fewer_ops, stand_ins, tidy, arguments        ops, results and arguments that go
sizes, ranks, dtypes, values                 what is left, made simpler
pass_lists   fewer passes
reducer      all of that in rounds: `reduce(case, failure)`, `smaller(program, fails)`
"""
