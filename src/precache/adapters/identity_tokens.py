"""Identifies callers by the service's own tokens, in front of the API and of `precache serve images`.

The token comes in `X-Auth-Token`, which OpenStack's clients send, or in `Authorization: Bearer`. The application itself
answers a caller without a valid token, because some of its paths need no token. Identity headers that a client sends
are removed. `precache.api.identity` reads the headers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from precache.core.errors import StoreUnavailable
from precache.core.private_transport import is_private
from precache.core.tokens import Token, find_token
from precache.ports.clock import Clock
from precache.ports.tokens import TokenQueries

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LONGEST_AGE = timedelta(seconds=3)
"""How long a revoked token may still be accepted: the longest time between two reads of the database."""

_STATUS = "HTTP_X_IDENTITY_STATUS"
_SECRET = "HTTP_X_AUTH_TOKEN"  # noqa: S105  the name of a header
_IDENTITY_HEADERS = (
    "HTTP_X_IDENTITY_",
    "HTTP_X_SERVICE_",
    "HTTP_X_STORAGE_",
    "HTTP_X_USER",
    "HTTP_X_PROJECT",
    "HTTP_X_TENANT",
    "HTTP_X_DOMAIN",
    "HTTP_X_ROLE",
    "HTTP_OPENSTACK_SYSTEM_SCOPE",
)
"""Prefixes of the headers that only this file may set."""


class KnownTokens:
    """The tokens in memory; they are read again when they are older than `longest_age`. Thread-safe.

    An unknown token causes no query of the store, so guesses cannot load the database.
    """

    def __init__(
        self,
        *,
        store: TokenQueries,
        clock: Clock,
        longest_age: timedelta = LONGEST_AGE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._clock = store, clock
        self._longest_age_s, self._monotonic = longest_age.total_seconds(), monotonic
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._tokens: Sequence[Token] = ()
        self._failure: StoreUnavailable | None = None

    def find(self, secret: str) -> Token | None:
        """Return the valid token with this secret. Raises StoreUnavailable if the store does not answer."""
        return find_token(secret, self._current(), self._clock.now())

    def _current(self) -> Sequence[Token]:
        # Requests that waited for the thread that queries the store share its result, also a failure.
        with self._lock:
            if self._monotonic() - self._read_at >= self._longest_age_s:
                self._read()
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            return self._tokens

    def _read(self) -> None:
        try:
            self._tokens, self._failure = self._store.list_tokens(), None
        except StoreUnavailable as error:
            # The previous tokens are not used: one of them may be revoked by now.
            self._tokens, self._failure = (), error
        self._read_at = self._monotonic()


def identified_by_token(app: WSGIApplication, known: KnownTokens) -> WSGIApplication:
    """Return `app` behind a middleware that sets the identity headers of the caller's token on every request.

    The status is `Confirmed`, `Invalid`, `Unavailable` if the store does not answer, or `Exposed` for a token that
    crossed a network unencrypted. The caller's user is the token's name, its scope the whole system.
    """

    def identify(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        for header in [name for name in environ if name.startswith(_IDENTITY_HEADERS)]:
            del environ[header]
        secret = _sent_secret(environ)
        environ.pop(_SECRET, None)
        environ[_STATUS] = "Invalid"
        if secret:
            _identify(environ, secret, known)
        return app(environ, start_response)

    return identify


def _identify(environ: WSGIEnvironment, secret: str, known: KnownTokens) -> None:
    if not is_private(environ["wsgi.url_scheme"], environ.get("REMOTE_ADDR"), environ.get("HTTP_X_FORWARDED_PROTO")):
        environ[_STATUS] = "Exposed"
        return
    try:
        token = known.find(secret)
    except StoreUnavailable:
        environ[_STATUS] = "Unavailable"
        return
    if token is not None:
        environ[_STATUS] = "Confirmed"
        environ["HTTP_X_USER_ID"] = environ["HTTP_X_USER_NAME"] = token.name
        environ["HTTP_X_ROLES"] = ",".join(token.roles)
        environ["HTTP_OPENSTACK_SYSTEM_SCOPE"] = "all"
        environ[_SECRET] = secret  # for the image service, which is called with the caller's token


def _sent_secret(environ: WSGIEnvironment) -> str:
    """Return the token that the client sent; empty if it sent none."""
    kind, _, credentials = environ.pop("HTTP_AUTHORIZATION", "").partition(" ")
    return str(environ.get(_SECRET) or (credentials.strip() if kind.lower() == "bearer" else ""))
