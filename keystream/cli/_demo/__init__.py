"""The parts of `python -m keystream demo`: a simulation, its worker processes, its checks."""
