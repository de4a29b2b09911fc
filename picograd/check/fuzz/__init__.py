"""Fuzzing: random programs through random passes, on every device, until something is wrong.

programs, front_end      what is drawn: modules by theme; functions of the front end
choosing     which of several programs and routes: where passes are named, ones they change
routes       which passes a module goes through, and for which machine
examiner     one case: drawn, written down, examined, counted
settle, findings         a failure blamed and made small; one file for each family
counts       what a run has seen, in numbers
worker, pool, session    processes that may crash or hang, who hands them programs, a whole run
"""
