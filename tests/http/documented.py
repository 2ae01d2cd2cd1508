"""A wrapper around the application that fails for an answer which the OpenAPI document does not describe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from precache.api.paths import is_compute, split_project
from precache.api.schemas.document import Document, resolve

_ALWAYS = {"content-type", "content-length"}


class Documented:
    """Raises AssertionError from within the request; counts which answers were seen."""

    def __init__(self, app: Any, document: Document) -> None:
        self._app = app
        # Clients must ignore unknown fields; the service must not send undocumented ones.
        self._document = document = _closed(document)
        self._registry: Registry[Any] = Registry().with_resource("doc", DRAFT202012.create_resource(dict(document)))
        self._paths = [(_pattern(path), path) for path in sorted(document["paths"], key=lambda path: path.count("{"))]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        started: dict[str, Any] = {}

        def note(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            started.update(status=status, headers=headers)
            return start_response(status, headers, *rest)

        body = b"".join(self._app(environ, note))
        headers = {name.lower(): value for name, value in started["headers"]}
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        self._check(environ["REQUEST_METHOD"], path, started["status"][:3], headers, body)
        return [body]

    def _check(self, method: str, path: str, status: str, headers: dict[str, str], body: bytes) -> None:
        described = self._describe(method, path, status)
        declared = {name.lower(): resolve(self._document, each) for name, each in described.get("headers", {}).items()}
        missing = [name for name, each in declared.items() if each.get("required") and name not in headers]
        assert not missing, f"{method} {path} {status} lacks the headers {missing}"
        undocumented = set(headers) - set(declared) - _ALWAYS
        assert not undocumented, f"{method} {path} {status} has undocumented headers {undocumented}"
        for name, each in declared.items():
            if name in headers:
                Draft202012Validator(each["schema"]).validate(headers[name])
        own_id = headers["x-openstack-request-id"]
        assert headers.get("x-compute-request-id", own_id) == own_id
        if "content" not in described:
            assert body == b"", f"{method} {path} {status} has an undocumented body {body!r}"
            return
        if "text/event-stream" in described["content"]:
            assert body.startswith(b"retry: "), f"{method} {path} {status} is no stream of events"
            return
        schema = self._anchored(described["content"]["application/json"]["schema"])
        content = json.loads(body)
        Draft202012Validator(schema, registry=self._registry).validate(content)
        if "error" in content:
            assert content["error"].get("request_id", own_id) == own_id

    def _describe(self, method: str, path: str, status: str) -> dict[str, Any]:
        """Return what the document says of this answer; an address that it does not know may only be refused."""
        template = next((each for pattern, each in self._paths if pattern.fullmatch(split_project(path)[0])), None)
        operations = self._document["paths"].get(template, {})
        if method.lower() not in operations:
            assert status in ({"401", "404", "406", "503"} if template is None else {"401", "405", "503"}), (
                f"{method} {path} {status}"
            )
            return self._refusal(path, status)
        responses = operations[method.lower()]["responses"]
        assert status in responses, f"{method} {path} may not answer {status}"
        return dict(resolve(self._document, responses[status]))

    def _refusal(self, path: str, status: str) -> dict[str, Any]:
        known = self._document["components"]["responses"]
        name = ("ComputeError" if is_compute(path) else "Error") if status != "401" else "Unauthenticated"
        if status == "401" and is_compute(path):
            name = "ComputeUnauthenticated"
        headers = dict(known[name]["headers"])
        if status == "405":
            headers["Allow"] = {"required": True, "schema": {"type": "string", "pattern": "^[A-Z, ]+$"}}
        return {**known[name], "headers": headers}

    def _anchored(self, schema: Any) -> Any:
        """Let references within the schema find the document."""
        return json.loads(json.dumps(schema).replace('"#/', '"doc#/'))


def _closed(schema: Any) -> Any:
    """Return the schema, or the part of the document, with every object limited to the properties that it names."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(part) for key, part in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        closed.setdefault("additionalProperties", False)
    return closed


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("[^/]*".join(re.escape(part) for part in re.split(r"\{[a-z_]+\}", path)))
