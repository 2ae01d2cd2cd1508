"""Machines for tests: network namespaces on one bridge, with nothing to reach from outside and nothing left behind.

Each is held by a process that sleeps: when that ends, by the test or by the guardian, so does the namespace with its
interfaces. Needs root, for namespaces. Files are those of the machine itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.process import ServerProcess

BRIDGE = "br0"
CONTROLLER_ADDRESS = "10.77.0.1"
START_TIMEOUT_S = 30


class Machine:
    """One network namespace. `inside` goes in front of a command that is to run there, as root."""

    def __init__(self, name: str, address: str, folder: Path) -> None:
        self.name, self.address = name, address
        self._holder = ServerProcess(
            name=f"the namespace of {name}",
            command=["unshare", "--net", "sleep", "infinity"],
            environment={"PATH": os.environ["PATH"]},
            log=folder / f"{name}.namespace",
        )
        self._holder.wait_until(lambda: _namespace(self._holder.pid) != _namespace(os.getpid()), START_TIMEOUT_S)
        self.ip("link", "set", "lo", "up")

    @property
    def pid(self) -> int:
        return self._holder.pid

    @property
    def inside(self) -> list[str]:
        return ["nsenter", "--target", str(self.pid), "--net", "--"]

    def ip(self, *words: str) -> None:
        """Run iproute2's `ip` there."""
        subprocess.run([*self.inside, "ip", *words], check=True, capture_output=True, text=True)

    def listens(self, address: str, port: int) -> bool:
        """Return whether this machine is let in at the address and port."""
        probe = [*self.inside, "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0

    def close(self) -> None:
        self._holder.kill()


@contextmanager
def site(folder: Path, *hosts: str) -> Iterator[tuple[Machine, dict[str, Machine]]]:
    """Make a controller with a bridge, and hosts on it; the first host has the address 10.77.0.11."""
    machines: list[Machine] = []
    try:
        controller = Machine("controller", CONTROLLER_ADDRESS, folder)
        machines.append(controller)
        controller.ip("link", "add", BRIDGE, "type", "bridge")
        controller.ip("address", "add", f"{controller.address}/24", "dev", BRIDGE)
        controller.ip("link", "set", BRIDGE, "up")
        for number, name in enumerate(hosts, start=11):
            host = Machine(name, f"10.77.0.{number}", folder)
            machines.append(host)
            _connect(controller, host, f"veth{number}")
        yield controller, {host.name: host for host in machines[1:]}
    finally:
        for machine in reversed(machines):
            machine.close()


def why_no_namespaces() -> str | None:
    """Return why machines cannot be made here, None if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "nsenter", "unshare"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    done = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", BRIDGE, "type", "bridge"], capture_output=True, text=True, check=False
    )
    return None if done.returncode == 0 else f"no bridge can be made in a network namespace: {done.stderr.strip()}"


def _connect(controller: Machine, host: Machine, name: str) -> None:
    controller.ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
    controller.ip("link", "set", name, "master", BRIDGE, "up")
    host.ip("address", "add", f"{host.address}/24", "dev", "eth0")
    host.ip("link", "set", "eth0", "up")


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")
