"""Jobs and their tasks, over Precache's own API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from urllib.parse import quote

from precache.cli.client.events import ServerEvent
from precache.cli.client.pages import read_pages
from precache.cli.client.session import JsonObject, Session


class Jobs:
    """The requests about jobs."""

    def __init__(self, session: Session, own_url: str) -> None:
        self._session = session
        self._url = f"{own_url}/jobs"

    def create(self, request: JsonObject, idempotency_key: str | None = None) -> JsonObject:
        """Make the job of this request, the body of `POST /v1/jobs`; return the job."""
        return self._session.read("POST", self._url, "job", body=request, headers=_headers(idempotency_key))

    def plan(self, request: JsonObject, idempotency_key: str | None = None) -> JsonObject:
        """Return the plan of the job that `create` would make; nothing is stored."""
        return self._session.read(
            "POST",
            self._url,
            "plan",
            body=request,
            headers=_headers(idempotency_key),
            query={"dry_run": "true"},
            changes_nothing=True,
        )

    def find(self, *, limit: int, **query: str | Sequence[str] | None) -> list[JsonObject]:
        """Return up to `limit` jobs; 0 means all.

        query: the service's parameters for conditions and order, such as `state` and `sort_key`; None to leave one out.
        """
        return read_pages(self._session, self._url, "jobs", query=query, limit=limit)

    def get(self, job_id: str) -> JsonObject:
        return self._session.read("GET", self._one(job_id), "job")

    def steer(self, job_id: str, action: str) -> JsonObject:
        """Request an action on the job, such as `cancel`; return the changed job."""
        return self._session.read("POST", f"{self._one(job_id)}/{action}", "job")

    def change(self, job_id: str, options: JsonObject) -> JsonObject:
        """Change options of the job; return the changed job. None stands for an option's default."""
        return self._session.read("PATCH", self._one(job_id), "job", body=options)

    def follow(
        self, job_id: str, *, last_event_id: str | None, timeout_s: float
    ) -> AbstractContextManager[Iterator[ServerEvent] | None]:
        """Return the job's events after this one; None if the job has ended and it was the last. See Session.follow."""
        return self._session.follow(f"{self._one(job_id)}/events", last_event_id=last_event_id, timeout_s=timeout_s)

    def hosts(self, job_id: str, *, limit: int = 0, **only: str | None) -> list[JsonObject]:
        """Return up to `limit` hosts of the job with their progress; 0 means all.

        only: required values of `cell`, `site` and `state`; None for any value.
        """
        return read_pages(self._session, f"{self._one(job_id)}/hosts", "hosts", query=only, limit=limit)

    def sites(self, job_id: str) -> list[JsonObject]:
        """Return how the job's images go through the hosts of each site by swarm."""
        return read_pages(self._session, f"{self._one(job_id)}/sites", "sites", query={})

    def tasks(self, job_id: str, *, limit: int = 0, **only: str | Sequence[str] | None) -> list[JsonObject]:
        """Return up to `limit` tasks of the job, in the order of the request; 0 means all.

        only: required values of `host`, `cell`, `image` (an id), `state`, `outcome` (any of several) and `has_reason`;
        None for any value.
        """
        return read_pages(self._session, f"{self._one(job_id)}/tasks", "tasks", query=only, limit=limit)

    def _one(self, job_id: str) -> str:
        return f"{self._url}/{quote(job_id, safe='', errors='surrogateescape')}"


def _headers(idempotency_key: str | None) -> dict[str, str]:
    """Return the headers of a request for a job."""
    return {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
