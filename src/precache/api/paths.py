"""Classifies paths: the format of errors and whether authentication is needed depend on it."""

from __future__ import annotations

import re

COMPUTE = "/compute"
VERSIONED_COMPUTE = "/compute/v2.1"

_OPEN = frozenset(
    {
        "/",
        "/healthcheck",
        "/v1",
        "/v1/",
        "/v1/openapi.json",
        COMPUTE,
        f"{COMPUTE}/",
        VERSIONED_COMPUTE,
        f"{VERSIONED_COMPUTE}/",
    }
)
"""Paths without authentication: version documents, the OpenAPI document, the health check."""

# Older catalogues put the caller's project between the version and the resource.
_WITH_PROJECT = re.compile(r"(/compute/v2\.1)/([0-9a-f-]+)(/os-aggregates(?:/.*)?)", re.DOTALL)


def is_compute(path: str) -> bool:
    """Return whether errors on this path have Nova's format."""
    return path == COMPUTE or path.startswith(f"{COMPUTE}/")


def is_versioned_compute(path: str) -> bool:
    return path == VERSIONED_COMPUTE or path.startswith(f"{VERSIONED_COMPUTE}/")


def is_open(path: str) -> bool:
    return path in _OPEN


def split_project(path: str) -> tuple[str, str | None]:
    """Return the path without the project id that an older catalogue put into it, and that id."""
    match = _WITH_PROJECT.fullmatch(path)
    return (path, None) if match is None else (match[1] + match[3], match[2])
