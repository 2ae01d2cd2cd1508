"""A deployment of Precache as an operator has it: each process started from the command line, with a file of its own.

What it stands on (database, brokers, Keystone, Glance, Nova) runs already.
"""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from cryptography.fernet import Fernet

from tests.lab.process import ServerProcess
from tests.lab.settings_file import Sections, write_settings

PROGRAM = Path(sys.executable).with_name("precache")
START_TIMEOUT_S = 60
STOP_PATIENCE_S = 20
REQUEST_TIMEOUT_S = 30
MICROVERSION = {"OpenStack-API-Version": "compute 2.81"}

QUICK: Sections = {
    "DEFAULT": {"report_interval": 1, "service_down_time": 8, "call_monitor_timeout": 6},
    "conductor": {"lease": 4, "poll_interval": 1},
    "image_cache": {"precache_concurrency": 4},
}
"""What a test can wait for: heartbeats, leases and monitors of seconds."""


@dataclass
class Surroundings:
    """What the operator already has.

    buses: transport URL by cell. wake_bus: the one that the api and the conductors share; the first cell's by default.
    sections: further ones for every process: credentials, the image service. control: further ones for all but the
    computes. pace: intervals and timeouts of every process.
    """

    database_url: str
    buses: Mapping[str, str]
    sections: Sections = field(default_factory=dict)
    control: Sections = field(default_factory=dict)
    pace: Sections = field(default_factory=lambda: QUICK)
    wake_bus: str | None = None


PEER_PORTS = "21000-21999"
"""Of which each compute takes one; more than the default, because several deployments may run on one machine."""


class Deployment:
    """All processes of one deployment below `folder`; those that run are stopped by `stop`.

    Where a method has the argument `program`, that is the command `precache` of the release that is to be run.
    """

    def __init__(self, folder: Path, surroundings: Surroundings) -> None:
        self._folder, self._around = folder, surroundings
        folder.mkdir(parents=True, exist_ok=True)
        self._key = Fernet.generate_key().decode()
        self._running: dict[str, ServerProcess] = {}
        self.url = ""
        self.tools = self._control_settings("tools", {})

    def prepare(self, program: Path = PROGRAM) -> None:
        """Do what the operator does once: create the tables, and make the cells known."""
        self.upgrade_database(program)
        for cell, url in self._around.buses.items():
            self.run("cell", "create", cell, "--transport-url", url, "--config-file", str(self.tools), program=program)

    def upgrade_database(self, program: Path = PROGRAM) -> None:
        self.run("db", "upgrade", "--config-file", str(self.tools), program=program)

    @property
    def compute_url(self) -> str:
        """The endpoint that stock clients of Nova are pointed at, or the catalogue has, in the place of Nova's."""
        return f"{self.url}/compute/v2.1"

    def start_api(self, settings: Sections | None = None, program: Path = PROGRAM) -> str:
        """Start the API and return its URL."""
        file = self._control_settings("api", settings or {})
        command = (program, "serve", "api", "--config-file", file, "--listen", "127.0.0.1:0")
        api = self._start("api", "answers at ", *command)
        self.url = api.said().split("answers at ")[1].split(". ")[0]
        return self.url

    def start_conductor(
        self, name: str = "conductor", settings: Sections | None = None, program: Path = PROGRAM
    ) -> None:
        file = self._control_settings(name, settings or {})
        self._start(name, "works on jobs", program, "serve", "conductor", "--config-file", file)

    def start_compute(self, host: str, cell: str, settings: Sections | None = None, program: Path = PROGRAM) -> None:
        """Start the compute of a host, whose cache is below `instances(host)`."""
        self.instances(host).mkdir(parents=True, exist_ok=True)
        own: Sections = {
            "DEFAULT": {
                "host": host,
                "instances_path": self.instances(host),
                "transport_url": self._around.buses[cell],
            },
            "image_cache": {"owner": "precache"},
            "swarm": {"listen_address": "127.0.0.1", "ports": PEER_PORTS},
        }
        file = self._settings(host, own, settings or {})
        self._start(host, "waits for requests", program, "serve", "compute", "--config-file", file)

    def is_running(self, name: str) -> bool:
        """Return whether the process was started and neither killed nor stopped since."""
        return name in self._running

    def kill(self, name: str) -> None:
        """End a process as a power cut would."""
        self._running.pop(name).kill()

    def stop_one(self, name: str) -> None:
        """End a process as its service manager would."""
        self._running.pop(name).stop(STOP_PATIENCE_S)

    def stop(self) -> None:
        """End all that run, side by side; the computes first, so that each can still take its leave."""
        for process in reversed(self._running.values()):
            process.ask_to_stop()
        for process in reversed(self._running.values()):
            process.stop(STOP_PATIENCE_S)
        self._running.clear()

    def run(self, *words: str, environment: Mapping[str, str] | None = None, program: Path = PROGRAM) -> str:
        """Run one `precache` command that must succeed, and return what it printed."""
        done = subprocess.run(
            [str(program), *words],
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"precache {words[:2]}: {done.stdout}{done.stderr}"
        return done.stdout

    def log(self, name: str) -> str:
        """Return all that a process has said since its first start."""
        path = self._log_path(name)
        return path.read_text() if path.exists() else ""

    def logs(self) -> dict[str, str]:
        return {path.stem: path.read_text() for path in self._folder.glob("*.log")}

    def instances(self, host: str) -> Path:
        return self._folder / "hosts" / host / "instances"

    def entry(self, host: str, image: str) -> Path:
        """Return where the image's entry in the host's cache is, or would be."""
        return self.instances(host) / "_base" / hashlib.sha1(image.encode()).hexdigest()

    def litter(self) -> list[Path]:
        """Return what transfers have left, or still need, in the caches of all hosts."""
        return list(self._folder.glob("hosts/*/instances/_base/?*.precache-*"))

    def call(self, method: str, path: str, body: object = None, token: str | None = None) -> requests.Response:
        """Send one request to the API, whatever becomes of it."""
        headers = MICROVERSION | ({"X-Auth-Token": token} if token else {})
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=REQUEST_TIMEOUT_S)

    def get(self, path: str, token: str | None = None) -> Any:
        """Return the JSON of an answer that must be one of success."""
        answer = self.call("GET", path, token=token)
        assert answer.ok, answer.text
        return answer.json()

    def control_sections(self, settings: Sections) -> Sections:
        """Return what the configuration file of a controller holds, with these settings on top."""
        around = self._around
        common: Sections = {
            "DEFAULT": {"transport_url": around.wake_bus or next(iter(around.buses.values()))},
            "database": {"connection": around.database_url, "encryption_keys": self._key},
        }
        return functools.reduce(merged, [around.pace, around.sections, common, around.control, settings])

    def _control_settings(self, name: str, settings: Sections) -> Path:
        return write_settings(self._folder / f"{name}.conf", self.control_sections(settings))

    def _settings(self, name: str, *settings: Sections) -> Path:
        sections = functools.reduce(merged, [self._around.pace, self._around.sections, *settings])
        return write_settings(self._folder / f"{name}.conf", sections)

    def _start(self, name: str, greeting: str, *command: str | Path) -> ServerProcess:
        process = ServerProcess(name=name, command=command, environment=os.environ, log=self._log_path(name))
        self._running[name] = process
        process.wait_until(lambda: greeting in process.said(), START_TIMEOUT_S)
        return process

    def _log_path(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def merged(sections: Sections, more: Sections) -> Sections:
    """Return both, option by option; `more` wins."""
    return {name: {**sections.get(name, {}), **more.get(name, {})} for name in (*sections, *more)}
