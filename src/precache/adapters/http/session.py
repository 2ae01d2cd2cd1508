"""The session for requests to Keystone and other services. It takes nothing from the environment."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.noauth import NoAuth
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session, TCPKeepAliveAdapter
from keystoneauth1.token_endpoint import Token

CONNECTIONS_KEPT = 32  # further connections are closed after use; an API process rarely has more threads
KEYSTONE_TIMEOUT = timedelta(seconds=30)


def open_session(
    *,
    auth: Any | None = None,
    verify: bool | Path = True,
    cert: str | tuple[str, str] | None = None,
    timeout: timedelta = KEYSTONE_TIMEOUT,
) -> Session:
    """Return a session for the clients of all services; thread-safe.

    auth: a keystoneauth plugin with the service user's credentials; None to authenticate nothing, for a service on
    loopback or in `noauth` mode.
    verify: how servers' certificates are checked: by the system's authorities, not at all, or by this file.
    cert: the client certificate for servers that require one: a file that includes the key, or two files.
    timeout: the longest silence of Keystone, and of other servers by default. Proxies, certificate files and passwords
    (`.netrc`) from the environment are ignored: otherwise requests to loopback would go through a proxy, and a token
    could be sent to a server that is not configured.
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
    """Return a plugin with which a session sends this token to a service whose URL is configured."""
    plugin: BaseAuthPlugin = Token(None, token)
    return plugin


def role_names(session: Session, login: BaseIdentityPlugin) -> frozenset[str]:
    """Return the names of the roles in the token of the session's plugin; get a token if there is none."""
    connection = session.without_credentials if isinstance(session, SeparateLoginSession) else session
    return frozenset(login.get_access(connection).role_names or ())


class SeparateLoginSession(Session):
    """A session whose plugin gets its token through a second session without credentials.

    If Keystone answers 401 to a query of its versions, keystoneauth repeats it with the session's token. In one session
    the plugin would then wait for ever for a lock that its own thread holds. With the second session it raises
    MissingAuthPlugin.
    """

    def __init__(self, *, auth: BaseAuthPlugin, **options: Any) -> None:
        super().__init__(auth=auth, **options)
        self.without_credentials = Session(**options)

    def get_auth_headers(self, auth: BaseAuthPlugin | None = None) -> dict[str, str] | None:
        return self.without_credentials.get_auth_headers(auth or self.auth)

    def get_endpoint(self, auth: BaseAuthPlugin | None = None, **options: Any) -> str | None:
        return self.without_credentials.get_endpoint(auth or self.auth, **options)
