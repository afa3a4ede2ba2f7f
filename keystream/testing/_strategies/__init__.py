"""The hypothesis strategies of `keystream.testing`."""
