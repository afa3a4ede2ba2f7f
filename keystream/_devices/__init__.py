"""Keys on devices and in processes."""
