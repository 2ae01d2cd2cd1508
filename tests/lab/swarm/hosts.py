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
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x4000_0000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class HostPlace:
    """name, address: of the host. folder: its state, log and socket. namespace: id of a process in its network.

    image_service: the URL. conductor: the socket of the planner; empty if there is none.
    settings: those of [swarm] that differ from their defaults.
    """

    name: str
    address: str
    folder: str
    namespace: int
    image_service: str
    conductor: str = ""
    settings: dict[str, str] | None = None


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
