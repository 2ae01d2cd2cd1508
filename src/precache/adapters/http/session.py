"""How Keystone and the services that trust it are reached: a session that takes nothing from the environment."""

from __future__ import annotations

import threading
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from keystoneauth1 import exceptions as ksa
from keystoneauth1.noauth import NoAuth
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session, TCPKeepAliveAdapter

CONNECTIONS_KEPT = 32  # more at once are opened and closed again; an API process seldom has more threads
KEYSTONE_TIMEOUT = timedelta(seconds=30)


def open_session(
    *,
    auth: Any | None = None,
    verify: bool | Path = True,
    cert: str | tuple[str, str] | None = None,
    timeout: timedelta = KEYSTONE_TIMEOUT,
) -> Session:
    """Give a session for the clients of all services; thread-safe.

    auth: a keystoneauth plugin with the service's own credentials; without one nothing is authenticated, for a
        service on loopback or in `noauth` mode.
    verify: how servers' certificates are checked: by the system's authorities, not at all, or by this file.
    cert: our own certificate, for servers that ask for one: a file with its key, or two files.
    timeout: the longest silence of Keystone, and of any server whose client names no other.
    Proxies, certificate files and passwords (`.netrc`) from the environment are not used: loopback would go
    through a proxy, and a token could be sent to one that nobody configured.
    """
    http = requests.Session()
    http.trust_env = False
    for scheme in ("http://", "https://"):
        http.mount(scheme, TCPKeepAliveAdapter(pool_maxsize=CONNECTIONS_KEPT))
    return _Session(
        auth=auth or NoAuth(),
        session=http,
        verify=str(verify) if isinstance(verify, Path) else verify,
        cert=cert,
        timeout=timeout.total_seconds(),
        user_agent=f"precache/{version('precache')}",
    )


class LoginWanted(ksa.ClientException):
    """What should be Keystone asks for a token before it says how to get one: a proxy, or another service."""

    def __init__(self) -> None:
        super().__init__("it wants a login before it says which versions it has; correct auth_url")


class _Session(Session):
    """A session that asks for no token in order to get that very token.

    keystoneauth does so where the question for Keystone's versions is answered with 401: it repeats it with a token,
    for which the plugin waits at a lock that the same thread holds, for ever.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._asked = _AskedHere()

    def get_auth_headers(self, auth: BaseAuthPlugin | None = None) -> dict[str, str] | None:
        plugin = auth or self.auth
        if plugin in self._asked.plugins:
            raise LoginWanted
        self._asked.plugins.append(plugin)
        try:
            return super().get_auth_headers(auth)
        finally:
            self._asked.plugins.pop()

    def get_endpoint(
        self, auth: BaseAuthPlugin | None = None, *, endpoint_override: str | None = None, **options: Any
    ) -> str | None:
        # The token first: to look into the catalogue the plugin would get it by itself, past `get_auth_headers`.
        if not endpoint_override:
            self.get_auth_headers(auth)
        return super().get_endpoint(auth, endpoint_override=endpoint_override, **options)


class _AskedHere(threading.local):
    """The plugins that this thread is asking for a token, the first one first."""

    def __init__(self) -> None:
        self.plugins: list[BaseAuthPlugin | None] = []
