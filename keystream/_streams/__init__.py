"""Keys in order, as values."""
