"""Host aggregates over Nova's API, so that the commands also work with Nova itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from precache.cli.client.session import JsonObject, Session, objects
from precache.cli.errors import Ambiguous, Missing, RequestRefused

# The first microversion with image caching; it does not change older calls.
_VERSION = {"OpenStack-API-Version": "compute 2.81", "X-OpenStack-Nova-API-Version": "2.81"}
_JOB_ID_HEADER = "X-Precache-Job-Id"
_INTEGER = re.compile(r"0|[1-9][0-9]{0,18}")


class Aggregates:
    """The requests about aggregates. Changes return the changed aggregate."""

    def __init__(self, session: Session, compute_url: str) -> None:
        self._session = session
        self._url = f"{compute_url}/os-aggregates"

    def every(self) -> list[JsonObject]:
        return objects(self._session.whole("GET", self._url, headers=_VERSION), "aggregates", f"GET {self._url}")

    def find(self, name_or_id: str) -> JsonObject:
        """Return the aggregate with this id, else this UUID, else this name.

        Raises Missing, or Ambiguous if several have the name.
        """
        if _INTEGER.fullmatch(name_or_id):
            try:
                return self._session.read("GET", f"{self._url}/{name_or_id}", "aggregate", headers=_VERSION)
            except RequestRefused as error:
                # An aggregate may be named "2024", so try the name; every other refusal is final.
                if error.status != 404:
                    raise
        known = self.every()
        same_uuid = [found for found in known if found.get("uuid") and found["uuid"].lower() == name_or_id.lower()]
        matches = same_uuid or [found for found in known if found.get("name") == name_or_id]
        if not matches:
            raise Missing("aggregate", name_or_id, "'precache aggregate list' shows all")
        if len(matches) > 1:
            raise Ambiguous("aggregate", name_or_id, [str(found["id"]) for found in matches])
        return matches[0]

    def create(self, name: str, availability_zone: str | None) -> JsonObject:
        fields = {"name": name} | ({"availability_zone": availability_zone} if availability_zone else {})
        return self._session.read("POST", self._url, "aggregate", body={"aggregate": fields}, headers=_VERSION)

    def update(self, aggregate_id: int, fields: Mapping[str, str]) -> JsonObject:
        """Change `name` or `availability_zone` or both."""
        url = f"{self._url}/{aggregate_id}"
        return self._session.read("PUT", url, "aggregate", body={"aggregate": dict(fields)}, headers=_VERSION)

    def set_metadata(self, aggregate_id: int, metadata: Mapping[str, str | None]) -> JsonObject:
        """Merge the metadata in; a None value removes its key."""
        return self._act(aggregate_id, {"set_metadata": {"metadata": dict(metadata)}})

    def add_host(self, aggregate_id: int, host: str) -> JsonObject:
        return self._act(aggregate_id, {"add_host": {"host": host}})

    def remove_host(self, aggregate_id: int, host: str) -> JsonObject:
        return self._act(aggregate_id, {"remove_host": {"host": host}})

    def delete(self, aggregate_id: int) -> None:
        self._session.call("DELETE", f"{self._url}/{aggregate_id}", headers=_VERSION)

    def cache_images(self, aggregate_id: int, image_ids: Sequence[str]) -> str | None:
        """Request these images on every host. Return the job's id; None if the service has no jobs (Nova)."""
        body = {"cache": [{"id": image_id} for image_id in image_ids]}
        answer = self._session.call("POST", f"{self._url}/{aggregate_id}/images", body=body, headers=_VERSION)
        return answer.headers.get(_JOB_ID_HEADER)

    def _act(self, aggregate_id: int, action: JsonObject) -> JsonObject:
        url = f"{self._url}/{aggregate_id}/action"
        return self._session.read("POST", url, "aggregate", body=action, headers=_VERSION)
