"""Why a service gave no answer that can be used: the errors, which each adapter translates, and their reasons."""

from __future__ import annotations

import ssl
from http.client import IncompleteRead

from keystoneauth1 import exceptions as ksa

from precache.core.certificates import TlsNames, explain_certificate

_LONGEST_TEXT = 200  # the rest of a longer one is some server's prose


def innermost(error: BaseException) -> str:
    """Return the text of the first cause of an error on one line, or the name of its class where it has no text."""
    cause = _first_cause(error)
    if isinstance(cause, IncompleteRead):
        return "it was closed before the end"
    return getattr(cause, "strerror", None) or _on_one_line(str(cause)) or type(cause).__name__


def find_cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the first of this kind among an error and its causes."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, kind):
        found = found.__cause__ or found.__context__
    return found


def is_hang_up(error: BaseException) -> bool:
    """Return whether the server closed an established connection before it answered."""
    # http.client's RemoteDisconnected is a ConnectionResetError.
    return isinstance(_first_cause(error), ConnectionResetError | BrokenPipeError | ConnectionAbortedError)


def _on_one_line(text: str) -> str:
    # It may quote what the server sent, and that goes into logs and to terminals.
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:_LONGEST_TEXT]


def _first_cause(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


class ServiceUnreachable(Exception):
    """A service did not answer, or answered what cannot be read.

    reason: for an operator; it holds no token, no header and nothing of the answer.
    """

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"{endpoint}: {reason}")
        self.endpoint, self.reason = endpoint, reason


class TokenUnavailable(ServiceUnreachable):
    """Keystone gives us no token at present, so the service was not asked."""


class CredentialsRefused(TokenUnavailable):
    """Keystone refuses the credentials; waiting does not help."""


def why_unreachable(error: ksa.ClientException, section: str = "service_user") -> str:
    """Return the reason for an error that keystoneauth raised in place of an answer. It holds no header.

    section: of the configuration, where the authorities are named that we believe.
    """
    if find_cause(error, ksa.ConnectTimeout):
        return "it does not answer in time"
    if failure := find_cause(error, ssl.SSLError):
        names = TlsNames(cafile=f"[{section}] cafile", own=f"[{section}] certfile and keyfile", address="its URL")
        if told := explain_certificate(str(failure), names):
            return told
        return f"there is no TLS to be had ({innermost(error)}); correct http or https in its URL"
    if isinstance(error, ksa.MissingAuthPlugin):  # keystoneauth would have asked with a token, and was to get one
        return "it wants a login before it says which versions it has; correct auth_url"
    if isinstance(error, ksa.HttpError):
        return f"HTTP status {error.http_status}"
    if find_cause(error, OSError):
        return innermost(error)
    return type(getattr(error, "original", error)).__name__
