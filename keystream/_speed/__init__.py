"""The same keys and bits from `jax.random`, faster on CPU."""
