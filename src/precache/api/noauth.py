"""`auth_strategy = noauth`: everybody who can connect is who they say they are, and an administrator.

For one machine, on a loopback address only; the wiring refuses any other, and puts `wiring/browser_guard.py` in front.
A token `user:project` (or `user`) names the caller, as in Nova's noauth2. The header `X-Roles: reader,member` takes the
administrator's role away for one request, so that policies can be tried out. Nothing else of the request is changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ANONYMOUS = "noauth"
_ADMIN = "admin"


def noauth(app: WSGIApplication) -> WSGIApplication:
    """Put the identity headers on every request on its way to `app`."""

    def vouch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        user, _, project = environ.get("HTTP_X_AUTH_TOKEN", "").partition(":")
        environ["HTTP_X_IDENTITY_STATUS"] = "Confirmed"
        environ["HTTP_X_USER_ID"] = user or _ANONYMOUS
        environ["HTTP_X_PROJECT_ID"] = project or user or _ANONYMOUS
        environ.setdefault("HTTP_X_ROLES", _ADMIN)
        return app(environ, start_response)

    return vouch
