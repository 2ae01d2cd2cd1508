"""The API as a process of its own behind a real Keystone and beside a real Glance, with two hosts that are known.

No conductor and no broker run: the tests concern the API, which accepts requests without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from precache.adapters.inventory_sql import SqlHosts
from precache.adapters.sql import open_database
from precache.core.hosts import Heartbeat
from tests.lab.cloud import Cloud
from tests.lab.precache import Deployment, Surroundings, merged
from tests.lab.settings_file import Sections

HOSTS = ("cmp-1", "cmp-2")
AGGREGATE = "edge"
NO_BROKER = "rabbit://precache:hush-hush@127.0.0.1:9/away"
AGGREGATES = "/compute/v2.1/os-aggregates"


class CloudApi:
    """The API of a deployment, spoken to with the tokens of the cloud's people."""

    def __init__(self, deployment: Deployment, cloud: Cloud) -> None:
        self.deployment, self.cloud = deployment, cloud
        self.aggregate_id = 0
        self._token = cloud.keystone.token(cloud.admin)

    def ask_to_cache(self, token: str | None, *images: str) -> Any:
        body = {"cache": [{"id": image} for image in images]}
        return self.deployment.call("POST", f"{AGGREGATES}/{self.aggregate_id}/images", body, token)

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs that are stored, newest first."""
        jobs: list[dict[str, Any]] = self._get("/v1/jobs")["jobs"]
        return jobs

    def tasks(self, job: str) -> set[tuple[str, str]]:
        """Return the hosts and images of a job."""
        return {(task["host"], task["image"]) for task in self._get(f"/v1/jobs/{job}/tasks")["tasks"]}

    def settle(self) -> None:
        """Make the hosts and the aggregate."""
        token = self._token
        made = self.deployment.call("POST", AGGREGATES, {"aggregate": {"name": AGGREGATE}}, token)
        self.aggregate_id = made.json()["aggregate"]["id"]
        for host in HOSTS:
            path = f"{AGGREGATES}/{self.aggregate_id}/action"
            assert self.deployment.call("POST", path, {"add_host": {"host": host}}, token).ok

    def _get(self, path: str) -> Any:
        return self.deployment.get(path, self._token)


@contextmanager
def cloud_api(folder: Path, cloud: Cloud, settings: Sections | None = None) -> Iterator[CloudApi]:
    """Run it, with its files below `folder`."""
    database_url = f"sqlite:///{folder}/precache.sqlite"
    identity: Sections = {
        "service_user": cloud.keystone.login(cloud.precache),
        "keystone_authtoken": {
            "auth_section": "service_user",
            "http_connect_timeout": 2,
            "http_request_max_retries": 1,
        },
    }
    surroundings = Surroundings(
        database_url=database_url, buses={"away": NO_BROKER}, sections=merged(identity, settings or {})
    )
    deployment = Deployment(folder, surroundings)
    deployment.run("db", "upgrade", "--config-file", str(deployment.tools))
    database = open_database(database_url)
    SqlHosts(database=database).store_heartbeats(
        [Heartbeat(host, "cell1", "fake", datetime.now(UTC)) for host in HOSTS]
    )
    database.close()
    try:
        deployment.start_api()
        api = CloudApi(deployment, cloud)
        api.settle()
        yield api
    finally:
        deployment.stop()
    assert "Traceback" not in deployment.log("api"), deployment.log("api")
