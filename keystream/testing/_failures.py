"""What a check raises when what it looked at isn't so: AssertionErrors, for pytest to show."""

from __future__ import annotations

from keystream import KeystreamError


class CheckError(KeystreamError, AssertionError):
    """Base of what the checks of `keystream.testing` raise about the code they are given."""


class DifferenceError(CheckError):
    """Two values that should be equal differ; the message shows the first place."""


class GoldenError(CheckError):
    """A value isn't what its golden file holds, or there is no such file."""
