"""Show values in notebooks, and suggest names."""
