"""The OpenAPI document, the source of all schemas."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, cast

import yaml

Document = Mapping[str, Any]


@cache
def load_document() -> Document:
    """Return the document that is shipped with the package. Do not change it: it is read once."""
    text = files("precache.api").joinpath("openapi.yaml").read_text(encoding="utf-8")
    return cast(Document, yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))  # noqa: S506 - safe


def operation(document: Document, method: str, path: str) -> Mapping[str, Any]:
    """Return the document's operation for a method and path; raises KeyError if there is none."""
    return cast(Mapping[str, Any], document["paths"][path][method.lower()])


def resolve(document: Document, thing: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference within the document, if it is one."""
    if "$ref" not in thing:
        return thing
    found: Any = document
    for step in thing["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return cast(Mapping[str, Any], found)


_TOKENS = {
    "keystone": "A token of Keystone.",
    "noauth": "`user:project` names the caller; without it the caller is an administrator too.",
    "token": "A token that `precache token create` made; it can also be sent as `Authorization: Bearer`.",
}


def served_document(document: Document, *, auth_strategy: str, base_url: str) -> Document:
    """Return the document for one service, with its address and authentication.

    Without authentication no token is needed, and requests from pages of other sites are refused.
    """
    header = {**document["components"]["securitySchemes"]["token"], "description": _TOKENS[auth_strategy]}
    schemes: dict[str, Any] = {"token": header}
    if auth_strategy == "token":
        schemes["bearer"] = {"type": "http", "scheme": "bearer"}
    served: dict[str, Any] = {
        **document,
        "servers": [{"url": base_url or "/"}],
        "security": [{name: []} for name in schemes],
        "components": {**document["components"], "securitySchemes": schemes},
    }
    if auth_strategy == "noauth":
        served["security"] = [{}, *served["security"]]
        served["paths"] = {path: _guarded(path, item) for path, item in document["paths"].items()}
    return served


def _guarded(path: str, item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add the errors of `wiring/browser_guard.py` to every operation of a path."""
    kind = "ComputeUnversioned" if path.startswith("/compute") else "Error"
    refusals = {status: {"$ref": f"#/components/responses/{kind}"} for status in ("403", "415")}
    return {
        key: {**part, "responses": {**refusals, **part["responses"]}} if key != "parameters" else part
        for key, part in item.items()
    }
