"""The OpenAPI document, the one source of every schema."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, cast

import yaml

Document = Mapping[str, Any]


def load_document() -> Document:
    """Read the document that is shipped with the package."""
    text = files("precache.api").joinpath("openapi.yaml").read_text(encoding="utf-8")
    return cast(Document, yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))  # noqa: S506 - safe


def operation(document: Document, method: str, path: str) -> Mapping[str, Any]:
    """Give what the document says of one method of one path; raises KeyError if it says nothing."""
    return cast(Mapping[str, Any], document["paths"][path][method.lower()])


def resolve(document: Document, thing: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference within the document, if it is one."""
    if "$ref" not in thing:
        return thing
    found: Any = document
    for step in thing["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return cast(Mapping[str, Any], found)
