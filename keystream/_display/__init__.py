"""How values and names show themselves."""
