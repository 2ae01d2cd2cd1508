"""`precache serve all`: API, conductor, computes and an image service in one process, on SQLite and plain calls.

Read top to bottom it is the list of parts and of what each is given.
"""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from precache.adapters.clock_system import SystemClock
from precache.adapters.computes_inprocess import InProcessComputes
from precache.adapters.images_glance import GlanceImages
from precache.adapters.inventory_sql import SqlAggregateChanges, SqlAggregateQueries, SqlHosts
from precache.adapters.jobs_sql import SqlJobClaims, SqlJobIntake, SqlJobQueries, SqlProgressLog
from precache.adapters.notifier_log import LogNotifier
from precache.adapters.policy_oslo import OsloPolicy
from precache.adapters.sql import Database, open_database, upgrade
from precache.api.app import create_app
from precache.api.noauth import noauth
from precache.api.policies import RULES
from precache.compute.service import ComputeService
from precache.conductor.announce import Announcer
from precache.conductor.gather_progress import GatherProgress
from precache.conductor.run_job import RunJob
from precache.conductor.work_loop import WorkLoop
from precache.config.load import Config
from precache.core.errors import InvalidConfiguration
from precache.imageserver.app import create_image_app
from precache.imageserver.library import ImageLibrary
from precache.imageserver.request_log import RequestLog
from precache.rules.listen_address import ListenAddress
from precache.wiring.host_names import EmbeddedHost
from precache.wiring.hosts import build_driver, host_setup, image_service
from precache.wiring.http_server import HttpServer
from precache.wiring.state_dir import StateDir

_log = logging.getLogger(__name__)

PROGRESS_INTERVAL = timedelta(seconds=0.5)
PATIENCE = timedelta(seconds=6)
"""How long each part may take to stop. A transfer notices at once, and gives up a silent image service after five."""

CUT_PATIENCE = timedelta(seconds=1)
"""How long a request may take to end whose connection was cut."""

IMAGE_PREFIX = "/image"


@dataclass(frozen=True, slots=True)
class Embedding:
    """What the command line says. images: the directory that is served as the image service."""

    state: StateDir
    address: ListenAddress
    hosts: tuple[EmbeddedHost, ...]
    images: Path


class EmbeddedService:
    """The whole service. `start` gives the URL once it answers; after `stop`, jobs under way go on at the next start.

    Both raise only errors of core/errors. After a failed start `stop` is still to be called.
    """

    def __init__(self, *, config: Config, embedding: Embedding) -> None:
        if config.api.auth_strategy == "keystone":
            raise InvalidConfiguration(
                "[api] auth_strategy = keystone is for `precache serve api`; `serve all` knows noauth only"
            )
        if not embedding.address.is_loopback:
            raise InvalidConfiguration(
                f"auth_strategy = noauth makes everybody an administrator, so it works on loopback addresses only, not "
                f"on {embedding.address.host}; listen on 127.0.0.1"
            )
        self._config = config
        self._embedding = embedding
        self._stops: list[Callable[[], object]] = []

    def start(self) -> str:
        state = self._embedding.state
        state.take()
        self._at_stop(state.release)
        database = open_database(state.database_url)
        self._at_stop(database.close)
        upgrade(database)
        server = HttpServer(address=self._embedding.address, threads=self._threads())
        url = server.bind()
        self._at_stop(lambda: server.stop(CUT_PATIENCE))
        images = image_service(self._config, url + IMAGE_PREFIX)
        gateway = InProcessComputes()
        loop = self._build_conductor(database, gateway)
        self._at_stop(lambda: loop.stop(PATIENCE))
        # The image service first: the computes' first work may be what an earlier process left behind.
        server.start({"/": self._build_api(database, images, loop.wake), IMAGE_PREFIX: self._build_image_service()})
        self._start_computes(database, gateway, images)
        _resume(database)
        loop.start()
        # At a stop the conductor is told first: a compute that breaks off then means "later", not "error".
        self._at_stop(loop.ask_to_stop)
        return url

    def stop(self) -> None:
        """Stop what runs, in the opposite order of its start."""
        while self._stops:
            self._stops.pop()()

    def _at_stop(self, action: Callable[[], object]) -> None:
        self._stops.append(action)

    def _threads(self) -> int:
        # A download from our own image service keeps a thread busy for as long as it takes.
        return self._config.api.workers + self._config.image_cache.precache_concurrency

    def _build_api(self, database: Database, images: GlanceImages, wake: Callable[[], None]) -> Any:
        hosts = SqlHosts(database=database)
        app = create_app(
            aggregates=SqlAggregateQueries(database=database),
            aggregate_changes=SqlAggregateChanges(database=database),
            hosts=hosts,
            host_changes=hosts,
            intake=SqlJobIntake(database=database),
            queries=SqlJobQueries(database=database),
            images=images,
            policy=OsloPolicy(rules=RULES, policy_file=self._config.policy.policy_file),
            clock=SystemClock(),
            wake=wake,
            service_down_time=self._config.host.service_down_time,
            max_body_bytes=self._config.api.max_request_body_bytes,
        )
        return noauth(app)

    def _build_image_service(self) -> Any:
        state = self._embedding.state
        if self._embedding.images == state.default_images:
            state.default_images.mkdir(exist_ok=True)
        library = ImageLibrary(images_dir=self._embedding.images, index_path=state.image_index)
        self._at_stop(library.close)
        return create_image_app(library=library, log=RequestLog(path=state.image_request_log))

    def _build_conductor(self, database: Database, gateway: InProcessComputes) -> WorkLoop:
        config, clock = self._config, SystemClock()
        claims = SqlJobClaims(database=database)
        owner = f"{socket.gethostname()}:{uuid.uuid4()}"
        pool = ThreadPoolExecutor(config.image_cache.precache_concurrency, thread_name_prefix="ask-host")
        self._at_stop(lambda: pool.shutdown(wait=False, cancel_futures=True))
        run_job = RunJob(
            claims=claims,
            queries=SqlJobQueries(database=database),
            hosts=SqlHosts(database=database),
            gateway=gateway,
            announcer=Announcer(
                notifier=LogNotifier(),
                aggregates=SqlAggregateQueries(database=database),
                origin=socket.gethostname(),
            ),
            clock=clock,
            pool=pool,
            owner=owner,
            service_down_time=config.host.service_down_time,
        )
        return WorkLoop(
            claims=claims,
            run_job=run_job,
            clock=clock,
            owner=owner,
            lease=config.conductor.lease,
            poll_interval=config.conductor.poll_interval,
            jobs_at_once=config.conductor.jobs_at_once,
        )

    def _start_computes(self, database: Database, gateway: InProcessComputes, images: GlanceImages) -> None:
        progress = GatherProgress(store=SqlProgressLog(database=database), interval=PROGRESS_INTERVAL)
        progress.start()
        self._at_stop(lambda: progress.stop(PATIENCE))
        for host in self._embedding.hosts:
            path = self._instances_path(host)
            setup = host_setup(config=self._config, host=host.name, instances_path=path, images=images)
            compute = ComputeService(
                host=host.name,
                cell=host.cell,
                driver=build_driver(host.driver, setup),
                reports=SqlHosts(database=database),
                progress=progress,
                clock=setup.clock,
                report_interval=self._config.host.report_interval,
                clean_interval=self._config.image_cache.manager_interval if setup.cleaning else None,
            )
            compute.start()
            self._at_stop(partial(compute.stop, PATIENCE))
            gateway.join(host.name, compute.cache_images)

    def _instances_path(self, host: EmbeddedHost) -> Path:
        return host.instances_path or self._embedding.state.instances_path(host.name)


def _resume(database: Database) -> None:
    resumed = SqlJobClaims(database=database).release_all()
    if resumed:
        _log.info("%i job(s) of an earlier process go on", resumed)
