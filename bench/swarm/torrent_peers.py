"""Peers of libtorrent, with which ours is compared: one process, and a fork of it for each peer.

    PYTHON -m bench.swarm.torrent_peers

PYTHON is that of the benchmarks' own environment, which has libtorrent. Each line of standard input is the JSON of one
peer, with the fields of `PeerPlace`; its process's id is the answer. A peer waits for the file `go`, and writes
`done-NAME`: when it had the whole file on the disk, on the monotonic clock.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libtorrent as lt

from tests.lab.swarm.hosts import HostPlace, become

PORT = 6881
POLL_S = 0.05
PIECE_BYTES = 64 << 10
FLUSH_TIMEOUT_S = 60

SETTINGS: dict[str, Any] = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "close_redundant_connections": False,  # else a second more for each hop at the end
    "ignore_limits_on_local_network": False,
    "max_queued_disk_bytes": 4 << 20,
    "connection_speed": 500,
    "connections_limit": 500,
    "torrent_connect_boost": 255,
    "min_reconnect_time": 1,
    "allow_multiple_connections_per_ip": True,
    "in_enc_policy": 2,  # none: the pieces of ours are encrypted, which favours libtorrent
    "out_enc_policy": 2,
}


@dataclass(frozen=True, slots=True)
class PeerPlace:
    """One peer. place: its network and folder. torrent: a file. parents: addresses to which it connects.

    content: the file that the seeder has; empty for the others.
    """

    place: dict[str, Any]
    torrent: str
    parents: list[str]
    content: str = ""


def run_peer(peer: PeerPlace, folder: Path) -> None:
    """Receive the torrent and pass it on, until this process is killed."""
    name, address = peer.place["name"], peer.place["address"]
    session = lt.session(
        {**SETTINGS, "listen_interfaces": f"{address}:{PORT}", "alert_mask": lt.alert_category.storage}
    )
    info = lt.torrent_info(peer.torrent)
    save = Path(peer.content).parent if peer.content else folder
    if not peer.content:
        with (folder / info.name()).open("wb") as target:
            target.truncate(info.total_size())  # sparse: else libtorrent allocates in its own way
    parameters = lt.add_torrent_params()
    parameters.ti, parameters.save_path = info, str(save)
    if peer.content:
        parameters.flags |= lt.torrent_flags.seed_mode
    parameters.flags &= ~lt.torrent_flags.auto_managed & ~lt.torrent_flags.paused
    torrent = session.add_torrent(parameters)
    common = folder.parent
    running = (lt.torrent_status.downloading, lt.torrent_status.seeding, lt.torrent_status.finished)
    while torrent.status().state not in running:
        time.sleep(POLL_S)
    (common / f"ready-{name}").touch()
    while not (common / "go").exists():
        time.sleep(POLL_S)
    for parent in peer.parents:
        torrent.connect_peer((parent, PORT))
    while not torrent.status().is_seeding:
        time.sleep(POLL_S)
        session.pop_alerts()
    if not peer.content:
        _flush(session, torrent)
    part = common / f"part-{name}"
    part.write_text(str(time.monotonic()))
    part.rename(common / f"done-{name}")
    signal.pause()


def _flush(session: Any, torrent: Any) -> None:
    """Wait until the file is on the disk: a torrent is "finished" before."""
    torrent.flush_cache()
    deadline = time.monotonic() + FLUSH_TIMEOUT_S
    while time.monotonic() < deadline:
        if any(isinstance(alert, lt.cache_flushed_alert) for alert in session.pop_alerts()):
            return
        time.sleep(POLL_S)
    raise TimeoutError("libtorrent has not written the file")


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    parent = os.getpid()
    print("ready", flush=True)
    for line in sys.stdin:
        peer = PeerPlace(**json.loads(line))
        pid = os.fork()
        if not pid:
            try:
                become(HostPlace(**peer.place), parent)
                run_peer(peer, Path(peer.place["folder"]))
            except BaseException:  # noqa: BLE001  a fork must not go on as its parent
                traceback.print_exc()
            finally:
                os._exit(1)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
