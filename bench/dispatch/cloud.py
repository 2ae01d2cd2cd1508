"""The measured deployment: a broker, a database, an image service, an API and one conductor."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from oslo_config import cfg
from sqlalchemy import Connection, func, insert, literal, select, text

from bench.dispatch.hosts import host_names
from precache.adapters.bus_oslo import BusReports, open_bus
from precache.adapters.bus_oslo.topics import BASE_VERSION
from precache.adapters.inventory_sql import SqlHosts
from precache.adapters.sql import Database, open_database
from precache.adapters.sql.tables import aggregate_hosts, hosts, jobs
from precache.core.hosts import Heartbeat
from precache.imageserver.app import create_image_app
from precache.imageserver.library import ImageLibrary
from tests.lab.database_server import DatabaseServer, running
from tests.lab.mariadb import Mariadb
from tests.lab.precache import Deployment, Surroundings
from tests.lab.rabbitmq import RabbitMq
from tests.listening import listening

CELL = "cell1"
LOOK_INTERVAL_S = 0.02
JOB_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Job:
    """One measured job. seconds: from the claim to the end, by the conductor's own times.

    request_seconds: from the request to the end, by the client. statements: of the database in that time.
    """

    hosts: int
    seconds: float
    request_seconds: float
    statements: int


@dataclass
class Statements:
    """count: known at the end."""

    count: int = 0


@dataclass
class Cloud:
    """The running deployment."""

    bus_url: str
    precache: Deployment
    database: Database
    images: tuple[str, ...]

    def register(self, count: int, rpc_version: str = BASE_VERSION) -> None:
        """Register this number of hosts, as if each had just sent a heartbeat."""
        now = datetime.now(UTC)
        names = host_names(count)
        SqlHosts(database=self.database).store_heartbeats(
            [Heartbeat(name, CELL, "fake", now, rpc_version) for name in names]
        )

    def aggregate(self, count: int) -> int:
        """Create an aggregate of the first `count` hosts, and return its id."""
        body = {"aggregate": {"name": f"of-{count}", "availability_zone": None}}
        answer = self.precache.call("POST", "/compute/v2.1/os-aggregates", body)
        answer.raise_for_status()
        number: int = answer.json()["aggregate"]["id"]
        members = select(literal(number), hosts.c.id).where(hosts.c.name.in_(host_names(count))).order_by(hosts.c.id)
        with self.database.write() as connection:
            connection.execute(insert(aggregate_hosts).from_select(["aggregate_id", "host_id"], members))
        return number

    def run_job(self, aggregate: int, count: int) -> Job:
        """Request the image for the aggregate, and wait until all its hosts have it."""
        with self.database.engine.connect() as watcher:
            statements = _statements_of_others(watcher)
            began = time.perf_counter()
            answer = self.precache.call(
                "POST", f"/compute/v2.1/os-aggregates/{aggregate}/images", {"cache": [{"id": self.images[0]}]}
            )
            assert answer.status_code == 202, answer.text
            row = await_end(watcher, answer.headers["X-Precache-Job-Id"])
            request_seconds = time.perf_counter() - began
            statements = _statements_of_others(watcher) - statements
        assert row.state == "succeeded", row
        assert row.task_count == count
        return Job(count, (row.finished_at - row.started_at).total_seconds(), request_seconds, statements)

    def await_end(self, job: str) -> Any:
        """Wait until the job has ended; return state, number of tasks, and times."""
        with self.database.engine.connect() as watcher:
            return await_end(watcher, job)

    @contextmanager
    def statements(self) -> Iterator[Statements]:
        """Count the statements that the database receives meanwhile from others."""
        counted = Statements()
        with self.database.engine.connect() as watcher:
            before = _statements_of_others(watcher)
            yield counted
            counted.count = _statements_of_others(watcher) - before

    def look(self, job_count: int = 1) -> None:
        """Read the newest job and all its tasks through the API, which needs them in memory for that."""
        newest = self.precache.get(f"/v1/jobs?limit={job_count}")["jobs"][0]
        self.precache.get(f"/v1/jobs/{newest['id']}/tasks")

    def hear_beats(self, count: int) -> float:
        """Queue one heartbeat of each of this number of hosts; return the seconds until the conductor has stored all.

        The conductor is halted while they are sent, so that only its own work is measured.
        """
        conf = cfg.ConfigOpts()
        conf([])
        bus = open_bus(conf, self.bus_url)
        reports, began_at = BusReports(bus=bus), datetime.now(UTC)
        with self.conductor_halted():
            for name in host_names(count):
                reports.store_heartbeats([Heartbeat(name, CELL, "fake", began_at)])
        began = time.perf_counter()
        self._await_beats(count, began_at)
        seconds = time.perf_counter() - began
        bus.close()
        return seconds

    def _await_beats(self, count: int, since: datetime) -> None:
        heard = select(func.count()).select_from(hosts).where(hosts.c.last_seen >= since)
        deadline = time.monotonic() + JOB_TIMEOUT_S
        with self.database.engine.connect() as watcher:
            while watcher.execute(heard).scalar_one() < count:
                watcher.rollback()  # so that the next query sees new rows
                assert time.monotonic() < deadline, "the conductor does not store the heartbeats"
                time.sleep(LOOK_INTERVAL_S)

    @contextmanager
    def conductor_halted(self) -> Iterator[None]:
        """Halt the conductor within the block, so that what is sent to it waits in the broker."""
        conductor = self.precache._running["conductor"].pid
        os.kill(conductor, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(conductor, signal.SIGCONT)

    def processor_s(self, part: str) -> float:
        """Return the processor time of the API or the conductor until now, by the kernel."""
        fields = Path(f"/proc/{self.precache._running[part].pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_bytes(self, part: str) -> int:
        """Return the peak memory of the API or the conductor, by the kernel."""
        status = Path(f"/proc/{self.precache._running[part].pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@contextmanager
def cloud(
    folder: Path,
    concurrency: int,
    images: int = 1,
    max_hosts: int = 0,
    database_server: type[DatabaseServer] = Mariadb,
) -> Iterator[Cloud]:
    """Start the deployment in `folder`, with so many images; stop it at the end.

    max_hosts: the limit over all conductors, 0 for none.
    """
    with ExitStack() as until_the_end:
        broker = until_the_end.enter_context(_broker(folder / "broker"))
        server = until_the_end.enter_context(running(database_server))
        image_url, ids = until_the_end.enter_context(_image_service(folder / "images", images))
        bus_url = broker.fresh_url()
        around = Surroundings(
            database_url=server.fresh_url(),
            buses={CELL: bus_url},
            sections={
                "DEFAULT": {"service_down_time": 3600, "call_monitor_timeout": 60},
                "api": {"auth_strategy": "noauth"},
                "conductor": {"lease": 30, "poll_interval": 5},
                "glance": {"endpoint_override": image_url},
                "image_cache": {"precache_concurrency": concurrency},
                "limits": {"max_hosts": max_hosts},
            },
        )
        precache = Deployment(folder / "precache", around)
        precache.prepare()
        until_the_end.callback(precache.stop)
        precache.start_api()
        precache.start_conductor()
        database = open_database(around.database_url)
        until_the_end.callback(database.close)
        yield Cloud(bus_url, precache, database, ids)


@contextmanager
def _broker(folder: Path) -> Iterator[RabbitMq]:
    folder.mkdir()
    folder.chmod(0o755)
    broker = RabbitMq(folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


@contextmanager
def _image_service(folder: Path, count: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Serve so many small images; return the service's URL and the images' ids."""
    folder.mkdir()
    for number in range(count):
        (folder / f"small-{number}.raw").write_bytes(bytes([number]) * (1 << 20))
    library = ImageLibrary(images_dir=folder, index_path=folder.with_suffix(".index"))
    with listening(create_image_app(library=library)) as url:
        deadline = time.monotonic() + JOB_TIMEOUT_S
        while len(images := requests.get(f"{url}/v2/images", timeout=10).json()["images"]) < count:
            assert time.monotonic() < deadline, "the image service does not see its images"
            time.sleep(0.1)
        yield url, tuple(image["id"] for image in images)
    library.close()


def await_end(watcher: Connection, job: str) -> Any:
    statement = select(jobs.c.state, jobs.c.task_count, jobs.c.started_at, jobs.c.finished_at).where(jobs.c.id == job)
    deadline = time.monotonic() + JOB_TIMEOUT_S
    while True:
        row = watcher.execute(statement).one()
        watcher.rollback()  # so that the next query sees new rows
        if row.state.is_final:
            return row
        assert time.monotonic() < deadline, f"job {job} does not end"
        time.sleep(LOOK_INTERVAL_S)


def _statements_of_others(watcher: Connection) -> int:
    """Return how many statements the server has received from other connections than this one."""
    total, own = (
        int(watcher.execute(text(f"SHOW {scope} STATUS LIKE 'Questions'")).one()[1]) for scope in ("GLOBAL", "SESSION")
    )
    return total - own
