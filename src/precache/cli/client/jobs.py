"""Jobs and their tasks, over our own interface."""

from __future__ import annotations

from urllib.parse import quote

from precache.cli.client.session import Document, Session, objects

_PAGE = 500  # well under what any service refuses, large enough for one page in nearly every case


class Jobs:
    """All that can be asked of jobs."""

    def __init__(self, session: Session, own_url: str) -> None:
        self._session = session
        self._url = f"{own_url}/jobs"

    def newest(self, *, state: str | None, limit: int) -> list[Document]:
        """Give up to `limit` jobs, newest first; 0 means all."""
        found: list[Document] = []
        marker: str | None = None
        while True:
            page_size = min(_PAGE, limit - len(found)) if limit else _PAGE
            query = {"state": state, "limit": page_size, "marker": marker}
            page = objects(self._session.whole("GET", self._url, query=query), "jobs", f"GET {self._url}")
            found += page
            if len(page) < page_size or len(found) == limit:
                return found
            marker = str(page[-1]["id"])

    def get(self, job_id: str) -> Document:
        return self._session.read("GET", self._one(job_id), "job")

    def tasks(self, job_id: str) -> list[Document]:
        url = f"{self._one(job_id)}/tasks"
        return objects(self._session.whole("GET", url), "tasks", f"GET {url}")

    def _one(self, job_id: str) -> str:
        return f"{self._url}/{quote(job_id, safe='', errors='surrogateescape')}"
