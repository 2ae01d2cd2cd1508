"""libtorrent over the same links: a full mesh, or a chain in the order of the hosts. Used in the benchmark only."""

from __future__ import annotations

import filecmp
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.result_files import PLOT_PYTHON, ROOT
from bench.swarm.measured import Measured
from tests.lab.swarm.hosts import HostPlace
from tests.namespaces import ShapedNetwork
from tests.waiting import wait_until

MAKE_TORRENT = """
import sys
import warnings
import libtorrent as lt
warnings.simplefilter("ignore")
path, name, target = sys.argv[1:]
files = lt.file_storage()
files.add_file(name, {size})
torrent = lt.create_torrent(files, 64 << 10, lt.create_torrent.v1_only)
lt.set_piece_hashes(torrent, path)
open(target, "wb").write(lt.bencode(torrent.generate()))
"""
SETTLE_TIMEOUT_S = 60
POLL_S = 0.05


def has_libtorrent() -> bool:
    """Return whether the benchmarks' environment has it."""
    return (
        PLOT_PYTHON.exists()
        and not subprocess.run([PLOT_PYTHON, "-c", "import libtorrent"], check=False, capture_output=True).returncode
    )


def measure_torrent(
    network: ShapedNetwork, folder: Path, content: Path, *, chain: bool, timeout_s: float
) -> Measured | None:
    """Send a file from the first host to all others, and return how it went; None if not all have it in time.

    Raises AssertionError if a host has other bytes.
    """
    torrent = folder / "torrent"
    script = MAKE_TORRENT.format(size=content.stat().st_size)
    subprocess.run([PLOT_PYTHON, "-c", script, content.parent, content.name, torrent], check=True)
    peers = subprocess.Popen(
        [PLOT_PYTHON, "-m", "bench.swarm.torrent_peers"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pids: list[int] = []
    try:
        assert peers.stdin is not None
        assert peers.stdout is not None
        assert peers.stdout.readline() == "ready\n"
        hosts = list(network.hosts.values())
        for number, host in enumerate(hosts):
            place = HostPlace(host.name, host.address, str(folder / host.name), host.pid, "")
            parents = hosts[max(0, number - 1) : number] if chain else hosts[:number]
            peer: dict[str, Any] = {
                "place": asdict(place),
                "torrent": str(torrent),
                "parents": [parent.address for parent in parents],
                "content": "" if number else str(content),
            }
            peers.stdin.write(json.dumps(peer) + "\n")
            peers.stdin.flush()
            pids.append(int(peers.stdout.readline()))
        wait_until(lambda: all((folder / f"ready-{host.name}").exists() for host in hosts), SETTLE_TIMEOUT_S)
        began = time.monotonic()
        (folder / "go").touch()
        while not all((folder / f"done-{host.name}").exists() for host in hosts):
            if time.monotonic() > began + timeout_s:
                return None
            time.sleep(POLL_S)
        ended = [float((folder / f"done-{host.name}").read_text()) for host in hosts[1:]]
        cpu_s = sum(map(_cpu_s, pids))
        for host in hosts[1:]:
            assert filecmp.cmp(folder / host.name / content.name, content, shallow=False), (
                f"{host.name} has other bytes"
            )
        hosts_s = [at - began for at in ended]
        return Measured(seconds=max(hosts_s), cpu_s=cpu_s, hosts_s=hosts_s)
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        peers.kill()
        peers.communicate()


def _cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")
