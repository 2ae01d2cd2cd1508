"""Version documents, the OpenAPI document and the health check. They need no authentication."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from precache.api.calls import Answer, Call
from precache.api.microversions import MAX, MIN
from precache.api.schemas.document import Document, served_document
from precache.ports.job_store import StoreProbe

# The date of v2.1 in Nova's own documents.
_COMPUTE_UPDATED = "2013-07-23T11:33:21Z"
_UPDATED = "2026-11-22T00:00:00Z"


class Service:
    """Version documents have the format of keystoneauth's discovery."""

    def __init__(self, *, store: StoreProbe, document: Document, auth_strategy: str) -> None:
        self._store = store
        self._document = document
        self._auth_strategy = auth_strategy

    def versions(self, call: Call) -> Answer:
        return Answer({"name": "precache", "release": version("precache"), "versions": [_own_version(call.base_url)]})

    def version(self, call: Call) -> Answer:
        return Answer({"version": _own_version(call.base_url)})

    def compute_versions(self, call: Call) -> Answer:
        return Answer({"versions": [_compute_version(f"{call.base_url}/compute/v2.1/")]})

    def compute_version(self, call: Call) -> Answer:
        version = _compute_version(f"{call.base_url}/compute/v2.1/")
        media_type = {"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}
        return Answer({"version": version | {"media-types": [media_type]}})

    def openapi(self, call: Call) -> Answer:
        return Answer(served_document(self._document, auth_strategy=self._auth_strategy, base_url=call.base_url))

    def health(self, _call: Call) -> Answer:
        """Answer 200 while requests can be accepted, which needs the database."""
        self._store.check_reachable()
        return Answer({"status": "ok"})


def _own_version(base_url: str) -> dict[str, Any]:
    return {
        "id": "v1",
        "status": "CURRENT",
        "updated": _UPDATED,
        "links": [
            {"rel": "self", "href": f"{base_url}/v1/"},
            {"rel": "describedby", "type": "application/json", "href": f"{base_url}/v1/openapi.json"},
            {"rel": "compute", "href": f"{base_url}/compute/v2.1/"},
        ],
    }


def _compute_version(href: str) -> dict[str, Any]:
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": str(MAX),
        "min_version": str(MIN),
        "updated": _COMPUTE_UPDATED,
        "links": [{"rel": "self", "href": href}],
    }
