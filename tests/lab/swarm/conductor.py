"""The conductor of a site, as far as its hosts see it: the real planner of relays over a database, behind a socket.

    python -m tests.lab.swarm.conductor FOLDER

FOLDER has `site.json`: the site of each host, and the images. What the conductor knows is in
`FOLDER/conductor.sqlite`, so that it can be killed and started again. Prints `ready`, and ends when its standard input
does.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Collection
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from precache.adapters.clock_system import SystemClock
from precache.adapters.jobs_sql import SqlJobIntake
from precache.adapters.relays_sql import SqlRelayQueries
from precache.adapters.sql import Database, open_database, upgrade
from precache.adapters.sql.tables import jobs
from precache.adapters.swarm_authority import SqlAuthorityKeys, StoredAuthority
from precache.config.load import load_config
from precache.core.hosts import Host
from precache.core.images import parse_image_id
from precache.core.jobs import NewJob
from precache.core.orders import ImageOrder
from precache.core.relays import Assignment, JoinRequest, Relay, RelayReport
from precache.core.swarm_certificates import HostCertificate
from precache.wiring.relays import relay_planner
from tests.lab.swarm.calls import CallFailed, CallServer, call
from tests.lab.swarm.hosts import CELL, CONDUCTOR_SOCKET, HOST_SOCKET, JOB, SITE_FILE

# Not a secret: of tests alone.
ENCRYPTION_KEY = "c3dhcm0tdGVzdHMtc3dhcm0tdGVzdHMtc3dhcm0tdHg="


class Conductor:
    """What the hosts and the tests call."""

    def __init__(self, folder: Path) -> None:
        database = open_database(f"sqlite:///{folder / 'conductor.sqlite'}")
        upgrade(database)
        known = json.loads((folder / SITE_FILE).read_text())
        _add_job(database, list(known["hosts"]), known["images"])
        config = load_config([])
        hosts: Any = _Hosts(known["hosts"])
        gateway: Any = _Casts(folder)
        began = time.monotonic()
        self._planner = relay_planner(
            config=config,
            database=database,
            hosts=hosts,
            gateway=gateway,
            authority=StoredAuthority(
                keys=SqlAuthorityKeys(database=database, keys=[ENCRYPTION_KEY]),
                clock=SystemClock(),
                certificate_lifetime=timedelta(hours=config.swarm.certificate_hours),
            ),
            owner=f"conductor-{os.getpid()}",
            listening_for_s=lambda _cell: time.monotonic() - began,
            at_stop=ExitStack(),
        )
        self._queries = SqlRelayQueries(database=database)
        self._messages = 0
        self._guard = threading.Lock()

    def join(self, request: JoinRequest) -> Assignment:
        self._count()
        return self._planner.join(replace(request, cell=CELL))

    def report(self, report: RelayReport) -> Assignment:
        self._count()
        return self._planner.report(replace(report, cell=CELL))

    def certify(self, host: str, cell: str, signing_request: str) -> HostCertificate:
        return self._planner.certify(host, CELL, signing_request)

    def relays(self) -> list[Relay]:
        """Return the plans as they are stored."""
        return self._queries.relays_of_job(JOB)

    def message_count(self) -> int:
        """Return how often hosts have joined and reported."""
        return self._messages

    def _count(self) -> None:
        with self._guard:
            self._messages += 1


class _Hosts:
    """The inventory: all hosts of the site are up."""

    def __init__(self, sites: dict[str, str]) -> None:
        self._sites = sites

    def find_hosts(self, names: Collection[str]) -> dict[str, Host]:
        return {
            name: Host(name, CELL, announced_site=self._sites[name], silent_for=timedelta())
            for name in names
            if name in self._sites
        }


def _add_job(database: Database, hosts: list[str], images: list[str]) -> None:
    """Store a job that asks all hosts for all images, unless it is there already."""
    with database.read() as connection:
        if connection.execute(select(jobs.c.id)).first() is not None:
            return
    orders = tuple(ImageOrder(parse_image_id(image)) for image in images)
    job = NewJob(
        id=JOB,
        hosts=tuple(hosts),
        orders=orders,
        requested_by="tests",
        request_id="tests",
        created_at=SystemClock().now(),
        aggregate_id=1,
        aggregate_uuid=JOB,
        aggregate_name="all",
    )
    SqlJobIntake(database=database).add(job)


class _Casts:
    """Sends assignments to the sockets of the hosts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def change_relay(self, host: str, cell: str, assignment: Assignment) -> None:
        with suppress(CallFailed):  # as with a cast, nobody learns that a host is gone
            call(self._folder / host / HOST_SOCKET, "change_relay", assignment)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    folder = Path(sys.argv[1])
    CallServer(folder / CONDUCTOR_SOCKET, Conductor(folder))
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
