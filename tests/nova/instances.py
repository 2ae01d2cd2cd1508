"""A user of Nova's API: instances without a network, on one host, and aggregates."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

from keystoneauth1.session import Session

from tests.lab.nova_compute import NovaCompute
from tests.nova.waiting import wait_until
from tools.build_image import GREETING

MICROVERSION = {"OpenStack-API-Version": "compute 2.90"}
SPAWNED = r"\[instance: {instance}\] Took (?P<seconds>[0-9.]+) seconds to spawn"
MEMORY_MIB, DISK_GIB = 128, 1


@dataclass(frozen=True, slots=True)
class Boot:
    """An instance that was booted. spawn_s: what nova-compute says it took. active_s: from the request to ACTIVE."""

    instance: str
    spawn_s: float
    active_s: float


class NovaUser:
    """An administrator at Nova's API. url: with `/v2.1`."""

    def __init__(self, *, session: Session, url: str) -> None:
        self._session, self._url = session, url
        self._flavor: str | None = None

    def hosts_up(self) -> set[str]:
        """Return the hosts that Nova can place instances on."""
        found = self._call("GET", "/os-hypervisors/detail")["hypervisors"]
        return {each["service"]["host"] for each in found if each["state"] == "up"}

    def create_aggregate(self, name: str, *hosts: str) -> int:
        """Make an aggregate of these hosts and return its id."""
        made = self._call("POST", "/os-aggregates", {"aggregate": {"name": name}})
        number: int = made["aggregate"]["id"]
        for host in hosts:
            self._call("POST", f"/os-aggregates/{number}/action", {"add_host": {"host": host}})
        return number

    def request_boot(self, image: str, compute: NovaCompute) -> str:
        """Ask for an instance of this image on this host and return its id."""
        server = {
            "name": f"boots-{image}",
            "flavorRef": self._small_flavor(),
            "imageRef": image,
            "networks": "none",
            "availability_zone": f"nova:{compute.host}",
        }
        return str(self._call("POST", "/servers", {"server": server})["server"]["id"])

    def boot(self, image: str, compute: NovaCompute) -> Boot:
        """Boot an instance of this image on this host, and wait until Nova calls it ACTIVE."""
        start = time.monotonic()
        instance = self.request_boot(image, compute)
        self.wait_until_active(instance)
        return Boot(instance, spawn_seconds(compute, instance), time.monotonic() - start)

    def wait_until_active(self, instance: str) -> None:
        def has_ended() -> bool:
            server = self._call("GET", f"/servers/{instance}")["server"]
            assert server["status"] != "ERROR", server.get("fault")
            return bool(server["status"] == "ACTIVE")

        wait_until(has_ended, f"instance {instance} to be ACTIVE")

    def delete(self, instance: str) -> None:
        """Delete the instance and wait until it has gone."""
        self._call("DELETE", f"/servers/{instance}")
        wait_until(lambda: self._is_gone(instance), f"instance {instance} to be gone")

    def _is_gone(self, instance: str) -> bool:
        answer = self._session.get(f"{self._url}/servers/{instance}", headers=MICROVERSION, raise_exc=False)
        return bool(answer.status_code == 404)

    def _small_flavor(self) -> str:
        if self._flavor is None:
            wanted = {"name": "small", "vcpus": 1, "ram": MEMORY_MIB, "disk": DISK_GIB}
            self._flavor = str(self._call("POST", "/flavors", {"flavor": wanted})["flavor"]["id"])
        return self._flavor

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._session.request(self._url + path, method, json=body, headers=MICROVERSION)
        return answer.json() if answer.content else None


def spawn_seconds(compute: NovaCompute, instance: str) -> float:
    """Return how long nova-compute says that it took to make the disk of the instance and start its guest."""
    found = re.search(SPAWNED.format(instance=instance), compute.log)
    assert found is not None, f"nova-compute did not say how long {instance} took"
    return float(found["seconds"])


def wait_for_guest(compute: NovaCompute, instance: str) -> None:
    """Wait until the guest's own system has come up."""
    wait_until(lambda: GREETING in compute.console_log(instance), f"the guest of {instance} to come up")
