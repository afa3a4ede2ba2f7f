"""Make keys from keys: the one mechanism under every helper."""
