"""How Keystone and the services that trust it are reached: a session that takes nothing from the environment."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from keystoneauth1.noauth import NoAuth
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session, TCPKeepAliveAdapter
from keystoneauth1.token_endpoint import Token

CONNECTIONS_KEPT = 32  # more at once are opened and closed again; an API process seldom has more threads
KEYSTONE_TIMEOUT = timedelta(seconds=30)


def open_session(
    *,
    auth: Any | None = None,
    verify: bool | Path = True,
    cert: str | tuple[str, str] | None = None,
    timeout: timedelta = KEYSTONE_TIMEOUT,
) -> Session:
    """Return a session for the clients of all services; thread-safe.

    auth: a keystoneauth plugin with the service's own credentials; without one nothing is authenticated, for a
        service on loopback or in `noauth` mode.
    verify: how servers' certificates are checked: by the system's authorities, not at all, or by this file.
    cert: our own certificate, for servers that ask for one: a file with its key, or two files.
    timeout: the longest silence of Keystone, and of any server whose client names no other.
    Proxies, certificate files and passwords (`.netrc`) from the environment are not used: loopback would go
    through a proxy, and a token could be sent to one that was not configured.
    """
    http = requests.Session()
    http.trust_env = False
    for scheme in ("http://", "https://"):
        http.mount(scheme, TCPKeepAliveAdapter(pool_maxsize=CONNECTIONS_KEPT))
    return SeparateLoginSession(
        auth=auth or NoAuth(),
        session=http,
        verify=str(verify) if isinstance(verify, Path) else verify,
        cert=cert,
        timeout=timeout.total_seconds(),
        user_agent=f"precache/{version('precache')}",
    )


def token_plugin(token: str) -> BaseAuthPlugin:
    """Return what has a session send this token, for a service whose URL is configured."""
    plugin: BaseAuthPlugin = Token(None, token)
    return plugin


class SeparateLoginSession(Session):
    """A session whose plugin gets its token through another one, which has no credentials.

    A 401 to the question for Keystone's versions makes keystoneauth repeat it with the session's token. With this
    session's, the plugin would wait at a lock that the same thread holds, for ever; now it raises MissingAuthPlugin.
    """

    def __init__(self, *, auth: BaseAuthPlugin, **options: Any) -> None:
        super().__init__(auth=auth, **options)
        self._without = Session(**options)

    def get_auth_headers(self, auth: BaseAuthPlugin | None = None) -> dict[str, str] | None:
        return self._without.get_auth_headers(auth or self.auth)

    def get_endpoint(self, auth: BaseAuthPlugin | None = None, **options: Any) -> str | None:
        return self._without.get_endpoint(auth or self.auth, **options)
