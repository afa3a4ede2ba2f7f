"""Functions mapped over keys."""
