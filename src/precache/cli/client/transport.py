"""HTTP requests by the standard library, which takes 20 ms to import; requests takes 100 ms.

No retries, no redirects: a redirect would turn a POST into a GET and send the token to another server. Requests to this
machine never go through a proxy.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from precache.cli.errors import AnswerLost, AnswerTimeout, ServiceUnreachable, UsageError
from precache.core.certificates import TlsNames, explain_certificate

_TLS_NAMES = TlsNames(
    cafile="--cacert (OS_CACERT)",
    own="cert and key of the cloud in clouds.yaml",
    address="--url (PRECACHE_URL) or in Keystone's catalogue",
)
_PART_BYTES = 64 * 1024
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Headers(Protocol):
    """The headers of an answer; names are looked up without regard to case."""

    def get(self, name: str, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The answer to one HTTP request."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class StreamResponse:
    """The answer to a GET whose body comes bit by bit.

    parts: the body, as it comes. Raises ServiceUnreachable, AnswerTimeout; it may also end early.
    """

    status: int
    headers: Headers
    parts: Iterator[bytes]


class Transport(Protocol):
    """Sends requests; the other implementation uses a keystoneauth session."""

    def stream(self, url: str, headers: Mapping[str, str], timeout_s: float) -> AbstractContextManager[StreamResponse]:
        """Send a GET and return the answer, whatever its status. Raises ServiceUnreachable, AnswerTimeout.

        timeout_s: the longest time without a byte.
        """
        ...

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> HttpResponse:
        """Return the answer, whatever its status. Raises ServiceUnreachable, AnswerTimeout, AnswerLost."""
        ...


class _StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


class UrllibTransport:
    """HTTP and HTTPS, with a time limit on every wait for the network.

    setting_of: returns the setting that contains the address of a request, for messages.
    cacert: a PEM file with the trusted certificate authorities; None for the system's.
    """

    def __init__(self, *, timeout_s: float, setting_of: Callable[[str], str], cacert: str | None = None) -> None:
        self._timeout_s = timeout_s
        self._setting_of = setting_of
        self._cacert = cacert
        self._openers: dict[tuple[str, bool], urllib.request.OpenerDirector] = {}

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> HttpResponse:
        request = urllib.request.Request(url, data=body, headers=dict(headers), method=method)  # noqa: S310 - endpoints.py admits http and https only
        try:
            with self._opener(url).open(request, timeout=self._timeout_s) as response:
                return HttpResponse(response.status, response.headers, response.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return HttpResponse(refusal.code, refusal.headers, self._rest_of(refusal))
        except (OSError, http.client.HTTPException) as error:
            raise self._explained(url, error) from error

    @contextmanager
    def stream(self, url: str, headers: Mapping[str, str], timeout_s: float) -> Iterator[StreamResponse]:
        request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - endpoints.py admits http and https only
        answer: Any
        try:
            answer = self._opener(url).open(request, timeout=timeout_s)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        except (OSError, http.client.HTTPException) as error:
            raise self._explained(url, error, timeout_s) from error
        with answer:
            yield StreamResponse(answer.status, answer.headers, self._parts(url, answer, timeout_s))

    def _parts(self, url: str, answer: Any, timeout_s: float) -> Iterator[bytes]:
        try:
            while part := answer.read1(_PART_BYTES):
                yield part
        except (OSError, http.client.HTTPException) as error:
            raise self._explained(url, error, timeout_s) from error

    @staticmethod
    def _rest_of(refusal: urllib.error.HTTPError) -> bytes:
        # Keep the status even if the body is incomplete.
        try:
            return refusal.read()
        except (OSError, http.client.HTTPException):
            return b""

    def _opener(self, url: str) -> urllib.request.OpenerDirector:
        parts = urlsplit(url)
        key = (parts.scheme, parts.hostname in _LOOPBACK)
        if key not in self._openers:
            handlers: list[urllib.request.BaseHandler] = [_StayHere()]
            if parts.scheme == "https":
                handlers.append(urllib.request.HTTPSHandler(context=self._tls()))
            if key[1]:
                handlers.append(urllib.request.ProxyHandler({}))
            self._openers[key] = urllib.request.build_opener(*handlers)
        return self._openers[key]

    def _tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._cacert)
        except OSError as error:
            raise UsageError(f"The CA file {self._cacert} cannot be used: {error.strerror or error}") from error

    def _explained(self, url: str, error: Exception, timeout_s: float | None = None) -> ServiceUnreachable:
        place = redacted(url)
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, TimeoutError):
            return AnswerTimeout(
                f"No answer from {place} within {timeout_s or self._timeout_s:g} s",
                "try again, or raise --http-timeout",
            )
        if isinstance(cause, ssl.SSLError):
            return ServiceUnreachable(explain_tls_failure(place, str(cause), address=self._setting_of(url)))
        if isinstance(cause, http.client.IncompleteRead):
            return AnswerLost(f"The connection to {place} was closed before the end of the answer", "try again")
        if isinstance(cause, http.client.HTTPException) and not isinstance(cause, OSError):
            return ServiceUnreachable(
                f"What answers at {place} is no HTTP server", f"is {self._setting_of(url)} right?"
            )
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        # urllib raises what happens after it has sent the request as it is, and all else within a URLError.
        kind = AnswerLost if cause is error else ServiceUnreachable
        return kind(
            f"The service at {place} cannot be reached: {reason}",
            f"is it running, and is {self._setting_of(url)} right?",
        )


def redacted(url: str) -> str:
    """Return the address without path and credentials, for a message."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def explain_tls_failure(place: str, reason: str, *, address: str) -> str:
    """Return the message for a failure of TLS. address: the setting that contains the server's address."""
    if told := explain_certificate(reason, _TLS_NAMES):
        return f"The server at {place} is not trusted: {told}"
    return f"{place} does not offer TLS: {reason}; correct http or https in {address}"
