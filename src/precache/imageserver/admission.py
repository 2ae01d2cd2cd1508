"""Authentication of requests: versions need no token, as in Glance; all else needs a valid token of any role.

Every image here is public, so no role sees more than another.
"""

from __future__ import annotations

import falcon

_OPEN = frozenset({"/", "/versions"})

_REFUSALS = {
    "Unavailable": (falcon.HTTP_503, "The token cannot be checked at present: the database does not answer."),
    "Exposed": (
        falcon.HTTP_401,
        "The token came unencrypted and is not accepted; use https, and replace the token, because others may have "
        "read it.",
    ),
}
_NO_TOKEN = (falcon.HTTP_401, "The request you have made requires authentication.")


class Admission:
    """Middleware: reads the header `X-Identity-Status`, which the authentication middleware before it sets."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 401 in the format of keystonemiddleware, as Glance does, unless the caller is known."""
        status = req.get_header("X-Identity-Status") or ""
        if req.path in _OPEN or status == "Confirmed":
            return
        resp.status, message = _REFUSALS.get(status, _NO_TOKEN)
        code, title = resp.status.split(" ", 1)
        resp.media = {"error": {"code": int(code), "title": title, "message": message}}
        resp.complete = True
