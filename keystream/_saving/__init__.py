"""Saving: keys and streams as text or arrays, and the manifest of what numbers depend on."""
