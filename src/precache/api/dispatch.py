"""From an authenticated request to its handler: the checks that all operations share, in Nova's order.

Middleware has checked version, size and identity. Here: content type, JSON, the operation, the project in the path, the
operation's first microversion, its schema, the policy. The handler does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import falcon

from precache.api.bodies import check_content_type, parse_json
from precache.api.boundary import write_json
from precache.api.calls import Call, Streaming
from precache.api.events.frames import CONTENT_TYPE
from precache.api.microversions import STRICT_QUERIES, Microversion
from precache.api.paths import is_compute, split_project
from precache.api.refusals import InvalidRequest, MalformedBody, NoSuchAction, NoSuchPath, NotAllowed, WrongProject
from precache.api.routes import Route
from precache.api.schemas.validation import Schemas
from precache.ports.policy import Policy

_METHODS_WITH_BODY = frozenset({"PATCH", "POST", "PUT"})


class ProjectPaths:
    """Middleware: takes the project id out of paths of older catalogues, for `Dispatcher` to compare."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        req.path, req.context.project_in_path = split_project(req.path)


class Resource:
    """All operations of one path, with the methods that the framework calls: `on_get`, `on_post` and so on."""

    def __init__(self, responders: dict[str, Callable[..., None]]) -> None:
        for method, responder in responders.items():
            setattr(self, f"on_{method.lower()}", responder)

    def on_options(self, _req: falcon.Request, _resp: falcon.Response, **_params: str) -> None:
        # Otherwise the framework would answer, also to callers who are not allowed to know the path.
        raise falcon.HTTPMethodNotAllowed([name[3:].upper() for name in vars(self) if name.startswith("on_")])


class Dispatcher:
    """Makes resources out of the rows of `routes.py`."""

    def __init__(self, *, policy: Policy, schemas: Schemas) -> None:
        self._policy = policy
        self._schemas = schemas

    def resources(self, rows: Sequence[Route]) -> list[tuple[str, Resource]]:
        """Return (path, resource) for every path of the table."""
        by_path: dict[str, dict[str, list[Route]]] = {}
        for row in rows:
            by_path.setdefault(row.path, {}).setdefault(row.method, []).append(row)
        return [
            (path, Resource({method: self._responder(choices) for method, choices in methods.items()}))
            for path, methods in by_path.items()
        ]

    def _responder(self, choices: list[Route]) -> Callable[..., None]:
        def respond(req: falcon.Request, resp: falcon.Response, **quoted: str) -> None:
            # The server decodes all of a path except this, so that a name with a slash stays one part of it.
            params = {name: value.replace("%2F", "/") for name, value in quoted.items()}
            route, call = self._admit(choices, req, params)
            answer = route.handle(call)
            resp.status = answer.status
            for name, value in answer.headers.items():
                resp.set_header(name, value)
            if answer.events is not None:
                resp.content_type, resp.stream = CONTENT_TYPE, answer.events
            elif answer.content is not None:
                write_json(resp, answer.content)

        return respond

    def _admit(self, choices: list[Route], req: falcon.Request, params: dict[str, str]) -> tuple[Route, Call]:
        """Run the checks; the first failure raises."""
        caller, version = req.context.caller, req.context.microversion
        if not all(params.values()):  # an address that ends where an id should be
            raise NoSuchPath
        check_content_type(req.content_type)
        raw = req.context.read_body() if req.method in _METHODS_WITH_BODY else b""
        body = parse_json(raw, has_novas_text=is_compute(choices[0].path))
        route = _choose(choices, body)
        project = req.context.project_in_path
        if project is not None and project != caller.project_id:
            raise WrongProject(project, caller.project_id)
        if version < route.since:
            raise NoSuchPath
        if route.body is not None and (raw or not route.is_body_optional):
            self._check_body(route.body, body, is_empty=not raw, is_novas=is_compute(route.path))
        query = self._schemas.check_query(
            route.method, route.path, req.params, is_strict=_has_strict_query(route, req.path, version)
        )
        rule = route.rule_for(body)
        if rule is not None and not (caller.has_scope and self._policy.allows(caller, rule)):
            raise NotAllowed(rule)
        return route, Call(
            caller=caller,
            request_id=req.context.request_id,
            microversion=version,
            base_url=_base_url(req),
            params=params,
            query=query,
            body=body,
            idempotency_key=req.get_header("Idempotency-Key"),
            last_event_id=req.get_header("Last-Event-ID"),
            streaming=Streaming.of(req.env),
        )

    def _check_body(self, schema: str, body: Any, *, is_empty: bool, is_novas: bool) -> None:
        if is_empty and not is_novas:
            raise InvalidRequest("The request has no body; this operation needs a JSON object.")
        self._schemas.check_body(schema, body, has_novas_text=is_novas)


def _choose(choices: list[Route], body: Any) -> Route:
    """Return the operation named by the only key of the body, if several share a path. Raises MalformedBody,
    NoSuchAction."""
    if choices[0].action is None:
        return choices[0]
    if not isinstance(body, dict) or len(body) != 1:
        raise MalformedBody
    name = next(iter(body))
    for route in choices:
        if route.action == name:
            return route
    raise NoSuchAction(name)


def _has_strict_query(route: Route, path: str, version: Microversion) -> bool:
    """Return whether an unknown query parameter is an error: always under `/v1`, since 2.102 in Nova's API."""
    if route.rule is None:
        return False
    return not is_compute(path) or (route.method == "GET" and version >= STRICT_QUERIES)


def _base_url(req: falcon.Request) -> str:
    """Return the base URL under which the client, or the proxy in front, reached the service.

    A proxy's headers are trusted, because they are used only in the links of the response to the same request.
    """
    prefix = (req.get_header("X-Forwarded-Prefix") or "").strip("/")
    return f"{req.forwarded_prefix.rstrip('/')}{f'/{prefix}' if prefix else ''}"
