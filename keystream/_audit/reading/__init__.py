"""Read a program: the lineage of its keys, and what is done with them."""
