"""Exact checks of `keystream.testing`: what has to be equal, to a tolerance."""
