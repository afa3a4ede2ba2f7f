"""From a jaxpr to the lineage of its keys, and to what is done with them."""
