"""Mutation testing: picograd with one place made wrong, and the tool that must notice it.

mutant       one function with one passage exchanged, while it is applied
killer, killers, pytest_files     what looks for it: validation, differential runs, tables, tests
of_*         the mutants, by what they are mutants of; `table` lists them all
running      each in a process of its own, and its killer without it as a control
page         the table in docs/mutants.md

Source: R. DeMillo, R. Lipton and F. Sayward, Hints on Test Data Selection (1978). `make mutants`
runs all of them, the tests a sample.
"""
