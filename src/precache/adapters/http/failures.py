"""Why a service gave no answer that can be used. Each adapter tells these in errors of its own."""

from __future__ import annotations


class ServiceUnreachable(Exception):
    """A service did not answer, or answered what nobody can read.

    reason: for an operator; it holds no token, no header and nothing of the answer.
    """

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"{endpoint}: {reason}")
        self.endpoint, self.reason = endpoint, reason


class TokenUnavailable(ServiceUnreachable):
    """Keystone gives us no token at present, so the service was not asked."""


class CredentialsRefused(TokenUnavailable):
    """Keystone knows our credentials for wrong; it will not think better of it by itself."""
