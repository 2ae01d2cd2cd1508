"""Reads the caller from the headers of the authentication middleware.

That is keystonemiddleware, `adapters/identity_tokens.py`, or `noauth`. It must remove these headers from a client's
request, and must pass every request on, because some paths need no authentication. It sets `X-Identity-Status`:
`Confirmed`; `Unavailable` if the check was not possible; `Exposed` for a token that others may have read; any other
value for an unauthenticated caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import falcon

from precache.api.calls import UNAUTHENTICATED
from precache.api.paths import is_open
from precache.api.refusals import NotAuthenticated, TokenExposed
from precache.core.errors import IdentityServiceUnavailable
from precache.ports.policy import Caller

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ANONYMOUS = "noauth"
_ADMIN = "admin"


class Identity:
    """Middleware: sets `req.context.caller`."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Raise NotAuthenticated or IdentityServiceUnavailable, unless the path needs no authentication."""
        req.context.caller = UNAUTHENTICATED
        if is_open(req.path):
            return
        status = req.get_header("X-Identity-Status")
        if status == "Unavailable":
            raise IdentityServiceUnavailable
        if status == "Exposed":
            raise TokenExposed
        # A request with a service token is confirmed only if both tokens are.
        of_service = req.get_header("X-Service-Identity-Status") or "Confirmed"
        caller = _caller(req)
        if (status, of_service) != ("Confirmed", "Confirmed") or not caller.user_id:
            raise NotAuthenticated
        req.context.caller = caller


def _caller(req: falcon.Request) -> Caller:
    def header(name: str) -> str:
        return req.get_header(name) or ""  # the middleware sets missing values to None

    roles = (role.strip() for role in header("X-Roles").split(","))
    return Caller(
        user_id=header("X-User-Id"),
        project_id=header("X-Project-Id"),
        roles=tuple(role for role in roles if role),
        token=req.get_header("X-Auth-Token"),
        user_domain_id=header("X-User-Domain-Id"),
        project_domain_id=header("X-Project-Domain-Id"),
        domain_id=header("X-Domain-Id"),
        system_scope=header("OpenStack-System-Scope"),
    )


def noauth(app: WSGIApplication) -> WSGIApplication:
    """Return `app` with identity headers added to every request: callers are not authenticated, all are administrators.

    For loopback addresses only; the wiring refuses any other, and adds `wiring/browser_guard.py`.
    A token `user:project` (or `user`) names the caller, as in Nova's noauth2. The header `X-Roles: reader,member`
    replaces the role admin for one request, to test policies. Nothing else of the request is changed.
    """

    def vouch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        user, _, project = environ.get("HTTP_X_AUTH_TOKEN", "").partition(":")
        environ["HTTP_X_IDENTITY_STATUS"] = "Confirmed"
        environ["HTTP_X_USER_ID"] = user or _ANONYMOUS
        environ["HTTP_X_PROJECT_ID"] = project or user or _ANONYMOUS
        environ.setdefault("HTTP_X_ROLES", _ADMIN)
        return app(environ, start_response)

    return vouch
