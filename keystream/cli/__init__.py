"""The commands of `python -m keystream`: a module for each, and a folder for its parts.

A command is a module with a docstring, whose first line is its help, and two functions:
`arguments(parser)` adds its options and `run(options)` returns its exit status.
"""
