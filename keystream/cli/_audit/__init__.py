"""The parts of `python -m keystream audit`."""
