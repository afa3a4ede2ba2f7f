"""A fuzzer of the audit: random programs, and a second implementation that says what is wrong.

    python -m tests.audit.fuzz --programs 100000

    programs.py   random programs as source text: draws, splits, folds, loops, branches, transforms
    words.py      the same text, run by plain Python: who draws from which words of keys
    judge.py      the audit of a program against its words; where they may differ, and why
    shrink.py     a program that fails, made smaller

A program is text, so that one that fails prints as what can be pasted into a test.
"""
