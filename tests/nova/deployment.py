"""Precache as an operator deploys it beside Nova: API, conductor and one compute, each a process with its own file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from keystoneauth1.session import Session

from tests.lab.nova_compute import NovaCompute
from tests.lab.process import ServerProcess
from tests.lab.settings_file import write_settings
from tests.nova.waiting import wait_until

PROGRAM = Path(sys.executable).with_name("precache")
API_GREETING = "The Precache API answers at "
CONDUCTOR_GREETING = "works on jobs"
COMPUTE_GREETING = "waits for requests"
START_TIMEOUT_S = 60
STOP_PATIENCE_S = 10
CELL = "cell1"
MICROVERSION = {"OpenStack-API-Version": "compute 2.81"}


@dataclass(frozen=True, slots=True)
class Grounds:
    """What it stands on. login: options of the service's own account. nova_url, image_url: of those two services."""

    database_url: str
    transport_url: str
    login: Mapping[str, object]
    nova_url: str
    image_url: str


class PrecacheDeployment:
    """From `start` to `stop`. directory: empty and ours alone. compute: the nova-compute to run beside.

    Nova keeps hosts and aggregates, and cleans the cache.
    """

    def __init__(self, *, directory: Path, grounds: Grounds, compute: NovaCompute) -> None:
        self._directory, self._grounds, self._compute = directory, grounds, compute
        self._environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(directory)}
        self._processes: list[ServerProcess] = []
        self._url = ""

    @property
    def compute_url(self) -> str:
        """The endpoint that stock clients of Nova are pointed at."""
        return f"{self._url}/compute/v2.1"

    @property
    def compute_log(self) -> str:
        return self._log("compute")

    def start(self) -> None:
        """Have all of it ready for requests. Raises ServerFailed."""
        control = self._write_control_settings()
        self._run("db", "upgrade", "--config-file", control)
        self._run("cell", "create", CELL, "--transport-url", self._grounds.transport_url, "--config-file", control)
        host = self._write_host_settings()
        self._spawn("api", control, API_GREETING, "--listen", "127.0.0.1:0")
        self._spawn("conductor", control, CONDUCTOR_GREETING)
        self._spawn("compute", host, COMPUTE_GREETING)
        line = next(line for line in self._log("api").splitlines() if line.startswith(API_GREETING))
        self._url = line.removeprefix(API_GREETING).split()[0].rstrip(".")

    def stop(self) -> None:
        for process in self._processes:
            process.ask_to_stop()
        for process in self._processes:
            process.stop(STOP_PATIENCE_S)

    def user(self, session: Session) -> PrecacheUser:
        return PrecacheUser(session=session, url=self._url)

    def _write_control_settings(self) -> Path:
        login = self._grounds.login
        return write_settings(
            self._directory / "precache.conf",
            {
                "DEFAULT": {"transport_url": self._grounds.transport_url},
                "database": {
                    "connection": self._grounds.database_url,
                    "encryption_keys": Fernet.generate_key().decode(),
                },
                "api": {"auth_strategy": "keystone"},
                "keystone_authtoken": {"www_authenticate_uri": login["auth_url"], **login},
                "service_user": login,
                "inventory": {"source": "nova"},
                "nova": {"endpoint_override": self._grounds.nova_url},
                "glance": {"endpoint_override": self._grounds.image_url},
                "image_cache": {"precache_concurrency": 4},
            },
        )

    def _write_host_settings(self) -> Path:
        return write_settings(
            self._directory / "host.conf",
            {
                "DEFAULT": {
                    "transport_url": self._grounds.transport_url,
                    "host": self._compute.host,
                    "instances_path": self._compute.instances_path,
                    "report_interval": 1,
                },
                "service_user": self._grounds.login,
                "glance": {"endpoint_override": self._grounds.image_url},
                # Every second: a cleaner that should not be on would have been at everything before Nova's.
                "image_cache": {"owner": "nova", "manager_interval": 1},
            },
        )

    def _spawn(self, part: str, settings: Path, greeting: str, *words: str) -> None:
        process = ServerProcess(
            name=f"precache serve {part}",
            command=[PROGRAM, "serve", part, "--config-file", settings, *words],
            environment=self._environment,
            log=self._directory / f"{part}.log",
        )
        self._processes.append(process)
        process.wait_until(lambda: greeting in self._log(part), START_TIMEOUT_S)

    def _run(self, *words: str | Path) -> None:
        done = subprocess.run([PROGRAM, *words], env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, f"precache {words[0]} {words[1]} failed: {done.stdout}{done.stderr}"

    def _log(self, part: str) -> str:
        path = self._directory / f"{part}.log"
        return path.read_text(errors="replace") if path.exists() else ""


class PrecacheUser:
    """An administrator at the API of Precache."""

    def __init__(self, *, session: Session, url: str) -> None:
        self._session, self._url = session, url

    def request(self, aggregate: int, *images: str) -> str:
        """Ask for the images on the hosts of the aggregate and give the job's id."""
        body = {"cache": [{"id": image} for image in images]}
        url = f"{self._url}/compute/v2.1/os-aggregates/{aggregate}/images"
        answer = self._session.post(url, json=body, headers=MICROVERSION)
        assert answer.status_code == 202, answer.text
        return str(answer.headers["X-Precache-Job-Id"])

    def newest_job(self) -> str:
        """Give the id of the job that was requested last."""
        return str(self._get("/v1/jobs")["jobs"][0]["id"])

    def hosts_up(self) -> set[str]:
        return {host["name"] for host in self._get("/v1/hosts")["hosts"] if host["state"] == "up"}

    def tasks(self, job: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get(f"/v1/jobs/{job}/tasks")["tasks"]
        return found

    def outcomes(self, job: str) -> dict[tuple[str, str], str]:
        """Wait until the job has ended; give how, by host and image."""
        wait_until(lambda: self._get(f"/v1/jobs/{job}")["job"]["finished_at"], f"the end of job {job}")
        return {(task["host"], task["image"]): task["outcome"] for task in self.tasks(job)}

    def precache(self, aggregate: int, *images: str) -> dict[tuple[str, str], str]:
        """Ask for the images, wait until the job has ended, and give how, by host and image."""
        return self.outcomes(self.request(aggregate, *images))

    def wait_for_phase(self, job: str, phase: str) -> None:
        """Wait until a task of the job is in this phase."""
        wait_until(lambda: phase in {task["phase"] for task in self.tasks(job)}, f"phase {phase} of job {job}")

    def _get(self, path: str) -> Any:
        return self._session.get(self._url + path).json()
