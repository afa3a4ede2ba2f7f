"""The parts of `python -m keystream doctor`: the self-test, and settings of JAX."""
