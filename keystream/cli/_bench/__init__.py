"""The parts of `python -m keystream bench`: cases, measurement, tables and pictures.

A case is a module with `tasks(effort)`: what it measures, in pieces that a progress bar can
count. Each piece comes to one `Result`; tables, JSON, the picture and the Reach rows are made
of results alone.
"""
