"""What clients ask before they ask for images: the versions and the schemas."""

from __future__ import annotations

from typing import Any

import falcon

# What of Glance's API is served: the reading calls up to the multihash and hidden images of v2.7.
_MINOR_VERSIONS = (7, 6, 5, 4, 3, 2, 1, 0)


class Versions:
    """Answers with the list; status 300 at the root, as Glance does, 200 at `/versions`."""

    def __init__(self, *, status: str) -> None:
        self._status = status

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.status = self._status
        resp.media = {"versions": [_version(minor, f"{req.prefix}/v2/") for minor in _MINOR_VERSIONS]}

    on_head = on_get


def _version(minor: int, href: str) -> dict[str, Any]:
    status = "CURRENT" if minor == _MINOR_VERSIONS[0] else "SUPPORTED"
    return {"id": f"v2.{minor}", "status": status, "links": [{"rel": "self", "href": href}]}


_TEXT: dict[str, Any] = {"type": "string"}
_TEXT_OR_NULL: dict[str, Any] = {"type": ["null", "string"]}
_NUMBER: dict[str, Any] = {"type": "integer"}
_NUMBER_OR_NULL: dict[str, Any] = {"type": ["null", "integer"]}
_FLAG: dict[str, Any] = {"type": "boolean"}

_SET_BY_SERVICE = ("status", "created_at", "updated_at", "self", "file", "schema")
_FOUND_IN_DATA = ("checksum", "os_hash_algo", "os_hash_value")


def _read_only(schema: dict[str, Any]) -> dict[str, Any]:
    """Mark the fields that only the service sets: glance's command line makes options of all others."""
    return {**schema, "readOnly": True}


IMAGE_SCHEMA: dict[str, Any] = {
    "name": "image",
    "properties": {
        **dict.fromkeys(_SET_BY_SERVICE, _read_only(_TEXT)),
        **dict.fromkeys(_FOUND_IN_DATA, _read_only(_TEXT_OR_NULL)),
        **dict.fromkeys(("size", "virtual_size"), _read_only(_NUMBER_OR_NULL)),
        **dict.fromkeys(("id", "visibility"), _TEXT),
        **dict.fromkeys(("name", "owner", "disk_format", "container_format"), _TEXT_OR_NULL),
        **dict.fromkeys(("min_disk", "min_ram"), _NUMBER),
        **dict.fromkeys(("protected", "os_hidden"), _FLAG),
        "tags": {"type": "array", "items": _TEXT},
    },
    "additionalProperties": _TEXT,
    "links": [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}

IMAGES_SCHEMA: dict[str, Any] = {
    "name": "images",
    "properties": {
        "images": {"type": "array", "items": IMAGE_SCHEMA},
        **dict.fromkeys(("first", "next", "schema"), _TEXT),
    },
    "links": [
        {"rel": "first", "href": "{first}"},
        {"rel": "next", "href": "{next}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}


class Schema:
    """One JSON schema."""

    def __init__(self, *, schema: dict[str, Any]) -> None:
        self._schema = schema

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = self._schema

    on_head = on_get
