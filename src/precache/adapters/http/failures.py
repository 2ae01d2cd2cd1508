"""The reasons why a service gave no usable answer, as errors that each adapter translates."""

from __future__ import annotations

import ssl
from http.client import IncompleteRead

from keystoneauth1 import exceptions as ksa

from precache.core.certificates import TlsNames, explain_certificate

_LONGEST_TEXT = 200  # a longer reason usually quotes a server's page


def innermost(error: BaseException) -> str:
    """Return the text of an error's first cause on one line, or the name of its class if it has no text."""
    cause = _first_cause(error)
    if isinstance(cause, IncompleteRead):
        return "it was closed before the end"
    return getattr(cause, "strerror", None) or _on_one_line(str(cause)) or type(cause).__name__


def find_cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the first exception of this kind among an error and its causes."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, kind):
        found = found.__cause__ or found.__context__
    return found


def is_disconnect(error: BaseException) -> bool:
    """Return whether the server closed an established connection before it answered."""
    # http.client's RemoteDisconnected is a ConnectionResetError.
    return isinstance(_first_cause(error), ConnectionResetError | BrokenPipeError | ConnectionAbortedError)


def _on_one_line(text: str) -> str:
    # The text may quote what the server sent, and is shown in logs and on terminals.
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:_LONGEST_TEXT]


def _first_cause(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


class HttpRequestFailed(Exception):
    """A service did not answer, or its answer cannot be read.

    reason: for an operator; contains no token, no header and no part of the answer.
    """

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"{endpoint}: {reason}")
        self.endpoint, self.reason = endpoint, reason


class TokenUnavailable(HttpRequestFailed):
    """Keystone issues no token at present, so the request was not sent."""


class CredentialsRefused(TokenUnavailable):
    """Keystone refuses the credentials; waiting does not help."""


def why_unreachable(error: ksa.ClientException, section: str = "service_user") -> str:
    """Return the reason for an error that keystoneauth raised. It contains no header.

    section: the configuration section that names the trusted certificate authorities.
    """
    if find_cause(error, ksa.ConnectTimeout):
        return "it does not answer in time"
    if failure := find_cause(error, ssl.SSLError):
        names = TlsNames(cafile=f"[{section}] cafile", own=f"[{section}] certfile and keyfile", address="its URL")
        if told := explain_certificate(str(failure), names):
            return told
        return f"it does not offer TLS ({innermost(error)}); correct http or https in its URL"
    if isinstance(error, ksa.MissingAuthPlugin):  # keystoneauth wants a token to get the token
        return "it requires authentication for the list of its versions; correct auth_url"
    if isinstance(error, ksa.HttpError):
        return f"HTTP status {error.http_status}"
    if find_cause(error, OSError):
        return innermost(error)
    return type(getattr(error, "original", error)).__name__
