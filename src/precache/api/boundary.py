"""The border of every request: its id, its log line, and the response to an exception.

A request id is `req-<uuid>`, in the response and in the log. A bug is logged with its traceback.
"""

from __future__ import annotations

import json
import logging
import re
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import falcon

from precache.api import errors
from precache.api.paths import is_compute
from precache.api.refusals import MalformedHeader, NoSuchPath, NotAuthenticated, WrongMethod
from precache.core.errors import PrecacheError
from precache.core.work_context import WorkContext, set_current_work

ID_HEADER = "x-openstack-request-id"
NOVA_ID_HEADER = "x-compute-request-id"

_FORM = re.compile(r"req-[a-f0-9]{8}(-[a-f0-9]{4}){3}-[a-f0-9]{12}")

_log = logging.getLogger("precache.api")


class RequestIds:
    """The outermost middleware: one id and one log line for every request."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.request_id = f"req-{uuid4()}"
        given = req.get_header(ID_HEADER) or ""
        # Used only in the log, because a client can send any value.
        outer = given if _FORM.fullmatch(given) else None
        set_current_work(WorkContext(request_id=req.context.request_id, global_request_id=outer))
        resp.set_header(ID_HEADER, req.context.request_id)
        if is_compute(req.path):
            resp.set_header(NOVA_ID_HEADER, req.context.request_id)

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


def write_json(resp: falcon.Response, content: Any) -> None:
    """Make `content` the body. Pure ASCII, so that any text from a client can be sent back."""
    resp.content_type = falcon.MEDIA_JSON
    resp.data = json.dumps(content).encode("ascii")


def handle_error(req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, Any]) -> None:
    """Answer an error: Precache's by the table, the framework's translated, and any other as a bug."""
    if isinstance(error, falcon.HTTPError):
        error = _translated(req, resp, error)
    fault = errors.fault_of(error)
    if fault is None:
        _log.error("%s: unexpected error", req.context.request_id, exc_info=error)
        fault = errors.Fault(500, errors.INTERNAL_CODE)
        message = errors.internal_message(req.context.request_id)
    else:
        message = str(error)
        if fault.status >= 500:
            _log.warning("%s: %s", req.context.request_id, message)
    resp.status = fault.status
    write_json(resp, _body(req, error, fault, message))


def _body(req: falcon.Request, error: Exception, fault: errors.Fault, message: str) -> dict[str, Any]:
    if isinstance(error, NotAuthenticated):
        return errors.keystone_body(message)
    if is_compute(req.path):
        return errors.nova_body(fault.status, message)
    return errors.own_body(fault.status, fault.code, message, req.context.request_id, error)


def _translated(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError
) -> PrecacheError | falcon.HTTPError:
    """Translate the framework's error: an unknown path, a wrong method, a malformed header."""
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NoSuchPath()
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        methods = dict(error.headers or ()).get("Allow", "").split(", ")
        allowed = ", ".join(method for method in methods if method != "OPTIONS")
        resp.set_header("Allow", allowed)
        return WrongMethod(req.method, allowed)
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return MalformedHeader(str(error.description))
    return error
