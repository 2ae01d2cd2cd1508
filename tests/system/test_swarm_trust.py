"""Real processes: conductors certify the hosts of a cell by themselves, hosts accept each other, and nobody else."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.mariadb import Mariadb
from tests.lab.precache import PROGRAM, Deployment, Surroundings
from tests.lab.process import free_port
from tests.lab.rabbitmq import RabbitMq
from tests.swarm_hosts import SwarmHosts
from tests.waiting import wait_until

pytestmark = [pytest.mark.external, pytest.mark.timeout(300)]

CELL_OF_HOST = {"cmp-1": "cell1", "cmp-2": "cell1", "cmp-3": "cell2"}


@pytest.fixture
def ports() -> dict[str, int]:
    """Where the hosts are to listen, all on one machine."""
    return {host: free_port() for host in CELL_OF_HOST}


@pytest.fixture
def precache(ports: dict[str, int], tmp_path: Path, rabbitmq: RabbitMq, mariadb: Mariadb) -> Iterator[Deployment]:
    """Two conductors, which find a database without an authority, and three hosts in two cells."""
    around = Surroundings(
        database_url=mariadb.fresh_url(),
        buses={"cell1": rabbitmq.fresh_url(), "cell2": rabbitmq.fresh_url()},
    )
    deployment = Deployment(tmp_path / "deployment", around)
    deployment.prepare()
    try:
        for name in ("conductor-1", "conductor-2"):
            deployment.start_conductor(name)
        for host, cell in CELL_OF_HOST.items():
            on_loopback = {"listen_address": "127.0.0.1", "address": "127.0.0.1", "ports": ports[host]}
            deployment.start_compute(host, cell, {"swarm": on_loopback})
        yield deployment
    finally:
        deployment.stop()


def findings(precache: Deployment, check: str) -> list[tuple[str, str]]:
    """Return the status and the words of what the doctor found on a controller."""
    command = [PROGRAM, "doctor", "-f", "json", "--role", "conductor", "--config-file", precache.tools]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return [(row["status"], row["found"]) for row in json.loads(ran.stdout) if row["check"] == check]


def test_hosts_of_a_cell_accept_each_other_and_no_stranger(precache: Deployment, ports: dict[str, int]) -> None:
    well = ("ok", "site cell1: cmp-1 and cmp-2 reach each other's port")

    wait_until(lambda: findings(precache, "swarm peers") == [well])

    [(status, words)] = findings(precache, "swarm authority")
    assert (status, "signs, and is valid until" in words) == ("ok", True)
    shown = json.loads(precache.run("swarm", "authority", "show", "-f", "json", "--config-file", str(precache.tools)))
    assert [key["state"] for key in shown] == ["signs"]
    for host, cell in CELL_OF_HOST.items():
        assert f"has a certificate for site {cell}" in precache.log(host)

    stranger = SwarmHosts().host("cmp-2").client_context()
    stranger.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", ports["cmp-1"]), 5) as plain,
        pytest.raises(ssl.SSLError, match="unknown ca"),
        stranger.wrap_socket(plain) as sock,
    ):
        sock.recv(1)
    wait_until(lambda: "was refused: its certificate is not accepted" in precache.log("cmp-1"))
    assert precache.log("cmp-1").count("was refused") == 1
