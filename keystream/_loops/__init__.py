"""Loops whose steps each get a key."""
