"""Starts the hosts of a site: one process that has loaded the program, and a fork of it for each host.

    python -m tests.lab.swarm.hosts

Reads one line of JSON for each host, with the fields of `HostPlace`, and answers it with the process's id. A fork
shares the memory of the program with all others, so that 64 hosts fit into a small machine. All hosts end with this
process.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

CELL = "cell1"
SITE = "site1"
JOB = "5d1c3b0e-0000-4000-8000-000000000001"

# In the folder of a site, and in that of each host.
SITE_FILE = "site.json"
CONDUCTOR_SOCKET = "conductor"
HOST_SOCKET = "socket"
INSTANCES = "instances"

CLONE_NEWNET = 0x4000_0000
CLONE_NEWNS = 0x0002_0000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class HostPlace:
    """name, address: of the host. folder: its state, log and socket. namespace: id of a process in its network.

    image_service: the URL. conductor: the socket of the planner; empty if there is none.
    serve_s: how long it goes on to serve an image. reports_slow: False to keep from the conductor that it lags.
    sends_wrong_pieces: it is broken, or malicious.
    disk_bytes: it has a disk of its own, of this size; 0 for that of the machine. Only the host sees what is on it.
    """

    name: str
    address: str
    folder: str
    namespace: int
    image_service: str
    conductor: str = ""
    serve_s: float = 300
    reports_slow: bool = True
    sends_wrong_pieces: bool = False
    disk_bytes: int = 0


def become(place: HostPlace, parent: int) -> None:
    """Move this process, a fork of `parent`, into the network and the folder of a host."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.setsid()
    folder = Path(place.folder)
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(log, standard)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    fd = os.open(f"/proc/{place.namespace}/ns/net", os.O_RDONLY)
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"the namespace of {place.name} cannot be entered")
    os.close(fd)
    if place.disk_bytes:
        _mount_disk(folder / INSTANCES, place.disk_bytes)


def _mount_disk(path: Path, size_bytes: int) -> None:
    """Mount an empty disk, for this process alone."""
    if _libc.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no mount namespace can be made")
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", path], check=True)


def main() -> None:
    from tests.lab.swarm.host import run_host  # loads the program

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # hosts that were killed are nobody's business
    parent = os.getpid()
    print("ready", flush=True)
    for line in sys.stdin:
        place = HostPlace(**json.loads(line))
        pid = os.fork()
        if not pid:
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                become(place, parent)
                run_host(place)
            except BaseException:  # noqa: BLE001  a fork must not go on as its parent
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(1)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
