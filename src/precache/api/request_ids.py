"""Request ids: `req-<uuid>` in the response and in the log, with the global id from the calling service."""

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
    """The outermost middleware: one id and one log line for every request."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.request_id = f"req-{uuid4()}"
        given = req.get_header(HEADER) or ""
        # Used only in the log, because a client can send any value.
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
