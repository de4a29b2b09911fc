"""Plans: what an eager operation does, found out once for each kind of operands.

Promotion, broadcasting, views and the gradient's rule cost tens of microseconds in Python, and give
the same answer each time that an operation meets operands of the same shapes and dtypes. So the
first such call is traced, like a compiled function of one operation: its graph, the reading of
views included, becomes one program, and later calls only look it up, enter it, and wrap what comes
out. Its gradient is one program too, made of the same rules, when a backward pass first asks.

What an operation means stands in its method alone. In the modes of the ladder below `compiled`, on
other devices, and inside of traces and transformations, the method runs op by op as it stands.

Kinds of tensors are told apart by `frontend.storage.signature`.

| file                  | what it holds                                                     |
|-----------------------|-------------------------------------------------------------------|
| `tracing.py`          | a method's graph, forward and backward                            |
| `program.py`          | a graph compiled, and the ways to enter it                        |
| `node.py`             | a planned call in the history of gradients                        |
| `plan.py`             | a plan, and the functions that run it                             |
| `planned.py`          | decorators for methods of one operand or two, and their tables    |
| `planned_views.py`    | the decorator for methods that give views                         |
| `planned_operands.py` | decorators for methods and functions of any operands              |
| `planned_values.py`   | functions without operands: of constants, or of random numbers    |
"""
