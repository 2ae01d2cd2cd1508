"""`precache serve compute`: one host's compute, on its cell's message bus."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from precache.adapters.bus_oslo import BusReports, BusSwarmPlanner, ComputeServer, open_bus
from precache.config.load import Config
from precache.core.errors import CacheUnusable
from precache.wiring.hosts import build_compute
from precache.wiring.progress import SEND_INTERVAL, progress_batcher
from precache.wiring.service_user import image_service_of, service_session, warn_if_refused
from precache.wiring.signatures import image_signatures

_log = logging.getLogger(__name__)

FIRST_REPORT_AFTER = timedelta(seconds=5)
"""How long after the first heartbeat the cache is reported. A conductor stores both separately, and drops a report of a
host that it does not know yet: then the next full one would have to be waited for."""

PATIENCE = timedelta(seconds=6)
"""How long each part may take to stop. A transfer waits at most one second for a silent image service."""


class ComputeProcess:
    """One host's compute. `start` returns the host's name without waiting for the bus: the compute accepts requests and
    sends heartbeats as soon as the bus is available. `stop` ends running work, and its callers get an answer that says
    so.

    Both raise only errors of core/errors. Call `stop` after a failed start, too.
    """

    def __init__(self, *, config: Config) -> None:
        self._config = config
        self._stops = ExitStack()

    def start(self) -> str:
        config = self._config
        host = config.host.host
        _check_instances_path(config.host.instances_path)
        bus = open_bus(config.oslo, config.bus.require_transport_url())
        self._stops.callback(bus.close)
        reports = BusReports(bus=bus)
        progress = progress_batcher(reports.note_progress, interval=SEND_INTERVAL)
        self._stops.callback(progress.stop, PATIENCE)
        session = service_session(config)
        compute = build_compute(
            config=config,
            host=host,
            cell="",
            driver=config.compute.virt_driver,
            instances_path=config.host.instances_path,
            images=image_service_of(config, session),
            signatures=image_signatures(config),
            reports=reports,
            cache_reports=reports,
            first_report_after=FIRST_REPORT_AFTER,
            progress=progress,
            planner=BusSwarmPlanner(bus=bus),
        )
        progress.start()
        compute.start()
        self._stops.callback(compute.stop, PATIENCE)
        server = ComputeServer(bus=bus, host=host, compute=compute)

        def announce() -> None:
            compute.announce()
            _log.info("The compute of host %s waits for requests on the message bus %s", host, bus.place)

        server.start(then=announce)
        self._stops.callback(server.stop, PATIENCE)
        # Stopped first: running work ends, and its answer is sent while the server waits for it.
        self._stops.callback(compute.ask_to_stop)
        warn_if_refused(session)
        return host

    def stop(self) -> None:
        self._stops.close()


def _check_instances_path(path: Path) -> None:
    # If Precache created the directory, no boot would read the cache, and it could be on the wrong disk.
    if not path.is_dir():
        raise CacheUnusable(
            str(path),
            "[DEFAULT] instances_path is not a directory; set it to that of nova-compute on this host, and check that "
            "it is mounted",
        )
