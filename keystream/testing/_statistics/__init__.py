"""Statistical checks of `keystream.testing`: draws beside a distribution, bits, streams."""
