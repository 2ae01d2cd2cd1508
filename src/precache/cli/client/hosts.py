"""Compute hosts, over Precache's own API."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from precache.cli.client.pages import read_pages
from precache.cli.client.session import JsonObject, Session


class Hosts:
    """The requests about hosts."""

    def __init__(self, session: Session, own_url: str) -> None:
        self._session = session
        self._url = f"{own_url}/hosts"

    def every(self, **only: str | None) -> list[JsonObject]:
        """Return the hosts by name. only: required values of `cell`, `state` and `driver`; None for any value."""
        return read_pages(self._session, self._url, "hosts", query=only)

    def get(self, name: str) -> JsonObject:
        """Return the host, with its cache."""
        return self._session.read("GET", self._url_of(name), "host")

    def images(self, name: str) -> list[JsonObject]:
        """Return the images that the host's cache holds, or should hold."""
        return read_pages(self._session, f"{self._url_of(name)}/images", "images", query={})

    def cache_images(self, name: str, image_ids: Sequence[str]) -> JsonObject:
        """Request these images on this host only; return the job."""
        body = {"cache": [{"id": image_id} for image_id in image_ids]}
        return self._session.read("POST", f"{self._url_of(name)}/images", "job", body=body)

    def clean(self, name: str, *, is_dry_run: bool, everything: bool, keep_days: int | None) -> JsonObject:
        """Have the host remove unused images from its cache; return what it removed and what stays."""
        body: JsonObject = {"dry_run": is_dry_run, "all": everything}
        if keep_days is not None:
            body["keep_days"] = keep_days
        url = f"{self._url_of(name)}/clean"
        return self._session.read("POST", url, "cleaning", body=body, changes_nothing=is_dry_run)

    def force_down(self, name: str, forced_down: bool) -> JsonObject:
        """Exclude the host from all jobs, or include it again. Return the changed host."""
        return self._session.read("PUT", self._url_of(name), "host", body={"forced_down": forced_down})

    def delete(self, name: str) -> None:
        """Delete a host that no longer exists."""
        self._session.call("DELETE", self._url_of(name))

    def _url_of(self, name: str) -> str:
        return f"{self._url}/{quote(name, safe='', errors='surrogateescape')}"
