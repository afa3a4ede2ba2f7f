"""Check arguments: keys, numbers, names, trees, meshes, functions."""
