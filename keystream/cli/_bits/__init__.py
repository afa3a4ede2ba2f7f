"""The parts of `python -m keystream bits`: layouts of keys, and reading them."""
