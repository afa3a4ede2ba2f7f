"""Make, split and derive keys."""
