"""A user of Precache's API: asks for images on the hosts of an aggregate, and looks at what becomes of it."""

from __future__ import annotations

from typing import Any

from keystoneauth1.session import Session

from tests.lab.precache import MICROVERSION
from tests.nova.waiting import wait_until


class PrecacheUser:
    """An administrator at the API of Precache. url: without a path."""

    def __init__(self, *, session: Session, url: str) -> None:
        self._session, self._url = session, url

    def request(self, aggregate: int, *images: str) -> str:
        """Ask for the images on the hosts of the aggregate and return the job's id."""
        body = {"cache": [{"id": image} for image in images]}
        url = f"{self._url}/compute/v2.1/os-aggregates/{aggregate}/images"
        answer = self._session.post(url, json=body, headers=MICROVERSION)
        assert answer.status_code == 202, answer.text
        return str(answer.headers["X-Precache-Job-Id"])

    def run_job(self, **body: object) -> dict[tuple[str, str], str]:
        """Send a job with this body, wait until it has ended, and return how, by host and image."""
        answer = self._session.post(f"{self._url}/v1/jobs", json=body)
        assert answer.status_code == 202, answer.text
        return self.outcomes(str(answer.json()["job"]["id"]))

    def newest_job(self) -> str:
        """Return the id of the job that was requested last."""
        return str(self._get("/v1/jobs")["jobs"][0]["id"])

    def hosts_up(self) -> set[str]:
        return {host["name"] for host in self._get("/v1/hosts")["hosts"] if host["state"] == "up"}

    def tasks(self, job: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get(f"/v1/jobs/{job}/tasks")["tasks"]
        return found

    def outcomes(self, job: str) -> dict[tuple[str, str], str]:
        """Wait until the job has ended; return how, by host and image."""
        wait_until(lambda: self._get(f"/v1/jobs/{job}")["job"]["finished_at"], f"the end of job {job}")
        return {(task["host"], task["image"]): task["outcome"] for task in self.tasks(job)}

    def precache(self, aggregate: int, *images: str) -> dict[tuple[str, str], str]:
        """Ask for the images, wait until the job has ended, and return how, by host and image."""
        return self.outcomes(self.request(aggregate, *images))

    def wait_for_phase(self, job: str, phase: str) -> None:
        """Wait until a task of the job is in this phase."""
        wait_until(lambda: phase in {task["phase"] for task in self.tasks(job)}, f"phase {phase} of job {job}")

    def _get(self, path: str) -> Any:
        return self._session.get(self._url + path).json()
