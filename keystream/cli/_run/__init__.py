"""The parts of `python -m keystream run`: what runs in the process of the program."""
