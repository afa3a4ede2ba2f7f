"""Define what the checks raise: AssertionErrors, which pytest shows as failed tests."""

from __future__ import annotations

from keystream import KeystreamError


class CheckError(KeystreamError, AssertionError):
    """Base of what the checks of `keystream.testing` raise about the code they are given."""


class DifferenceError(CheckError):
    """Two values that should be equal differ; the message shows the first place."""


class GoldenError(CheckError):
    """A value isn't what its golden file holds, or there is no such file."""


class DistributionError(CheckError):
    """Draws that don't follow the distribution that they should."""


class DependenceError(CheckError):
    """Streams that should be independent of each other and aren't."""
