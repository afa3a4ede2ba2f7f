"""A fuzzer of the public surface: every call obeys its law or raises one of our errors.

    python -m tests.fuzz --inputs 100000

    hostile.py    classes that misbehave, and the error that they raise on purpose
    scope.py      the names that the generated code may use
    values.py     strategies of code: plausible arguments, and hostile ones
    contexts.py   where a call is made: eagerly, while tracing, under a mesh, a setting
    laws.py       what a call that returns must have returned
    table.py      one row for each public callable, from row.py and rows_*.py
    expressions.txt  what is put in an argument's place
    judge.py      one call: did it obey, was it refused in our words, or is it an escape?
    engine.py     many calls of one row, driven by hypothesis
    pool.py       processes that may crash or hang, and what they were doing then

An input is code: a call, and an expression for each of its arguments. So an escape prints as
what can be pasted, and is made smaller by putting a plausible expression for a hostile one.
"""
