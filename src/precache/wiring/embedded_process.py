"""`precache serve all`: API, conductor, computes and an image service in one process, with SQLite and direct calls.

The code lists the parts in the order of their start, with the arguments of each.
"""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from precache.adapters.clock_system import SystemClock
from precache.adapters.computes_inprocess import InProcessComputes
from precache.adapters.images_wrapped import Failover
from precache.adapters.inventory_sql import SqlCacheReports, SqlHosts
from precache.adapters.jobs_sql import SqlJobClaims, SqlProgressLog
from precache.adapters.notifier_log import LogNotifier
from precache.adapters.sql import Database, open_database, upgrade
from precache.adapters.swarm_authority import Authority, AuthorityKey
from precache.adapters.swarm_planner_inprocess import InProcessPlanner
from precache.api.identity import noauth
from precache.conductor.clean_host import CleanHost
from precache.config.load import Config
from precache.core.errors import InvalidConfiguration
from precache.core.text import number_of
from precache.imageserver.app import create_image_app, refer_to
from precache.imageserver.library import ImageLibrary
from precache.imageserver.request_log import RequestLog
from precache.ports.swarm_planner import SwarmPlanner
from precache.rules.listen_address import ListenAddress, check_noauth
from precache.wiring.api_app import api_app
from precache.wiring.browser_guard import guard_browsers
from precache.wiring.conductor_loop import conductor_loop
from precache.wiring.host_names import EmbeddedHost
from precache.wiring.host_survey import host_survey
from precache.wiring.hosts import build_compute, image_service
from precache.wiring.http.server import HttpServer
from precache.wiring.image_statuses import start_image_statuses
from precache.wiring.inventory import local_inventory
from precache.wiring.notices import start_notices
from precache.wiring.progress import progress_batcher
from precache.wiring.purge import start_purge
from precache.wiring.relays import relay_planner
from precache.wiring.signatures import image_signatures
from precache.wiring.sites import start_sites
from precache.wiring.state_dir import StateDir

_log = logging.getLogger(__name__)

PROGRESS_INTERVAL = timedelta(seconds=0.5)
"""Between two transactions with the progress of all hosts."""

PATIENCE = timedelta(seconds=6)
"""How long each part may take to stop. A transfer waits at most one second for a silent image service."""

IMAGE_PREFIX = "/image"


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """The options of the command line.

    images: the directory that is served as the image service. The default one is not served if another image service is
        configured.
    """

    state: StateDir
    address: ListenAddress
    hosts: tuple[EmbeddedHost, ...]
    images: Path


EMBEDDED_OWNER = "serve all"


class EmbeddedProcess:
    """The whole service. `start` returns the URL when it answers; running jobs continue at the next start.

    Both raise only errors of core/errors. Call `stop` after a failed start, too.
    """

    def __init__(self, *, config: Config, embedding: EmbeddedOptions) -> None:
        if config.api.auth_strategy in ("keystone", "token"):
            raise InvalidConfiguration(
                f"[api] auth_strategy = {config.api.auth_strategy} is for `precache serve api`; `serve all` knows "
                "noauth only"
            )
        check_noauth(embedding.address)
        if config.image_cache.opt_in.needs_records and not config.glance.endpoints:
            raise InvalidConfiguration(
                "[image_cache] precache_images = some and precache_projects need an image service with owners and "
                "properties of images, and the embedded one has none; set [glance] endpoint_override, or remove them"
            )
        self._config = config
        self._embedding = embedding
        self._stops = ExitStack()

    def start(self) -> str:
        state = self._embedding.state
        state.take()
        self._stops.callback(state.release)
        database = open_database(state.database_url, clock=SystemClock())
        self._stops.callback(database.close)
        upgrade(database)
        server = HttpServer(address=self._embedding.address, threads=self._threads())
        url = server.bind()
        self._stops.callback(server.stop)
        images = image_service(self._config, url + IMAGE_PREFIX)
        gateway = InProcessComputes(allowed=self._config.bus.long_rpc_timeout)
        inventory = local_inventory(database)
        notifier = LogNotifier()
        # Always the same owner: no other process uses this database, so that a restart waits for no lease.
        start_notices(
            config=self._config, database=database, notifier=notifier, owner=EMBEDDED_OWNER, at_stop=self._stops
        )
        start_purge(config=self._config, database=database, owner=EMBEDDED_OWNER, at_stop=self._stops)
        start_sites(
            config=self._config,
            database=database,
            aggregates=inventory.aggregates,
            owner=EMBEDDED_OWNER,
            at_stop=self._stops,
        )
        loop = conductor_loop(
            config=self._config,
            database=database,
            leases=database,
            inventory=inventory,
            gateway=gateway,
            notifier=notifier,
            swarm_since="",
            at_stop=self._stops,
        )
        self._stops.callback(loop.stop, PATIENCE)
        api = api_app(
            config=self._config,
            auth_strategy="noauth",
            database=database,
            inventory=inventory,
            images=images,
            wake=loop.wake,
            at_stop=self._stops,
            survey=host_survey(
                config=self._config, hosts=inventory.hosts, caches=gateway, swarm_since="", at_stop=self._stops
            ),
            cleaning=CleanHost(
                hosts=inventory.hosts,
                caches=gateway,
                service_down_time=self._config.host.service_down_time,
                requirement=None,
                listening_for_s=lambda _cell: math.inf,
            ),
        )
        # The image service first: the computes may begin with jobs of an earlier process.
        apps = {"/": noauth(api), IMAGE_PREFIX: self._build_image_service()}
        server.start({path: guard_browsers(app, self._embedding.address) for path, app in apps.items()})
        start_image_statuses(
            config=self._config, database=database, images=images, owner=EMBEDDED_OWNER, at_stop=self._stops
        )
        planner = relay_planner(
            config=self._config,
            database=database,
            hosts=inventory.hosts,
            gateway=gateway,
            authority=self._authority(),
            owner=EMBEDDED_OWNER,
            listening_for_s=lambda _cell: math.inf,
            at_stop=self._stops,
        )
        self._start_computes(database, gateway, images, planner)
        _resume(database)
        loop.start()
        # The conductor is stopped first: a call that breaks after that is repeated later and is not an error.
        self._stops.callback(loop.ask_to_stop)
        return url

    def stop(self) -> None:
        """Stop the parts in the reverse order of their start."""
        self._stops.close()

    def _threads(self) -> int:
        # A download from the embedded image service occupies a thread until it ends.
        return self._config.api.workers + self._config.image_cache.precache_concurrency

    def _build_image_service(self) -> Any:
        state = self._embedding.state
        if self._embedding.images == state.default_images:
            if endpoints := self._config.glance.endpoints:
                return refer_to(endpoints[0])
            state.default_images.mkdir(exist_ok=True)
        library = ImageLibrary(images_dir=self._embedding.images, index_path=state.image_index)
        self._stops.callback(library.close)
        return create_image_app(library=library, log=RequestLog(path=state.image_request_log))

    def _authority(self) -> Authority:
        """Return a new one: the hosts, which it certifies, end with this process."""
        clock = SystemClock()
        lifetime = timedelta(hours=self._config.swarm.certificate_hours)
        return Authority(keys=[AuthorityKey.create(now=clock.now())], clock=clock, certificate_lifetime=lifetime)

    def _start_computes(
        self, database: Database, gateway: InProcessComputes, images: Failover, planner: SwarmPlanner
    ) -> None:
        if unused := self._config.swarm.changed_place:
            _log.warning(
                "[swarm] %s: not used by `precache serve all`, because its hosts pass images on within this machine, "
                "each at a free port of 127.0.0.1",
                ", ".join(unused),
            )
        # All hosts are on this machine, each on a port of its own.
        swarm = replace(self._config.swarm, listen_address="127.0.0.1", address="127.0.0.1", ports=(0, 0))
        config = replace(self._config, swarm=swarm)
        progress = progress_batcher(SqlProgressLog(database=database).note, interval=PROGRESS_INTERVAL)
        progress.start()
        self._stops.callback(progress.stop, PATIENCE)
        for host in self._embedding.hosts:
            compute = build_compute(
                config=config,
                host=host.name,
                cell=host.cell,
                driver=host.driver,
                instances_path=self._instances_path(host),
                images=images,
                signatures=image_signatures(self._config),
                reports=SqlHosts(database=database),
                cache_reports=SqlCacheReports(database=database),
                progress=progress,
                planner=InProcessPlanner(planner=planner, cell=host.cell),
            )
            compute.start()
            self._stops.callback(compute.stop, PATIENCE)
            gateway.join(host.name, compute)
            compute.announce()

    def _instances_path(self, host: EmbeddedHost) -> Path:
        return host.instances_path or self._embedding.state.instances_path(host.name)


def _resume(database: Database) -> None:
    resumed = SqlJobClaims(database=database).release_all()
    if resumed:
        _log.info("Continuing %s of an earlier process", number_of(resumed, "job"))
