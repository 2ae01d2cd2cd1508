"""Turns exceptions into HTTP responses; a bug is logged with its traceback."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

import falcon

from precache.api import errors
from precache.api.paths import is_compute
from precache.api.refusals import MalformedHeader, NoSuchPath, NotAuthenticated, WrongMethod
from precache.core.errors import PrecacheError

_log = logging.getLogger("precache.api")


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
    return errors.own_body(fault.status, fault.code, message, req.context.request_id)


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
