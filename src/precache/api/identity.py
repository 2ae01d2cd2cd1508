"""Who calls, from the headers that authentication in front of us sets (keystonemiddleware, or `noauth.py`).

The middleware in front must remove these headers from what a client sends; keystonemiddleware does. It must be
configured to delay its decision, for the version documents are open to everybody.
"""

from __future__ import annotations

import falcon

from precache.api.calls import NOBODY
from precache.api.paths import is_open
from precache.api.refusals import NotAuthenticated
from precache.ports.policy import Caller


class Identity:
    """Middleware: sets `req.context.caller`."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Raises NotAuthenticated unless the path is open to everybody."""
        req.context.caller = NOBODY
        if is_open(req.path):
            return
        user_id = req.get_header("X-User-Id")
        if req.get_header("X-Identity-Status") != "Confirmed" or not user_id:
            raise NotAuthenticated
        roles = (role.strip() for role in (req.get_header("X-Roles") or "").split(","))
        req.context.caller = Caller(
            user_id=user_id,
            project_id=req.get_header("X-Project-Id") or "",
            roles=tuple(role for role in roles if role),
            token=req.get_header("X-Auth-Token"),
        )
