"""The parts of `python -m keystream demo`: a training, its worker processes, its checks."""
