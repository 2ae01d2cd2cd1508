"""Names every request: `req-<uuid>` in the answer and in the log, with the id that an outer service gave it."""

from __future__ import annotations

import logging
import re
from uuid import uuid4

import falcon

from precache.api.paths import is_compute
from precache.core.work_context import WorkContext, set_current_work

HEADER = "x-openstack-request-id"
NOVA_HEADER = "x-compute-request-id"

_FORM = re.compile(r"req-[a-f0-9]{8}(-[a-f0-9]{4}){3}-[a-f0-9]{12}")

_log = logging.getLogger("precache.api")


class RequestIds:
    """Middleware, the outermost: one id and one line in the log for every request."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.request_id = f"req-{uuid4()}"
        given = req.get_header(HEADER) or ""
        # Only the log learns it: whoever sends it might have made it up.
        outer = given if _FORM.fullmatch(given) else None
        set_current_work(WorkContext(request_id=req.context.request_id, global_request_id=outer))
        resp.set_header(HEADER, req.context.request_id)
        if is_compute(req.path):
            resp.set_header(NOVA_HEADER, req.context.request_id)

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool) -> None:
        caller = getattr(req.context, "caller", None)
        _log.info(
            "%s %r %s user=%s",
            req.method,
            req.path,
            resp.status_code,
            caller.user_id if caller and caller.user_id else "-",
        )
        set_current_work(None)
