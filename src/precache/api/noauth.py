"""`auth_strategy = noauth`: callers are not authenticated, and every caller is an administrator.

For loopback addresses only; the wiring refuses any other, and adds `wiring/browser_guard.py`.
A token `user:project` (or `user`) names the caller, as in Nova's noauth2. The header `X-Roles: reader,member` replaces
the role admin for one request, to test policies. Nothing else of the request is changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ANONYMOUS = "noauth"
_ADMIN = "admin"


def noauth(app: WSGIApplication) -> WSGIApplication:
    """Return `app` with identity headers added to every request."""

    def vouch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        user, _, project = environ.get("HTTP_X_AUTH_TOKEN", "").partition(":")
        environ["HTTP_X_IDENTITY_STATUS"] = "Confirmed"
        environ["HTTP_X_USER_ID"] = user or _ANONYMOUS
        environ["HTTP_X_PROJECT_ID"] = project or user or _ANONYMOUS
        environ.setdefault("HTTP_X_ROLES", _ADMIN)
        return app(environ, start_response)

    return vouch
