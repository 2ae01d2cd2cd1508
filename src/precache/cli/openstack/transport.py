"""HTTP requests over a keystoneauth session, which adds the token and renews it when it has expired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from keystoneauth1 import exceptions

from precache.adapters.http import innermost, is_disconnect
from precache.cli.client.transport import HttpResponse, StreamResponse, explain_tls_failure, redacted
from precache.cli.errors import AnswerLost, AnswerTimeout, LoginRefused, NoKeystone, ServiceFailed, ServiceUnreachable
from precache.core.errors import PrecacheError


class SessionTransport:
    """Sends requests with the session's token; no retries, no redirects, a time limit on every wait.

    session: a `keystoneauth1.session.Session` with its auth plugin.
    """

    def __init__(self, *, session: Any, timeout_s: float) -> None:
        self._session = session
        self._timeout_s = timeout_s

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> HttpResponse:
        self._log_in()
        try:
            answer = self._session.request(
                url,
                method,
                headers=dict(headers),
                data=body,
                timeout=self._timeout_s,
                raise_exc=False,
                redirect=False,
            )
        except exceptions.ClientException as error:
            raise explained(error, url) from error
        return HttpResponse(answer.status_code, answer.headers, answer.content)

    @contextmanager
    def stream(self, url: str, headers: Mapping[str, str], timeout_s: float) -> Iterator[StreamResponse]:
        self._log_in()
        try:
            answer = self._session.request(
                url,
                "GET",
                headers=dict(headers),
                timeout=timeout_s,
                raise_exc=False,
                redirect=False,
                stream=True,
                log=False,
            )
        except exceptions.ClientException as error:
            raise explained(error, url) from error
        with answer:
            yield StreamResponse(answer.status_code, answer.headers, self._parts(url, answer))

    @staticmethod
    def _parts(url: str, answer: Any) -> Iterator[bytes]:
        try:
            yield from answer.iter_content(chunk_size=None)
        except OSError as error:  # those of requests are
            raise ServiceUnreachable(f"The connection to {redacted(url)} broke: {innermost(error)}") from error

    def _log_in(self) -> None:
        """Get a token before the request, so that failures of Keystone and of the service can be distinguished."""
        if self._session.auth is None:
            return
        try:
            self._session.get_auth_headers()
        except exceptions.ClientException as error:
            raise explained_by_keystone(error, self._session) from error


_NOT_OF_A_KEYSTONE = (
    exceptions.DiscoveryFailure,
    exceptions.HttpNotImplemented,
    exceptions.InvalidResponse,
    exceptions.MethodNotAllowed,
    exceptions.NotFound,
)
"""Errors for a web server that is not a Keystone: it knows neither tokens nor versions."""


def explained_by_keystone(error: exceptions.ClientException, session: Any) -> PrecacheError:
    """Return the error to raise for a failure of the login or of the catalogue look-up."""
    place = redacted(keystone_of(session))
    if isinstance(error, exceptions.ConnectTimeout):
        return ServiceUnreachable(f"No answer from Keystone at {place} in time", "try again later")
    if isinstance(error, exceptions.MissingAuthPlugin):
        return NoKeystone(place, "it requires authentication for the list of its versions")
    if isinstance(error, _NOT_OF_A_KEYSTONE):
        return NoKeystone(place, _first_sentence(error))
    if isinstance(error, exceptions.ConnectionError) and not isinstance(error, exceptions.SSLError):
        return ServiceUnreachable(
            f"Keystone at {place} cannot be reached: {innermost(error)}",
            "is it running, and is OS_AUTH_URL (auth_url in clouds.yaml) right?",
        )
    return explained(error, keystone_of(session))


def keystone_of(session: Any) -> str:
    """Return the address of the session's Keystone, for a message."""
    return str(getattr(session.auth, "auth_url", None) or "")


def explained(error: exceptions.ClientException, url: str) -> PrecacheError:
    """Return the error to raise for one of keystoneauth. url: of the request."""
    place = redacted(url)
    if isinstance(error, exceptions.ConnectTimeout):
        return AnswerTimeout(f"No answer from {place} in time", "try again later")
    if isinstance(error, exceptions.SSLError):
        return ServiceUnreachable(explain_tls_failure(place, innermost(error), address="its address"))
    if isinstance(error, exceptions.ConnectionError):
        kind = AnswerLost if is_disconnect(error) else ServiceUnreachable
        return kind(
            f"The service at {place} cannot be reached: {innermost(error)}",
            "is it running, and is its address right?",
        )
    if isinstance(error, exceptions.HttpError) and error.http_status >= 500:
        return ServiceFailed(f"Keystone at {place}", error.http_status, str(error), error.request_id)
    return LoginRefused(place, str(error).rstrip("."))


def _first_sentence(error: BaseException) -> str:
    """Return the message without the HTML page that may follow it."""
    return str(error).splitlines()[0].partition(". ")[0].rstrip(".")
